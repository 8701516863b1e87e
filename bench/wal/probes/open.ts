import { pause } from "../../../test/support/deadline.ts";
import { groupBlocks } from "../blocks.ts";
import { openBenchLog, origin } from "../bench-log.ts";

/** A log with a backlog. */
export interface BacklogOptions {
  readonly directory: string;
  readonly bytesMax: number;
  /** Appends until it holds about this much on disk, says so, and goes on until it is killed. */
  readonly bytes: number;
}

const bytesPerMib = 1024 * 1024;
const everMs = 2 ** 31 - 1;

/** Prints `ready` when the backlog is there; never returns: the caller kills it while it writes. */
export async function writeBacklog(options: BacklogOptions): Promise<never> {
  const { bytes, bytesMax, directory } = options;
  const { commits, log } = await openBenchLog({ directory, bytesMax });
  const blocks = groupBlocks(bytesPerMib);
  let isTold = false;
  for (;;) {
    await Promise.all(blocks.map((block) => log.append(block, origin)));
    if (isTold || commits.entryBytes < bytes) continue;
    isTold = true;
    console.log("ready");
  }
}

/** What an opening takes. */
export interface OpeningNumbers {
  readonly openMs: number;
  /** The highest resident memory of the whole process, Node included. */
  readonly peakRssBytes: number;
  readonly recordCount: number;
}

/** Opens the log, prints its numbers, and stays: it is killed, so that the next opening is no clean one either. */
export async function openBacklog(options: {
  readonly directory: string;
  readonly bytesMax: number;
}): Promise<never> {
  const startMs = performance.now();
  const { log } = await openBenchLog(options);
  const openMs = performance.now() - startMs;
  const numbers: OpeningNumbers = {
    openMs,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    recordCount: log.durableEnd - log.status().oldestOffset,
  };
  console.log(JSON.stringify(numbers));
  await pause(everMs);
  throw new Error("nobody killed it");
}
