/**
 * Restarts under load: a process whose receiver fails again and again while clients send, is killed now and then,
 * and in the end restarted thousands of times in one life, in which nothing may grow.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createSeededRandom, type SeededRandom } from "../../src/testing/seeded-random.ts";
import { judge } from "../crash/judge.ts";
import { RecordBook } from "../crash/record-book.ts";
import { idsOfParts, openParts } from "../crash/stored-ids.ts";
import { runTcpClient } from "../crash/tcp-client.ts";
import { pause, within } from "../support/deadline.ts";
import { freePorts } from "../support/free-port.ts";
import type { Footprint, Order, Report } from "./protocol.ts";

const GATEWAY = fileURLToPath(new URL("gateway.js", import.meta.url));
/**
 * Without these the engine compiles more and more of the program for thousands of restarts, and its code is the only
 * part of the heap that grows.
 */
const ENGINE_FLAGS =
  "--expose-gc --no-opt --no-sparkplug --no-flush-bytecode --no-lazy-feedback-allocation".split(
    " ",
  );
const CLIENTS = 3;
/** Few on their way at a time, so that many restarts meet few records. */
const WINDOW_MAX = 12;
const RECONNECT_MS = 2;
/** Deadlines only turn a hang into a message. */
const STEP_MS_MAX = 600_000;

/** What to do, and whom to tell. */
export interface RestartOptions {
  readonly seed: number;
  /** Lives that end by kill -9, after up to `killedRestarts` restarts each. */
  readonly kills: number;
  readonly killedRestarts: number;
  /** Restarts of the last life, by how many it is measured in between. */
  readonly marks: readonly number[];
  /** Keeps the directory of a good run, too. */
  readonly keep: boolean;
  tell(line: string): void;
}

/** What happened. The promise held when `problems` is empty. */
export interface RestartReport {
  readonly seed: number;
  readonly directory: string;
  readonly sent: number;
  readonly acknowledged: number;
  readonly stored: number;
  /** Accepted and refused in the last life, by code: the named losses. */
  readonly refused: Readonly<Record<string, number>>;
  readonly forces: Readonly<Record<string, number>>;
  readonly footprints: readonly (Footprint & { readonly restarts: number })[];
  readonly problems: readonly string[];
}

/** Runs it in a directory of its own, which is removed when all is well. Rejects when the process ends by itself. */
export async function runRestarts(options: RestartOptions): Promise<RestartReport> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-restarts-"));
  const [port = 0] = await freePorts(1);
  const run = new RestartRun(options, directory, port);
  try {
    const report = await run.run();
    if (report.problems.length === 0 && !options.keep)
      await rm(directory, { recursive: true, force: true });
    return report;
  } catch (cause) {
    throw new Error(`seed ${options.seed}, directory ${directory}`, { cause });
  }
}

class RestartRun {
  readonly #options: RestartOptions;
  readonly #directory: string;
  readonly #port: number;
  readonly #random: SeededRandom;
  readonly #book = new RecordBook();
  readonly #problems: string[] = [];
  readonly #forces: Record<string, number> = {};
  readonly #footprints: (Footprint & { readonly restarts: number })[] = [];
  #clientCount = 0;

  constructor(options: RestartOptions, directory: string, port: number) {
    this.#options = options;
    this.#directory = directory;
    this.#port = port;
    this.#random = createSeededRandom(options.seed);
  }

