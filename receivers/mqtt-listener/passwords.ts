/**
 * Users and their passwords, in the format of `mosquitto_passwd`: `user:$7$iterations$salt$hash` (PBKDF2 with SHA-512)
 * or `user:$6$salt$hash` (SHA-512), both parts base64.
 */
import { createHash, pbkdf2, timingSafeEqual } from "node:crypto";
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import { codeOf, HoldfastError } from "../../src/errors.ts";
import type { Files } from "../../src/host/files.ts";
import type { MqttListenerOptions } from "./options.ts";

const FILE_BYTES_MAX: number = 8 * 1024 * 1024;
const ITERATIONS_MAX = 1_000_000;
/** Of SHA-512. */
const HASH_BYTES = 64;
/** Passwords that wait to be checked: one is checked at a time, because the log needs the same threads. */
const WAITING_MAX = 1_000;

/** A password as it is kept; 0 iterations stand for a plain hash. */
interface Kept {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** What a check says; `busy`: too many others wait. */
export type Verdict = "right" | "wrong" | "busy";

/** Users of one file. */
export class Passwords {
  readonly #users: ReadonlyMap<string, Kept>;
  /** Checked against where there is no such user: as slow as the slowest of the file, so that time does not tell. */
  readonly #nobody: Kept;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(users: ReadonlyMap<string, Kept>) {
    this.#users = users;
    let iterations = 0;
    for (const kept of users.values()) iterations = Math.max(iterations, kept.iterations);
    this.#nobody = { iterations, salt: Buffer.alloc(12), hash: Buffer.alloc(HASH_BYTES) };
  }

  /** How many. */
  get count(): number {
    return this.#users.size;
  }

  /** One after the other. Never rejects. */
  async check(user: string, password: Uint8Array): Promise<Verdict> {
    if (this.#waiting >= WAITING_MAX) return "busy";
    this.#waiting++;
    const kept = this.#users.get(user) ?? this.#nobody;
    const checked = this.#last.then(() => hashOf(password, kept));
    this.#last = checked.catch(() => undefined);
    try {
      const hash = await checked;
      const isEqual = timingSafeEqual(hash, kept.hash);
      return isEqual && kept !== this.#nobody ? "right" : "wrong";
    } catch {
      // Out of memory or threads: it says nothing about the password.
      return "busy";
    } finally {
      this.#waiting--;
    }
  }
}

function hashOf(password: Uint8Array, { iterations, salt, hash }: Kept): Promise<Buffer> {
  if (iterations === 0)
    return Promise.resolve(createHash("sha512").update(password).update(salt).digest());
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, hash.length, "sha512", (cause, derived) =>
      cause === null ? resolve(derived) : reject(cause),
    );
  });
}

/** Users of a listener as they are now, if it has a file of them. @throws CONFIG_VALUE */
export async function passwordsOf({
  name,
  files,
  options: { passwordFile, anonymous, certificateIsUser },
}: PasswordsContext): Promise<Passwords | undefined> {
  if (passwordFile === undefined) return undefined;
  const passwords = await readPasswords(name, files, passwordFile);
  if (passwords.count > 0 || anonymous || certificateIsUser) return passwords;
  throw wrongFile(name, passwordFile, "has 0 users, so nobody could connect");
}

type PasswordsContext = Pick<ReceiverContext<MqttListenerOptions>, "name" | "files" | "options">;

function wrongFile(owner: string, path: string, why: string, cause?: unknown): HoldfastError {
  // With -c it begins a new file, and empties one that is there.
  const flags = codeOf(cause) === "ENOENT" ? "-c -H" : "-H";
  return new HoldfastError("CONFIG_VALUE", `${owner}: passwordFile: ${path} ${why}`, {
    cause,
    fix: `mosquitto_passwd ${flags} sha512-pbkdf2 ${path} USER`,
  });
}

/** Reads a password file. @throws CONFIG_VALUE, which never shows a line */
export async function readPasswords(owner: string, files: Files, path: string): Promise<Passwords> {
  const wrong = (why: string, cause?: unknown): HoldfastError => wrongFile(owner, path, why, cause);
  const bytes = await files.readFile(path).catch((cause: unknown) => {
    throw wrong(`cannot be read: ${codeOf(cause)}`, cause);
  });
  if (bytes.length > FILE_BYTES_MAX)
    throw wrong(`has ${bytes.length} bytes, limit ${FILE_BYTES_MAX}`);
  const users = new Map<string, Kept>();
  for (const [i, line] of Buffer.from(bytes).toString("utf8").split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const colon = line.indexOf(":");
    const kept = colon < 1 ? undefined : keptOf(line.slice(colon + 1));
    if (kept === undefined) throw wrong(`has no user with a hash ($6$ or $7$) in line ${i + 1}`);
    users.set(line.slice(0, colon), kept);
  }
  return new Passwords(users);
}

const KEPT = /^\$(?:6|7\$([1-9]\d{0,6}))\$([A-Za-z0-9+/]+=*)\$([A-Za-z0-9+/]+=*)$/;

function keptOf(text: string): Kept | undefined {
  const [, iterations = "0", salt = "", hash = ""] = KEPT.exec(text.trim()) ?? [];
  const kept = {
    iterations: Number(iterations),
    salt: Buffer.from(salt, "base64"),
    hash: Buffer.from(hash, "base64"),
  };
  const isUsable = kept.hash.length === HASH_BYTES && kept.iterations <= ITERATIONS_MAX;
  return isUsable ? kept : undefined;
}
