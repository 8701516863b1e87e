import { pause } from "../../test/support/deadline.ts";
import { gateway, sqlitePaced } from "../configurations.ts";
import type { Job, Measurement, RunContext } from "../job.ts";
import { scaled } from "../job.ts";
import { sendLoad } from "../load.ts";
import { type BenchProgram, BenchSite } from "../program.ts";

const rate = 1_000;
const warmupMs = 5_000;
const pacedMs = 20_000;
/** Idle begins this long after the last record. */
const quietMs = 60_000;
const idleMs = 60_000;
const greetings = 1_000;

/** CPU share of one core while the time passes. */
async function shareOver(program: BenchProgram, milliseconds: number): Promise<number> {
  const before = program.usage().cpuSeconds;
  const startMs = performance.now();
  await pause(milliseconds);
  const seconds = (performance.now() - startMs) / 1000;
  return ((program.usage().cpuSeconds - before) / seconds) * 100;
}

function ofACore(value: number): readonly Measurement[] {
  return [{ metric: "CPU", value, unit: "% of a core" }];
}

function pacedShare(context: RunContext): Promise<readonly Measurement[]> {
  return BenchSite.with(sqlitePaced, (site) =>
    site.run(async (program) => {
      const warmup = scaled(context, warmupMs);
      const measured = scaled(context, pacedMs);
      // A little longer than what is measured, so that the end of the load is not in it.
      const count = Math.ceil((rate * (warmup + measured)) / 1000) + rate;
      const sending = sendLoad({ port: site.place.tcpPort, count, connections: 2, rate });
      await pause(warmup);
      const share = await shareOver(program, measured);
      await sending;
      return ofACore(share);
    }),
  );
}

function idleShare(context: RunContext): Promise<readonly Measurement[]> {
  return BenchSite.with(gateway, (site) =>
    site.run(async (program) => {
      await sendLoad({ port: site.place.tcpPort, count: greetings, connections: 2 });
      await program.drained(() => true);
      await pause(scaled(context, quietMs));
      return ofACore(await shareOver(program, scaled(context, idleMs)));
    }),
  );
}

/** CPU at a gateway's rate. */
export const paced: Job = {
  name: "paced",
  title: "1,000 records/s into SQLite with the example's least intervals",
  roundsMax: 3,
  variants: [{ name: "paced/sqlite", run: pacedShare }],
};

/** CPU of a gateway that has nothing to do. */
export const idle: Job = {
  name: "idle",
  title: "the example without its demo receiver, a minute after the last record",
  roundsMax: 1,
  variants: [{ name: "idle/gateway", run: idleShare }],
};
