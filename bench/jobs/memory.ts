import { databasePathOf, partsDirectoryOf } from "../../test/support/gateway-example.ts";
import { openSqlite } from "../../test/support/sqlite-reader.ts";
import { pause } from "../../test/support/deadline.ts";
import { gateway, rawLines, sqliteSmallLog } from "../configurations.ts";
import type { Job, Measurement, RunContext } from "../job.ts";
import { scaled } from "../job.ts";
import { recordBytes, sendLoad } from "../load.ts";
import { forgetPeak } from "../process-usage.ts";
import { type BenchProgram, BenchSite } from "../program.ts";
import { directoryBytes } from "../verify.ts";

const bytesPerMib = 1024 * 1024;
const settleMs = 15_000;
const longCount = 20_000_000;
const sampleMs = 100;
const flowMs = 10_000;
const stallMs = 60_000;
const stallGraceSeconds = 30;
const lockWaitMs = 10_000;
/** The commit that was under way when the lock was taken is counted a moment later. */
const lockSettleMs = 500;

/** RSS of the gateway some seconds after its start and a few records. */
function idleGateway(context: RunContext): Promise<readonly Measurement[]> {
  return BenchSite.with(gateway, (site) =>
    site.run(async (program) => {
      await sendLoad({ port: site.place.tcpPort, count: 10, connections: 1 });
      await program.drained(() => true);
      await pause(scaled(context, settleMs));
      return [{ metric: "RSS", value: program.usage().residentBytes / bytesPerMib, unit: "MiB" }];
    }),
  );
}

/** Highest RSS in the second and in the last quarter of a long run: flat when the two are alike. */
function longRun(context: RunContext): Promise<readonly Measurement[]> {
  return BenchSite.with(rawLines, (site) =>
    site.run(async (program) => {
      const count = scaled(context, longCount);
      const bytes = count * recordBytes;
      const written = (): number => directoryBytes(partsDirectoryOf(site.place)) / bytes;
      const peaks = [0, 0, 0, 0];
      const watch = new AbortController();
      const watching = samplePeaks(program, written, peaks, watch.signal);
      await sendLoad({ port: site.place.tcpPort, count, connections: 2 });
      await program.drained(() => written() >= 1);
      watch.abort();
      await watching;
      const [, second = 0, , last = 0] = peaks;
      return [
        {
          metric: "peak RSS, second quarter of 20 M records",
          value: second / bytesPerMib,
          unit: "MiB",
        },
        {
          metric: "peak RSS, last quarter of 20 M records",
          value: last / bytesPerMib,
          unit: "MiB",
        },
        { metric: "growth between them", value: (last / second - 1) * 100, unit: "%" },
      ];
    }),
  );
}

/** Notes the highest RSS of each quarter of the output. */
async function samplePeaks(
  program: BenchProgram,
  written: () => number,
  peaks: number[],
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    const quarter = Math.min(peaks.length - 1, Math.floor(written() * peaks.length));
    peaks[quarter] = Math.max(peaks[quarter] ?? 0, program.usage().residentBytes);
    await pause(sampleMs, stop);
  }
}

/**
 * What a sink that stands still adds. Another connection holds the database's write lock for a minute while the
 * input goes on at full speed: first the log takes it, then it is full and the receivers wait.
 */
function stalledSink(context: RunContext): Promise<readonly Measurement[]> {
  return BenchSite.with(sqliteSmallLog, async (site) => {
    const program = site.launch();
    try {
      await program.ready();
      const flow = scaled(context, flowMs);
      const stall = scaled(context, stallMs);
      const sending = sendLoad({
        port: site.place.tcpPort,
        count: 999_999_999,
        connections: 2,
        secondsMax: Math.ceil((flow + stall) / 1000) + stallGraceSeconds,
      });
      // The run ends by a kill: what the generator says about missing acknowledgements is not asked for here.
      const ended = sending.catch(() => undefined);
      await pause(flow);
      const flowing = program.usage().peakBytes;
      forgetPeak(program.pid);
      const stalled = await whileLocked(program, databasePathOf(site.place), async () => {
        await pause(stall);
        return program.usage().peakBytes;
      });
      await program.kill();
      await ended;
      return [
        { metric: "peak RSS before the stall", value: flowing / bytesPerMib, unit: "MiB" },
        { metric: "peak RSS during the stall", value: stalled / bytesPerMib, unit: "MiB" },
        { metric: "added by the stall", value: (stalled - flowing) / bytesPerMib, unit: "MiB" },
      ];
    } finally {
      await program.kill();
    }
  });
}

/** Runs `work` while another connection holds the write lock; rejects when rows were written all the same. */
async function whileLocked<Value>(
  program: BenchProgram,
  path: string,
  work: () => Promise<Value>,
): Promise<Value> {
  const database = await openSqlite(path, { readOnly: false });
  try {
    database.exec(`PRAGMA busy_timeout = ${lockWaitMs}`);
    database.exec("BEGIN IMMEDIATE");
    await pause(lockSettleMs);
    const before = await program.writtenRows();
    const value = await work();
    const after = await program.writtenRows();
    if (after !== before)
      throw new Error(`the sink did not stand still: ${before} rows, then ${after}`);
    database.exec("ROLLBACK");
    return value;
  } finally {
    database.close();
  }
}

/** What it holds: idle, over a long run, and behind a sink that stands still. */
export const memory: Job = {
  name: "memory",
  title: "resident memory",
  roundsMax: 1,
  variants: [
    { name: "memory/idle gateway", run: idleGateway },
    { name: "memory/long raw run", run: longRun },
    { name: "memory/stalled sink", run: stalledSink },
  ],
};
