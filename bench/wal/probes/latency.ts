import { join } from "node:path";
import { quantile } from "../../statistics.ts";
import { openBenchLog, origin, recycle, releaseAll } from "../bench-log.ts";
import { linesBlock } from "../blocks.ts";
import { RecycledFile } from "../recycled-file.ts";

/** One durable write after the other, or many producers that each wait for their own record. */
export interface LatencyOptions {
  readonly directory: string;
  readonly writer: "log" | "Node O_DSYNC" | "Node fdatasync" | "Node blocking O_DSYNC";
  readonly producers: number;
  /** Records of all producers together, each of them measured. */
  readonly records: number;
}

export interface LatencyNumbers {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly recordsPerSecond: number;
}

const segmentBytes: number = 16 * 1024 * 1024;
const blockBytes = 4096;
const warmupShare = 0.2;

/** A write that is durable when it resolves. */
type Write = () => Promise<unknown> | void;

export async function latency(options: LatencyOptions): Promise<LatencyNumbers> {
  const { close, write } = await openWriter(options);
  await produce(write, options.producers, Math.ceil(options.records * warmupShare));
  const startMs = performance.now();
  const times = await produce(write, options.producers, options.records);
  const seconds = (performance.now() - startMs) / 1000;
  await close();
  const sorted = Float64Array.from(times).toSorted();
  return {
    p50Us: quantile([...sorted], 0.5) * 1000,
    p99Us: quantile([...sorted], 0.99) * 1000,
    recordsPerSecond: options.records / seconds,
  };
}

/** Each producer writes its next record when the one before is durable. Returns ms per record. */
async function produce(
  write: Write,
  producers: number,
  records: number,
): Promise<readonly number[]> {
  const times: number[] = [];
  let left = records;
  const producer = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const startMs = performance.now();
      await write();
      times.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: producers }, producer));
  return times;
}

async function openWriter({
  directory,
  writer,
}: LatencyOptions): Promise<{ readonly write: Write; readonly close: () => Promise<void> }> {
  if (writer === "log") return await openLogWriter(directory);
  const flush = writer === "Node fdatasync" ? "fdatasync" : "O_DSYNC";
  const file = new RecycledFile(join(directory, "bare"), segmentBytes, flush);
  const bytes = Buffer.alloc(blockBytes, 0x61);
  return {
    write:
      writer === "Node blocking O_DSYNC" ? () => file.writeSync(bytes) : () => file.write(bytes),
    close: async () => file.close(),
  };
}

async function openLogWriter(
  directory: string,
): Promise<{ readonly write: Write; readonly close: () => Promise<void> }> {
  const { log } = await openBenchLog({ directory, segmentBytes });
  await recycle(log, segmentBytes);
  const record = linesBlock(1);
  let writes = 0;
  return {
    async write() {
      await log.append(record, origin);
      writes += 1;
      // A pipeline frees per batch, not per record.
      if (writes % 1_000 === 0) releaseAll(log);
    },
    close: () => log.close(),
  };
}
