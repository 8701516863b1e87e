/**
 * The process and the machine, for real: the kernel lock on a data directory.
 *
 * On Linux the lock is taken by `flock(1)` on *our* descriptor, which the helper inherits as its fd 3:
 * the lock belongs to the open file description that both share, so it stays when the helper ends and
 * goes when the last copy of the descriptor is closed, also by SIGKILL. Node opens every descriptor
 * close-on-exec, so no other child can keep it alive.
 *
 * On macOS `open(2)` takes the same kind of lock itself (O_EXLOCK). The choice and the flags are tested; no test has
 * run on a Mac.
 */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { dirname } from "node:path";

import { codeOf, HoldfastError } from "../errors.ts";
import { realClock } from "./clock.ts";
import type { FileLock, HostProcess } from "./process.ts";

/** `flock -n` answers at once; a file system that makes it wait longer cannot hold a data directory. */
const LOCK_TIMEOUT_MS = 10_000;
/** A lock file that is replaced again and again while we take it is somebody else's problem. */
const LOCK_ATTEMPTS_MAX = 5;
const LOCK_TEXT_BYTES_MAX = 4096;
const LOCAL_FIX = "put `data:` on a local file system";

/** Flags of `open(2)` on macOS that Node does not name: take an exclusive lock, fail instead of waiting. */
const MACOS_O_EXLOCK = 0x20;
const MACOS_O_NONBLOCK = 0x4;
/** What a file system says that has no such locks. */
const LOCK_REFUSALS: readonly string[] = ["ENOTSUP", "EOPNOTSUPP", "EINVAL"];

const MACHINE_ID_FILES: readonly string[] = [
  "/etc/machine-id",
  "/var/lib/dbus/machine-id",
  "/sys/firmware/devicetree/base/serial-number",
];

/** What the text of a lock file says about who holds it; every field may be missing. */
export interface LockHolder {
  readonly pid: string;
  readonly boot: string;
  readonly since: string;
}

/** The first line of a small file without its end, or "" where it cannot be read. */
function readLine(path: string): string {
  try {
    const text = fs.readFileSync(path, "utf8");
    return (text.split(/[\0\n]/u, 1)[0] ?? "").trim();
  } catch {
    // Identity and boot id are for people and for comparing: a machine that has none is no error.
    return "";
  }
}

/** Two digits, as a clock shows them. */
function padded(value: number): string {
  return String(value).padStart(2, "0");
}

/** Local time of day, with the date in front unless it is today's. */
export function humanTime(iso: string, now: Date): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return "an unknown time";
  const clock = `${padded(time.getHours())}:${padded(time.getMinutes())}`;
  if (time.toDateString() === now.toDateString()) return clock;
  return `${time.getFullYear()}-${padded(time.getMonth() + 1)}-${padded(time.getDate())} ${clock}`;
}

/** Text of a held lock file: `key value` per line, for people only; nothing decides by it. */
export function lockText(holder: LockHolder): string {
  return `pid ${holder.pid}\nboot ${holder.boot}\nsince ${holder.since}\n`;
}

/** The reverse of {@link lockText}; never throws. */
export function parseLockText(text: string): LockHolder {
  const field = (name: string): string => new RegExp(`^${name} (.*)$`, "mu").exec(text)?.[1] ?? "";
  return { pid: field("pid"), boot: field("boot"), since: field("since") };
}

function lockedError(path: string): HoldfastError {
  let text = "";
  try {
    text = fs.readFileSync(path, "utf8").slice(0, LOCK_TEXT_BYTES_MAX);
  } catch {
    // The holder may just have gone; the message then names nobody.
  }
  const holder = parseLockText(text);
  const who = holder.pid === "" ? "another process" : `process ${holder.pid}`;
  const own = holder.pid === String(process.pid) ? " (this one)" : "";
  const since = holder.since === "" ? "" : ` since ${humanTime(holder.since, new Date())}`;
  return new HoldfastError("DATA_LOCKED", `${dirname(path)} is in use by ${who}${own}${since}`, {
    fix: "stop that process, or give this one another `data:`",
  });
}

function unsupported(path: string, why: string, fix: string): HoldfastError {
  return new HoldfastError("PLATFORM_UNSUPPORTED", `cannot lock ${path}: ${why}`, { fix });
}

/** Runs `flock` on the descriptor; its exit status says whether the lock is ours now. */
function runFlock(path: string, fd: number): Promise<"taken" | "held"> {
  return new Promise((resolve, reject) => {
    const child = spawn("flock", ["-n", "-x", "3"], { stdio: ["ignore", "ignore", "ignore", fd] });
    // Not the timeout of `spawn`: its timer outlives a command that could not be started.
    const cancel = realClock.after(LOCK_TIMEOUT_MS, () => child.kill("SIGKILL"));
    child.once("error", (error) => {
      cancel();
      const missing = codeOf(error) === "ENOENT";
      reject(
        missing ? unsupported(path, "there is no `flock` command", "install util-linux") : error,
      );
    });
    child.once("exit", (status, signal) => {
      cancel();
      if (status === 0) resolve("taken");
      else if (status === 1) resolve("held");
      else reject(unsupported(path, `flock ended with ${status ?? signal}`, LOCAL_FIX));
    });
  });
}

