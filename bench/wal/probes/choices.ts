import { closeSync, constants, fdatasync, openSync, write } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { crc32 } from "node:zlib";
import { quantile } from "../../statistics.ts";
import type { WriteReply, WriteRequest } from "../commit-worker.ts";
import { RecycledFile } from "../recycled-file.ts";

/** How the log's file is written. */
export interface PathOptions {
  readonly directory: string;
  readonly path: "main thread" | "worker thread" | "growing, O_DSYNC" | "growing, fdatasync";
  readonly writeBytes: number;
  readonly writes: number;
}

export interface PathNumbers {
  readonly p50Us: number;
  readonly writesPerSecond: number;
  /** 0 to 1: how much of the time the main thread's loop was busy. */
  readonly mainBusyShare: number;
}

const fileBytes: number = 64 * 1024 * 1024;
const warmupShare = 0.2;
const salt = 0x1234_5678;

/** Takes a filled entry, returns its buffer when it is durable. */
interface Path {
  commit(entry: Uint8Array): Promise<Uint8Array>;
  close(): Promise<unknown>;
}

/** Commits of one size, one in flight: each is copied into its buffer, summed and written. */
export async function commitPath(options: PathOptions): Promise<PathNumbers> {
  const path = openPath(options);
  const records = Buffer.alloc(options.writeBytes, 0x61);
  let buffer: Uint8Array = new Uint8Array(options.writeBytes);
  const times: number[] = [];
  const run = async (writes: number): Promise<void> => {
    for (let index = 0; index < writes; index += 1) {
      const startMs = performance.now();
      buffer.set(records);
      buffer = await path.commit(buffer);
      times.push(performance.now() - startMs);
    }
  };
  await run(Math.ceil(options.writes * warmupShare));
  times.length = 0;
  const loopBefore = performance.eventLoopUtilization();
  const startMs = performance.now();
  await run(options.writes);
  const seconds = (performance.now() - startMs) / 1000;
  const loop = performance.eventLoopUtilization(loopBefore);
  await path.close();
  const sorted = times.toSorted((left, right) => left - right);
  return {
    p50Us: quantile(sorted, 0.5) * 1000,
    writesPerSecond: options.writes / seconds,
    mainBusyShare: loop.utilization,
  };
}

function openPath(options: PathOptions): Path {
  const name = join(options.directory, "commits");
  switch (options.path) {
    case "main thread":
      return mainPath(name);
    case "worker thread":
      return workerPath(name);
    case "growing, O_DSYNC":
    case "growing, fdatasync":
      return growingPath(name, options.path === "growing, O_DSYNC");
  }
}

function mainPath(name: string): Path {
  const file = new RecycledFile(name, fileBytes, "O_DSYNC");
  return {
    async commit(entry) {
      crc32(entry, salt);
      await file.write(entry);
      return entry;
    },
    close: async () => file.close(),
  };
}

/** The worker sums and writes with blocking calls; the entry's buffer goes there and comes back, not copied. */
function workerPath(name: string): Path {
  const worker = new Worker(new URL("../commit-worker.js", import.meta.url), {
    workerData: { path: name, fileBytes, salt },
  });
  let settle: ((entry: Uint8Array) => void) | undefined;
  let fail: ((cause: Error) => void) | undefined;
  worker.on("message", ({ entry }: WriteReply) => settle?.(entry));
  worker.on("error", (cause) => fail?.(cause));
  return {
    commit: (entry) =>
      new Promise((resolve, reject) => {
        settle = resolve;
        fail = reject;
        const request: WriteRequest = { entry };
        worker.postMessage(request, [entry.buffer as ArrayBuffer]);
      }),
    close: () => worker.terminate(),
  };
}

/** A file that gets longer with each write: what a log without segments made ahead does. */
function growingPath(name: string, isDsync: boolean): Path {
  const { O_CREAT, O_DSYNC, O_RDWR } = constants;
  const fd = openSync(name, O_RDWR | O_CREAT | (isDsync ? O_DSYNC : 0), 0o600);
  let position = 0;
  return {
    commit(entry) {
      crc32(entry, salt);
      const at = position;
      position += entry.length;
      return new Promise((resolve, reject) => {
        write(fd, entry, 0, entry.length, at, (error) => {
          if (error !== null) return reject(error);
          if (isDsync) return resolve(entry);
          fdatasync(fd, (failure) => (failure === null ? resolve(entry) : reject(failure)));
        });
      });
    },
    close: async () => closeSync(fd),
  };
}
