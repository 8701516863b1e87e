/**
 * One incarnation of the gateway: its start, waits that end when it does, a clean stop, and the count afterwards.
 */
import { eventually, within } from "../support/deadline.ts";
import { startedLine } from "../support/gateway-example.ts";
import { scrape } from "../support/metrics.ts";
import { programPath, RunningProgram } from "../support/running-program.ts";
import type { Gateway } from "./gateway.ts";
import { judge } from "./judge.ts";
import type { RecordBook } from "./record-book.ts";
import { idsOfParts, idsOfTable, openParts } from "./stored-ids.ts";

/** Deadlines only turn a hang into a message: each is many times what the step takes. */
const readyDeadlineMs = 30_000;
const loadDeadlineMs = 60_000;
const drainDeadlineMs = 60_000;
const stopDeadlineMs = 30_000;

/** Starts the program, with more variables in its environment; it may not listen yet. */
export function startGateway(
  gateway: Gateway,
  environment: Readonly<Record<string, string>> = {},
): RunningProgram {
  return new RunningProgram({
    arguments: [programPath, "run", gateway.configPath],
    directory: gateway.directory,
    environment,
  });
}

/** Resolves with the first line the program prints. */
export function firstLine(program: RunningProgram): Promise<string> {
  return within(readyDeadlineMs, "first line", program.line(/./));
}

/** Resolves when every receiver listens. */
export async function listening(gateway: Gateway, program: RunningProgram): Promise<void> {
  await within(readyDeadlineMs, "start", program.line(startedLine(gateway)));
}

/** Waits under load; a program that ends by itself meanwhile is a failure with its last lines. */
export async function whileAlive(
  program: RunningProgram,
  what: string,
  awaited: Promise<unknown>,
): Promise<void> {
  const ended = program.exited.then((exit) => {
    throw new Error(`the program ended by itself (${exit.signal ?? exit.code})`);
  });
  try {
    await within(loadDeadlineMs, what, Promise.race([awaited, ended]));
  } catch (cause) {
    throw new Error(`under load; the program printed:\n${program.output}`, { cause });
  }
}

/** Resolves when the sinks have committed this many rows, all together, since the start. */
export async function written({ consolePort }: Gateway, rows: number): Promise<void> {
  const enough = async (): Promise<boolean> =>
    (await scrape(consolePort)).sum("holdfast_sink_rows_total", 0) >= rows;
  await eventually(`${rows} written rows`, enough, { everyMs: 5, deadlineMs: loadDeadlineMs });
}

/** Waits until everything stored is committed, and stops the program; any exit code but 0 rejects. */
export async function processAndStop(
  { consolePort }: Gateway,
  program: RunningProgram,
): Promise<void> {
  const caughtUp = async (): Promise<boolean> =>
    (await scrape(consolePort)).sum("holdfast_pipeline_lag_records") === 0;
  await eventually("lag 0", caughtUp, { everyMs: 20, deadlineMs: drainDeadlineMs });
  const exit = await program.stop(stopDeadlineMs);
  if (exit.code !== 0)
    throw new Error(
      `ended with ${exit.signal ?? exit.code} after SIGTERM; it printed:\n${program.output}`,
    );
}

/** What was sent, what is stored, and what is wrong about it. */
export interface Stored {
  readonly sent: number;
  readonly acknowledged: number;
  readonly unacknowledgedStored: number;
  readonly inParts: number;
  readonly inTable: number;
  readonly problems: readonly string[];
}

/** Counts over finished parts and the table; the program has ended. */
export async function countStored(gateway: Gateway, book: RecordBook): Promise<Stored> {
  const parts = await idsOfParts(gateway.partsDirectory);
  const table = await idsOfTable(gateway.databasePath, "readings");
  const verdict = judge({
    sent: book.sent,
    acknowledged: book.acknowledged,
    sinks: { parts, table },
  });
  const open = await openParts(gateway.partsDirectory);
  const leftOpen = open.length === 0 ? [] : [`parts open after a clean stop: ${open.join(", ")}`];
  return {
    sent: book.sent.size,
    acknowledged: book.acknowledged.size,
    unacknowledgedStored: verdict.unacknowledgedStored,
    inParts: parts.size,
    inTable: table.size,
    problems: [...book.problems, ...verdict.problems, ...leftOpen],
  };
}
