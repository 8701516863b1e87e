/**
 * The library's own log, opened as its owner opens it, with as little around it as can be.
 */
import type { AppendOrigin, Log } from "../../src/contract/log.ts";
import { realHost } from "../../src/host/real-host.ts";
import type { LogOptions } from "../../src/wal/log-options.ts";
import { openLog } from "../../src/wal/open-log.ts";
import { linesBlock } from "./blocks.ts";

/** Who appends in every bench. */
export const origin: AppendOrigin = { receiver: "bench", epoch: 1 };

/** What was committed since the opening. */
export interface Commits {
  entryCount: number;
  /** Of entries, headers included, without padding. */
  entryBytes: number;
  recordCount: number;
}

/** An open log with a count of its commits. */
export interface BenchLog {
  readonly log: Log;
  readonly commits: Commits;
}

/** Options of {@link openBenchLog}: the machine's clock and files unless something else is given. */
export type BenchLogOptions = Pick<LogOptions, "directory"> & Partial<LogOptions>;

/** Opens a log; damage and failures are errors of the bench. */
export async function openBenchLog(options: BenchLogOptions): Promise<BenchLog> {
  const { clock, files, random } = realHost();
  const commits: Commits = { entryCount: 0, entryBytes: 0, recordCount: 0 };
  const { log } = await openLog({
    clock,
    files,
    random,
    listener: {
      committed: ({ bytes, recordCount }) => {
        commits.entryCount += 1;
        commits.entryBytes += bytes;
        commits.recordCount += recordCount;
      },
      stateChanged: (state, cause) => {
        if (cause !== undefined) console.error(`the log is ${state}:`, cause);
      },
      gap: ({ from, reason, to }) => console.error(`gap of ${from} to ${to}: ${reason}`),
      pressure: () => undefined,
    },
    ...options,
  });
  return { log, commits };
}

/** Segments that are filled and freed before a measurement: the open one, both spares, and one that is read. */
const warmSegments = 5;
const warmBlockRecords = 5_000;

/**
 * Fills and frees segments until the log writes over files that were written before: a log that has just been made
 * writes zeros ahead, which competes with what is measured and is over once and for all.
 */
export async function recycle(log: Log, segmentBytes: number): Promise<void> {
  const block = linesBlock(warmBlockRecords);
  const blocks = Math.ceil((warmSegments * segmentBytes) / block.values.length);
  for (let index = 0; index < blocks; index += 1) {
    await log.append(block, origin);
    releaseAll(log);
  }
}

/** Frees what is durable: what a pipeline that keeps up does, so that segments are recycled. */
export function releaseAll(log: Log): void {
  log.release(log.durableEnd).catch((cause: unknown) => console.error("release failed:", cause));
}
