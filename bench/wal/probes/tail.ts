import { closeSync, openSync, readdirSync, read as readFile, statSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../../../src/contract/log.ts";
import { openBenchLog, origin } from "../bench-log.ts";
import { groupBlocks } from "../blocks.ts";

/** Who reads: a follower that asks for what is new, one that reads a backlog, or bare reads of the same files. */
export interface TailOptions {
  readonly directory: string;
  readonly reader: "1 MiB at a time" | "in one go" | "read loop";
  readonly bytes: number;
  /** Of the entries. */
  readonly groupBytes: number;
  /** How often everything is read. */
  readonly passes: number;
}

export interface TailNumbers {
  readonly bytesPerSecond: number;
}

const bytesPerMib = 1024 * 1024;

/** Writes a log, reads it once to have it in the page cache, then measures. */
export async function tail(options: TailOptions): Promise<TailNumbers> {
  const { directory, bytes, groupBytes, reader, passes } = options;
  const { commits, log } = await openBenchLog({ directory, bytesMax: 2 * bytes + 2 ** 28 });
  const blocks = groupBlocks(groupBytes);
  while (commits.entryBytes < bytes)
    await Promise.all(blocks.map((block) => log.append(block, origin)));
  const readOnce = (): Promise<number> =>
    reader === "read loop"
      ? readFiles(directory)
      : readLog(log, reader === "in one go" ? Infinity : bytesPerMib, commits.entryBytes);
  await readOnce();
  const startMs = performance.now();
  let done = 0;
  for (let pass = 0; pass < passes; pass += 1) done += await readOnce();
  const seconds = (performance.now() - startMs) / 1000;
  await log.close();
  return { bytesPerSecond: done / seconds };
}

/** Reads every record's block; throws when one is missing. Returns the bytes of the entries. */
async function readLog(log: Log, bytesMax: number, entryBytes: number): Promise<number> {
  const { signal } = new AbortController();
  let next = 0;
  while (next < log.durableEnd) {
    const to = log.boundedEnd(next, Infinity, bytesMax);
    for await (const item of log.read({ from: next, to }, signal)) {
      if (item.kind === "gap" || item.block.firstOffset !== next)
        throw new Error(`record ${next} did not come`);
      next += item.block.count;
    }
  }
  return entryBytes;
}

/** Reads the segments' files in pieces of 1 MiB. */
async function readFiles(directory: string): Promise<number> {
  const buffer = Buffer.allocUnsafe(bytesPerMib);
  let done = 0;
  for (const name of readdirSync(directory).filter((each) => each.startsWith("seg-"))) {
    const path = join(directory, name);
    const { size } = statSync(path);
    const fd = openSync(path, "r");
    for (let at = 0; at < size; at += buffer.length) done += await readPiece(fd, buffer, at);
    closeSync(fd);
  }
  return done;
}

function readPiece(fd: number, buffer: Buffer, at: number): Promise<number> {
  return new Promise((resolve, reject) =>
    readFile(fd, buffer, 0, buffer.length, at, (error, count) =>
      error === null ? resolve(count) : reject(error),
    ),
  );
}
