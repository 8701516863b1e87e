/**
 * The kill -9 loop: the real program on a real disk, real clients, and a count at the end.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pause, within } from "../support/deadline.ts";
import type { RunningProgram } from "../support/running-program.ts";
import { createSeededRandom, type SeededRandom } from "../../src/testing/seeded-random.ts";
import { type Gateway, layOutGateway } from "./gateway.ts";
import { runHttpClient } from "./http-client.ts";
import {
  countStored,
  firstLine,
  listening,
  processAndStop,
  startGateway,
  type Stored,
  whileAlive,
  written,
} from "./incarnation.ts";
import { drawKill, type Kill } from "./kill-plan.ts";
import { RecordBook } from "./record-book.ts";
import { KeyClient, type ResendingOptions, SessionClient } from "./resending-clients.ts";
import { runTcpClient } from "./tcp-client.ts";

const tcpClients = 2;
const httpClients = 2;
/** Acknowledgements that the last, undisturbed incarnation gives before it is stopped. */
const lastAcknowledgements = 500;
/** A deadline only turns a hang into a message. */
const clientsDeadlineMs = 30_000;

/** What to do, and whom to tell. */
export interface CrashOptions {
  readonly seed: number;
  readonly kills: number;
  /** Keeps the directory of a good run, too. */
  readonly keep: boolean;
  tell(line: string): void;
}

/** What happened. The promise held when `problems` is empty. */
export interface CrashReport extends Stored {
  readonly seed: number;
  /** Records that came more than once, by sessions and keys. */
  readonly resent: number;
  readonly kills: Readonly<Record<Kill["kind"], number>>;
  readonly directory: string;
}

interface Run {
  readonly gateway: Gateway;
  readonly book: RecordBook;
  readonly random: SeededRandom;
  /** They live through the whole run. */
  readonly sessions: readonly SessionClient[];
  readonly keys: readonly KeyClient[];
  /** Number of the incarnation, for the clients' names. */
  incarnation: number;
}

/**
 * Runs the loop in a directory of its own, which is removed when all is well: what a failed run left is evidence.
 * Rejects when the program does not start, acknowledge, drain or stop.
 */
export async function runCrashLoop(options: CrashOptions): Promise<CrashReport> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-crash-"));
  const random = createSeededRandom(options.seed);
  const gateway = await layOutGateway(directory, random);
  const book = new RecordBook();
  const own = (name: string): ResendingOptions => ({
    name,
    book,
    random: createSeededRandom(random.integer(0, 2 ** 31)),
  });
  const sessions = [new SessionClient(own("s0")), new SessionClient(own("s1"))];
  const keys = [new KeyClient(own("k0"))];
  const run: Run = { gateway, book, random, sessions, keys, incarnation: 0 };
  try {
    const kills = await killAgainAndAgain(run, options);
    await liveAndStop(run);
    const report = {
      ...(await countStored(run.gateway, run.book)),
      seed: options.seed,
      resent: [...sessions, ...keys].reduce((sum, { resentCount }) => sum + resentCount, 0),
      kills,
      directory,
    };
    if (report.problems.length === 0 && !options.keep)
      await rm(directory, { recursive: true, force: true });
    return report;
  } catch (cause) {
    throw new Error(`seed ${options.seed}, directory ${directory}`, { cause });
  }
}

async function killAgainAndAgain(run: Run, options: CrashOptions): Promise<CrashReport["kills"]> {
  const kills = {
    "at-acknowledgements": 0,
    "at-written-rows": 0,
    "while-starting": 0,
    "at-first-line": 0,
    "while-stopping": 0,
  };
  for (let number = 1; number <= options.kills; number += 1) {
    const kill = drawKill(run.random);
    await liveAndDie(run, kill);
    kills[kill.kind] += 1;
    options.tell(
      `kill ${number} of ${options.kills}: ${describe(kill)}, ${run.book.acknowledged.size} acknowledged so far`,
    );
  }
  return kills;
}

function describe(kill: Kill): string {
  switch (kill.kind) {
    case "at-acknowledgements":
      return `after ${kill.count} acknowledgements`;
    case "at-written-rows":
      return `after ${kill.count} written rows`;
    case "while-starting":
      return `${kill.delayMs} ms after the start`;
    case "at-first-line":
      return "at the first line";
    case "while-stopping":
      return `${kill.delayMs} ms after SIGTERM`;
  }
}

