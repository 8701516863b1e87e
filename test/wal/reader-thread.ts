/**
 * A thread that follows a log and tells what it was given.
 */
import { parentPort, workerData } from "node:worker_threads";

import { type StoredBlock, valueOf } from "../../src/contract/record.ts";
import { realClock } from "../../src/host/clock.ts";
import { realFiles } from "../../src/host/real-files.ts";
import { openLogReader } from "../../src/wal/directory-reader.ts";

/** What a thread is given. */
export interface ReaderThreadOptions {
  readonly directory: string;
  /** It ends when it has everything below. */
  readonly to: number;
  readonly durableEnd: SharedArrayBuffer | undefined;
}

/** What it says in the end. */
export interface ReaderThreadReport {
  readonly recordCount: number;
  readonly expiredCount: number;
  /** What should not be: gaps, wrong texts, holes. */
  readonly wrong: readonly string[];
}

function isOptions(value: unknown): value is ReaderThreadOptions {
  return typeof value === "object" && value !== null && "directory" in value && "to" in value;
}

function wrongTexts(block: StoredBlock): readonly string[] {
  const texts = Array.from({ length: block.count }, (_, index) =>
    Buffer.from(valueOf(block, index)).toString(),
  );
  return texts.filter((text, index) => text !== `record ${block.firstOffset + index}`);
}

async function follow(options: ReaderThreadOptions): Promise<ReaderThreadReport> {
  const { directory, durableEnd, to } = options;
  const reader = await openLogReader({
    files: realFiles,
    clock: realClock,
    directory,
    pollMs: 5,
    ...(durableEnd === undefined ? {} : { durableEnd }),
  });
  const wrong: string[] = [];
  let [next, recordCount, expiredCount] = [0, 0, 0];
  for await (const item of reader.tail(0, new AbortController().signal)) {
    const from = item.kind === "records" ? item.block.firstOffset : item.from;
    if (from !== next) wrong.push(`${from} follows ${next}`);
    if (item.kind === "records") {
      wrong.push(...wrongTexts(item.block));
      next = from + item.block.count;
      recordCount += item.block.count;
    } else {
      if (item.kind === "gap") wrong.push(`gap ${item.from} to ${item.to}: ${item.reason}`);
      else expiredCount += item.to - item.from;
      next = item.to;
    }
    parentPort?.postMessage({ next }, []);
    if (next >= to) break;
  }
  await reader.close();
  return { recordCount, expiredCount, wrong };
}

if (!isOptions(workerData)) throw new Error("no options were given");
parentPort?.postMessage({ report: await follow(workerData) }, []);
