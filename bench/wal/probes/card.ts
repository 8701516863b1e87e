import { realClock } from "../../../src/host/clock.ts";
import { realFiles } from "../../../src/host/real-files.ts";
import { pause } from "../../../test/support/deadline.ts";
import { quantile } from "../../statistics.ts";
import { openBenchLog, origin, releaseAll } from "../bench-log.ts";
import { linesBlock, walRecordBytes } from "../blocks.ts";
import { countingFiles, noCounts } from "../counting-files.ts";

/** A steady trickle. */
export interface CardOptions {
  readonly directory: string;
  readonly minCommitIntervalMs: number;
  readonly recordsPerSecond: number;
  readonly seconds: number;
}

export interface CardNumbers {
  readonly flushesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Bytes written per byte of records. */
  readonly amplification: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const tickMs = 1;
const warmupSeconds = 1;
const releaseEvery = 1_000;

/** Appends each record alone, at its time; spares that are made ahead do not count. */
export async function card(options: CardOptions): Promise<CardNumbers> {
  const { directory, minCommitIntervalMs, recordsPerSecond, seconds } = options;
  const counts = noCounts();
  const files = countingFiles(realFiles, counts);
  const { log } = await openBenchLog({ directory, files, minCommitIntervalMs });
  const record = linesBlock(1);
  const times: number[] = [];
  const appendOne = async (): Promise<void> => {
    const startMs = realClock.monotonicMs();
    await log.append(record, origin);
    times.push(realClock.monotonicMs() - startMs);
    if (times.length % releaseEvery === 0) releaseAll(log);
  };
  await paced(appendOne, recordsPerSecond, warmupSeconds);
  times.length = 0;
  Object.assign(counts, noCounts());
  await paced(appendOne, recordsPerSecond, seconds);
  const { durableBytes, durableWrites, syncs } = counts;
  await log.close();
  const sorted = times.toSorted((left, right) => left - right);
  return {
    flushesPerSecond: (durableWrites + syncs) / seconds,
    bytesPerSecond: durableBytes / seconds,
    amplification: durableBytes / (sorted.length * walRecordBytes),
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
  };
}

/** Starts `work` at a steady rate, in ticks of a millisecond, and resolves when all of it is done. */
async function paced(work: () => Promise<void>, perSecond: number, seconds: number): Promise<void> {
  const startMs = realClock.monotonicMs();
  const all: Promise<void>[] = [];
  const wanted = perSecond * seconds;
  while (all.length < wanted) {
    const due = ((realClock.monotonicMs() - startMs) / 1000) * perSecond;
    while (all.length < Math.min(due, wanted)) all.push(work());
    await pause(tickMs);
  }
  await Promise.all(all);
}