/** Whether the path still names the file that the descriptor has open. */
function isStillThere(path: string, fd: number): boolean {
  const held = fs.fstatSync(fd, { bigint: true });
  const named = fs.statSync(path, { bigint: true, throwIfNoEntry: false });
  return named !== undefined && named.ino === held.ino && named.dev === held.dev;
}

/** Opens a file and takes its lock, or throws. The first of two steps: the path may name another file by then. */
type TakeLock = (path: string, openFile: typeof fs.openSync) => Promise<number>;

async function takeOnLinux(path: string, openFile: typeof fs.openSync): Promise<number> {
  const fd = openFile(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  let kept = false;
  try {
    if ((await runFlock(path, fd)) === "held") throw lockedError(path);
    kept = true;
    return fd;
  } finally {
    if (!kept) fs.closeSync(fd);
  }
}

/** Opening and locking are one call there: no other program is needed. */
function takeOnMacos(path: string, openFile: typeof fs.openSync): Promise<number> {
  const flags = fs.constants.O_RDWR | fs.constants.O_CREAT | MACOS_O_EXLOCK | MACOS_O_NONBLOCK;
  try {
    return Promise.resolve(openFile(path, flags, 0o600));
  } catch (error) {
    const code = codeOf(error);
    if (code === "EAGAIN" || code === "EWOULDBLOCK") throw lockedError(path);
    if (LOCK_REFUSALS.includes(code)) throw unsupported(path, `open ended with ${code}`, LOCAL_FIX);
    throw error;
  }
}

const LOCKS: ReadonlyMap<string, TakeLock> = new Map([
  ["linux", takeOnLinux],
  ["darwin", takeOnMacos],
]);

async function takeLock(
  take: TakeLock,
  path: string,
  openFile: typeof fs.openSync,
): Promise<number> {
  for (let attempt = 0; attempt < LOCK_ATTEMPTS_MAX; attempt += 1) {
    const fd = await take(path, openFile);
    let isKept = false;
    try {
      // A lock on a file that was removed meanwhile keeps nobody out: take the one that is there now.
      isKept = isStillThere(path, fd);
      if (isKept) return fd;
    } finally {
      if (!isKept) fs.closeSync(fd);
    }
  }
  throw unsupported(
    path,
    `it was replaced ${LOCK_ATTEMPTS_MAX} times while being locked`,
    "leave the file alone",
  );
}

/** Replaces the text of the lock file; only its holder may. */
function writeText(fd: number, text: string): void {
  fs.ftruncateSync(fd, 0);
  fs.writeSync(fd, text, 0);
}

class HeldLock implements FileLock {
  #fd: number | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  release(): Promise<void> {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd === undefined) return Promise.resolve();
    // The file stays: removing it would let two processes lock two files of one name.
    writeText(fd, "");
    fs.closeSync(fd);
    return Promise.resolve();
  }
}

/** Identity in a lock file: who we are, in which life of the machine, since when. */
function ownIdentity(): LockHolder {
  return {
    pid: String(process.pid),
    boot: readLine("/proc/sys/kernel/random/boot_id"),
    since: new Date(performance.timeOrigin).toISOString(),
  };
}

/**
 * Takes the kernel lock on a file, which is made if needed. Rejects with DATA_LOCKED naming the holder,
 * or with PLATFORM_UNSUPPORTED where there is no such lock. `openFile` is for tests of another platform.
 */
export async function lockFileOn(
  platform: string,
  path: string,
  openFile: typeof fs.openSync = fs.openSync,
): Promise<FileLock> {
  const take = LOCKS.get(platform);
  if (take === undefined) {
    throw unsupported(
      path,
      `Holdfast runs on ${[...LOCKS.keys()].join(" and ")}, this is ${platform}`,
      "run it in a container or a virtual machine",
    );
  }
  const fd = await takeLock(take, path, openFile);
  writeText(fd, lockText(ownIdentity()));
  return new HeldLock(fd);
}

/** Identity of a machine from the first of these files that has one; "" where none has. */
export function machineIdFrom(paths: readonly string[]): string {
  for (const path of paths) {
    const id = readLine(path);
    if (id !== "" && id !== "uninitialized") return id;
  }
  return "";
}

/** This process on this machine. */
export const realProcess: HostProcess = {
  pid: process.pid,
  platform: process.platform,
  machineId: () => Promise.resolve(machineIdFrom(MACHINE_ID_FILES)),
  lockFile: (path) => lockFileOn(process.platform, path),
  residentBytes: () => process.memoryUsage.rss(),
  onSignals(signals, callback) {
    // Node hands a second argument to its listeners, and a name that may be any signal's.
    const listeners = signals.map((signal) => [signal, () => callback(signal)] as const);
    for (const [signal, listener] of listeners) process.on(signal, listener);
    return () => {
      for (const [signal, listener] of listeners) process.off(signal, listener);
    };
  },
};