  async run(): Promise<RestartReport> {
    const { kills, killedRestarts, marks, seed } = this.#options;
    for (let kill = 1; kill <= kills; kill++) {
      const restarts = this.#random.integer(1, killedRestarts);
      await this.#liveAndDie(restarts);
      this.#options.tell(`kill ${kill} of ${kills}, after ${restarts} restarts`);
    }
    const refused = await this.#liveAndStop(marks);
    const parts = await idsOfParts(join(this.#directory, "parts"));
    const { sent, acknowledged, problems } = this.#book;
    const verdict = judge({ sent, acknowledged, sinks: { parts } });
    const open = await openParts(join(this.#directory, "parts"));
    if (open.length > 0) this.#problems.push(`parts open after a clean stop: ${open.join(", ")}`);
    return {
      seed,
      directory: this.#directory,
      sent: sent.size,
      acknowledged: acknowledged.size,
      stored: parts.size,
      refused,
      forces: this.#forces,
      footprints: this.#footprints,
      problems: [...problems, ...verdict.problems, ...this.#problems],
    };
  }

  async #liveAndDie(restarts: number): Promise<void> {
    const life = await Life.begin(this.#directory, this.#port);
    const load = this.#load();
    try {
      life.order({ kind: "restart", times: restarts, seed: this.#random.integer(0, 2 ** 31) });
      await life.report("restarted");
      // Some more are on their way when it dies.
      life.order({ kind: "restart", times: restarts, seed: this.#random.integer(0, 2 ** 31) });
      await pause(this.#random.integer(0, 50));
    } finally {
      await life.kill();
      await load.end();
    }
  }

  async #liveAndStop(marks: readonly number[]): Promise<Readonly<Record<string, number>>> {
    const life = await Life.begin(this.#directory, this.#port);
    try {
      let done = 0;
      for (const mark of marks) {
        await this.#restart(life, mark - done);
        done = mark;
        await this.#measure(life, mark);
      }
      life.order({ kind: "stop" });
      const stopped = await life.report("stopped");
      this.#checkAccounts(stopped);
      return stopped.accounts.refused;
    } finally {
      await life.kill();
    }
  }

  async #restart(life: Life, times: number): Promise<void> {
    const load = this.#load();
    life.order({ kind: "restart", times, seed: this.#random.integer(0, 2 ** 31) });
    try {
      const { forces } = await life.report("restarted");
      for (const [force, count] of Object.entries(forces))
        this.#forces[force] = (this.#forces[force] ?? 0) + count;
    } finally {
      await load.end();
    }
  }

  async #measure(life: Life, restarts: number): Promise<void> {
    life.order({ kind: "measure" });
    const { footprint } = await life.report("measured");
    this.#footprints.push({ restarts, ...footprint });
    const { heapBytes, externalBytes, resources } = footprint;
    this.#options.tell(
      `${restarts} restarts: ${this.#book.acknowledged.size} acknowledged, heap ${heapBytes}, outside ${externalBytes}, ${JSON.stringify(resources)}`,
    );
  }

  #checkAccounts({ accounts, firstOffset, nextOffset, notStopped }: Stopped): void {
    const { accepted, stored, refused } = accounts;
    const lost = Object.values(refused).reduce((sum, count) => sum + count, 0);
    if (accepted !== stored + lost)
      this.#problems.push(`${accepted} accepted, ${stored} stored and ${lost} refused`);
    if (nextOffset - firstOffset !== stored)
      this.#problems.push(`${stored} told as stored, ${nextOffset - firstOffset} in the log`);
    if (notStopped.length > 0) this.#problems.push(`not stopped: ${notStopped.join(", ")}`);
  }

  /** Clients that come back whenever their connection broke, under another name. */
  #load(): { end(): Promise<void> } {
    const control = new AbortController();
    const loops = Array.from({ length: CLIENTS }, () =>
      this.#client(createSeededRandom(this.#random.integer(0, 2 ** 31)), control.signal),
    );
    return {
      end: async () => {
        control.abort();
        await within(STEP_MS_MAX, "end of the clients", Promise.all(loops));
      },
    };
  }

  async #client(random: SeededRandom, stop: AbortSignal): Promise<void> {
    const shared = { port: this.#port, book: this.#book, random, stop, windowMax: WINDOW_MAX };
    while (!stop.aborted) {
      await runTcpClient({ ...shared, name: `c${this.#clientCount++}` });
      await pause(RECONNECT_MS, stop);
    }
  }
}

type Stopped = Extract<Report, { kind: "stopped" }>;

/** One life of the process under test. */
class Life {
  readonly #child: ChildProcess;
  readonly #exited: Promise<string>;

  private constructor(directory: string, port: number) {
    this.#child = fork(GATEWAY, [directory, `${port}`], {
      execArgv: ENGINE_FLAGS,
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => resolve(signal ?? `${code}`));
    });
  }

  static async begin(directory: string, port: number): Promise<Life> {
    const life = new Life(directory, port);
    await life.report("ready");
    return life;
  }

  order(order: Order): void {
    this.#child.send(order);
  }

  /** The next report of this kind. Rejects when the process ends instead. */
  async report<Kind extends Report["kind"]>(kind: Kind): Promise<Extract<Report, { kind: Kind }>> {
    const told = new Promise<Extract<Report, { kind: Kind }>>((resolve) => {
      const hear = (report: Report): void => {
        if (!isOf(report, kind)) return;
        this.#child.off("message", hear);
        resolve(report);
      };
      this.#child.on("message", hear);
    });
    const ended = this.#exited.then((how) => {
      throw new Error(`the process ended by itself (${how}) before it was ${kind}`);
    });
    return await within(STEP_MS_MAX, kind, Promise.race([told, ended]));
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }
}

function isOf<Kind extends Report["kind"]>(
  report: Report,
  kind: Kind,
): report is Extract<Report, { kind: Kind }> {
  return report.kind === kind;
}
