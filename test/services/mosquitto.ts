/**
 * A real mosquitto on a free port of loopback, with a folder of its own: stopped, killed, started again on the same
 * files.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { within } from "../support/deadline.ts";
import { freePorts } from "../support/free-port.ts";
import { tlsPath } from "../support/tls-files.ts";
import { endWithUs } from "./servers.ts";

/** Debian puts it where only root's search path looks. */
const PLACES = ["mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];
const START_MS = 10_000;
const STOP_MS = 10_000;
/** Lines of its log that are kept for messages. */
const LINES_MAX = 200;

const found = PLACES.find((place) => spawnSync(place, ["-h"]).error === undefined);

/**
 * Why tests against mosquitto are skipped, or false where it is installed. With CI=true they are not skipped: a missing
 * broker is a failure there.
 */
export function mosquittoSkip(): string | false {
  if (found !== undefined || process.env["CI"] === "true") return false;
  return "mosquitto is not installed (apt-get install mosquitto)";
}

/** How a broker is set up. */
export interface MosquittoOptions {
  /** Name and password of the only users; without, everybody is let in. */
  readonly users?: Readonly<Record<string, string>>;
  /** `server`: TLS with the certificate `first`. `mutual`: clients need one that it signed, too. */
  readonly tls?: "server" | "mutual";
  /** Sessions and messages are written to a file after every change, and read again at the next start. */
  readonly persistence?: boolean;
  /** Messages in flight to one client; 0 is no limit. @defaultValue 20, mosquitto's own */
  readonly inflightMax?: number;
  /** More lines of mosquitto.conf. */
  readonly lines?: readonly string[];
}

/** One broker. */
export class Mosquitto implements AsyncDisposable {
  readonly port: number;
  readonly directory: string;
  readonly #lines: string[] = [];
  #child: ChildProcess | undefined;

  private constructor(port: number, directory: string) {
    this.port = port;
    this.directory = directory;
  }

  static async start(options: MosquittoOptions = {}): Promise<Mosquitto> {
    const [port = 0] = await freePorts(1);
    const broker = new Mosquitto(port, await mkdtemp(join(tmpdir(), "holdfast-mosquitto-")));
    await broker.#configure(options);
    await broker.startAgain();
    return broker;
  }

  /** What it logged last. */
  get log(): string {
    return this.#lines.join("\n");
  }

  /** On the same port and files. Resolves when it listens. */
  async startAgain(): Promise<void> {
    if (found === undefined) throw new Error("mosquitto is not installed");
    const child = spawn(found, ["-c", this.#path("mosquitto.conf")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    endWithUs(child);
    this.#child = child;
    const listening = new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stderr }).on("line", (line) => {
        this.#lines.push(line);
        if (this.#lines.length > LINES_MAX) this.#lines.shift();
        if (/mosquitto version \S+ running/.test(line)) resolve();
      });
      child.once("error", reject);
      child.once("exit", (code) => {
        reject(new Error(`mosquitto ended with ${code}; it said:\n${this.log}`));
      });
    });
    await within(START_MS, "start of mosquitto", listening);
  }

  /** In order: what it knows is written. */
  stop(): Promise<void> {
    return this.#end("SIGTERM");
  }

  /** SIGKILL. */
  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  /** Ends it and removes its files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill(signal);
    await within(STOP_MS, `end of mosquitto after ${signal}`, gone);
  }

  async #configure({
    users,
    tls,
    persistence = false,
    inflightMax,
    lines = [],
  }: MosquittoOptions): Promise<void> {
    const config = [
      `listener ${this.port} 127.0.0.1`,
      "log_dest stderr",
      `allow_anonymous ${users === undefined}`,
      ...(inflightMax === undefined ? [] : [`max_inflight_messages ${inflightMax}`]),
      "max_queued_messages 0",
      // As root it would become another user, which may not read this folder.
      ...(process.getuid?.() === 0 ? ["user root"] : []),
      ...(users === undefined ? [] : [`password_file ${this.#path("passwords")}`]),
      ...(persistence ? persistenceLines(this.directory) : []),
      ...(tls === undefined ? [] : tlsLines(tls)),
      ...lines,
    ];
    await writeFile(this.#path("mosquitto.conf"), `${config.join("\n")}\n`);
    await writeFile(this.#path("passwords"), "", { mode: 0o600 });
    for (const [name, password] of Object.entries(users ?? {})) {
      const { status, stderr } = spawnSync("mosquitto_passwd", [
        "-b",
        this.#path("passwords"),
        name,
        password,
      ]);
      if (status !== 0) throw new Error(`mosquitto_passwd: ${String(stderr)}`);
    }
  }

  #path(name: string): string {
    return join(this.directory, name);
  }
}

function persistenceLines(directory: string): readonly string[] {
  return [
    "persistence true",
    `persistence_location ${directory}/`,
    "autosave_on_changes true",
    "autosave_interval 1",
  ];
}

function tlsLines(tls: "server" | "mutual"): readonly string[] {
  const clients = [`cafile ${tlsPath("first", "cert")}`, "require_certificate true"];
  return [
    `certfile ${tlsPath("first", "cert")}`,
    `keyfile ${tlsPath("first", "key")}`,
    ...(tls === "mutual" ? clients : []),
  ];
}
