import { closeSync, constants, openSync, write, writev } from "node:fs";
import { join } from "node:path";
import { quantile } from "../../statistics.ts";
import { RecycledFile } from "../recycled-file.ts";

/** How the parts of an entry reach the file. */
export interface PartsOptions {
  readonly directory: string;
  readonly way: "writev" | "copied";
  readonly partBytes: number;
  readonly parts: number;
  readonly writes: number;
}

export interface PartsNumbers {
  readonly p50Us: number;
  readonly cpuUsPerWrite: number;
}

const headerBytes = 72;
const alignmentBytes = 4096;
const fileBytes: number = 64 * 1024 * 1024;
const warmupShare = 0.2;

/** Durable writes of a header and many payloads, as parts or copied into one buffer. */
export async function parts(options: PartsOptions): Promise<PartsNumbers> {
  const path = join(options.directory, "parts");
  // Makes the file; it is written through a descriptor of its own.
  new RecycledFile(path, fileBytes, "O_DSYNC").close();
  const fd = openSync(path, constants.O_RDWR | constants.O_DSYNC);
  const payloads = Array.from({ length: options.parts }, () =>
    Buffer.alloc(options.partBytes, 0x61),
  );
  const commit = options.way === "writev" ? partsWriter(fd, payloads) : copyWriter(fd, payloads);
  const bytes = headerBytes + options.parts * options.partBytes;
  const step = Math.ceil(bytes / alignmentBytes) * alignmentBytes;
  const run = async (writes: number): Promise<readonly number[]> => {
    const times: number[] = [];
    for (let index = 0; index < writes; index += 1) {
      const startMs = performance.now();
      await commit((index * step) % (fileBytes - step));
      times.push(performance.now() - startMs);
    }
    return times;
  };
  await run(Math.ceil(options.writes * warmupShare));
  const before = process.cpuUsage();
  const times = await run(options.writes);
  const { system, user } = process.cpuUsage(before);
  closeSync(fd);
  const sorted = times.toSorted((left, right) => left - right);
  return {
    p50Us: quantile(sorted, 0.5) * 1000,
    cpuUsPerWrite: (user + system) / options.writes,
  };
}

/** Writes at a position; durable when it resolves. */
type Commit = (position: number) => Promise<void>;

function partsWriter(fd: number, payloads: readonly Buffer[]): Commit {
  const header = Buffer.alloc(headerBytes);
  const payloadBytes = payloads.reduce((sum, payload) => sum + payload.length, headerBytes);
  const padding = Buffer.alloc((alignmentBytes - (payloadBytes % alignmentBytes)) % alignmentBytes);
  return (position) =>
    new Promise((resolve, reject) => {
      writev(fd, [header, ...payloads, padding], position, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
}

function copyWriter(fd: number, payloads: readonly Buffer[]): Commit {
  const bytes = payloads.reduce((sum, payload) => sum + payload.length, headerBytes);
  const entry = Buffer.alloc(Math.ceil(bytes / alignmentBytes) * alignmentBytes);
  return (position) => {
    let at = headerBytes;
    for (const payload of payloads) {
      entry.set(payload, at);
      at += payload.length;
    }
    return new Promise((resolve, reject) => {
      write(fd, entry, 0, entry.length, position, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  };
}