/** One incarnation of the program up to its kill, and of the clients up to their broken connections. */
async function liveAndDie(run: Run, kill: Kill): Promise<void> {
  const program = startGateway(run.gateway);
  try {
    switch (kill.kind) {
      case "while-starting":
        return await pause(kill.delayMs);
      case "at-first-line":
        await firstLine(program);
        return;
      case "at-acknowledgements":
        return await underLoad(run, program, async () => {
          await acknowledged(run, program, kill.count);
        });
      case "at-written-rows":
        return await underLoad(run, program, async () => {
          await whileAlive(program, "written rows", written(run.gateway, kill.count));
        });
      case "while-stopping":
        return await underLoad(run, program, async () => {
          await acknowledged(run, program, kill.count);
          program.signal("SIGTERM");
          await pause(kill.delayMs);
        });
    }
  } finally {
    await program.kill();
  }
}

/** Starts clients once the program listens, does `work`, and kills it before waiting for the clients. */
async function underLoad(
  run: Run,
  program: RunningProgram,
  work: () => Promise<void>,
): Promise<void> {
  const clients = await startClients(run, program);
  try {
    await work();
  } finally {
    await program.kill();
    clients.stop();
    await within(clientsDeadlineMs, "end of the clients", clients.ended);
  }
}

interface Clients {
  readonly ended: Promise<unknown>;
  stop(): void;
}

async function startClients(run: Run, program: RunningProgram): Promise<Clients> {
  const { gateway, book, random, sessions, keys } = run;
  await listening(gateway, program);
  run.incarnation += 1;
  const control = new AbortController();
  const optionsOf = (kind: "t" | "h", port: number, index: number) => {
    // A sequence for each client: its draws do not depend on how the clients interleave.
    const own = createSeededRandom(random.integer(0, 2 ** 31));
    return {
      port,
      name: `${kind}${run.incarnation}.${index}`,
      random: own,
      book,
      stop: control.signal,
    };
  };
  const ended = Promise.all([
    ...Array.from({ length: tcpClients }, (_, index) =>
      runTcpClient(optionsOf("t", gateway.tcpPort, index)),
    ),
    ...Array.from({ length: httpClients }, (_, index) =>
      runHttpClient(optionsOf("h", gateway.httpPort, index)),
    ),
    ...sessions.map((client) => client.run({ port: gateway.tcpPort, stop: control.signal })),
    ...keys.map((client) => client.run({ port: gateway.httpPort, stop: control.signal })),
  ]);
  return { ended, stop: () => control.abort() };
}

async function acknowledged({ book }: Run, program: RunningProgram, count: number): Promise<void> {
  await whileAlive(program, `${count} acknowledgements`, book.acknowledgedMore(count));
}

/** The last incarnation: some load, clients that end by themselves, everything processed, a clean stop. */
async function liveAndStop(run: Run): Promise<void> {
  const program = startGateway(run.gateway);
  try {
    const clients = await startClients(run, program);
    await acknowledged(run, program, lastAcknowledgements);
    clients.stop();
    await within(clientsDeadlineMs, "clean end of the clients", clients.ended);
    for (const { openCount } of [...run.sessions, ...run.keys])
      if (openCount > 0) run.book.problem(`${openCount} records were sent again in vain`);
    await processAndStop(run.gateway, program);
  } catch (cause) {
    throw new Error(`last start: the program printed:\n${program.output}`, { cause });
  } finally {
    await program.kill();
  }
}

/** The report in a few lines. */
export function showReport(report: CrashReport): string {
  const kills = Object.entries(report.kills).map(([kind, times]) => `${times} ${kind}`);
  return [
    `seed ${report.seed}; kills: ${kills.join(", ")}`,
    `${report.sent} records, ${report.resent} of them sent again, ${report.acknowledged} acknowledged, ${report.unacknowledgedStored} stored without an acknowledgement`,
    `${report.inParts} ids in finished parts, ${report.inTable} in the table`,
    ...(report.problems.length === 0
      ? ["lost 0, repeated 0"]
      : [...report.problems.map((text) => `PROBLEM: ${text}`), `kept: ${report.directory}`]),
  ].join("\n");
}
