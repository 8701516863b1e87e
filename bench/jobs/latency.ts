import { databasePathOf } from "../../test/support/gateway-example.ts";
import { logOnly, sqliteTable } from "../configurations.ts";
import type { Job, Measurement, RunContext } from "../job.ts";
import { scaled } from "../job.ts";
import { type Load, type LoadResult, runControl, sendLoad } from "../load.ts";
import { BenchSite } from "../program.ts";
import { watchRows } from "../row-watch.ts";
import { quantile } from "../statistics.ts";

const rate = 10_000;
const seconds = 20;
/** Latencies of the first seconds are left out: code is compiled and the first segments are zeroed while they pass. */
const warmupSeconds = 8;
const connections = 2;

function load(context: RunContext): Omit<Load, "port"> {
  const count = scaled(context, rate * seconds);
  return { count, connections, rate, warmupSeconds: context.quick ? 0 : warmupSeconds };
}

function acknowledgement({ p50Ms, p99Ms, p999Ms }: LoadResult): readonly Measurement[] {
  return [
    { metric: "acknowledgement p50", value: p50Ms, unit: "ms" },
    { metric: "acknowledgement p99", value: p99Ms, unit: "ms" },
    { metric: "acknowledgement p99.9", value: p999Ms, unit: "ms" },
  ];
}

/** Acknowledgements of the log alone. */
function acknowledged(context: RunContext): Promise<readonly Measurement[]> {
  return BenchSite.with(logOnly, (site) =>
    site.run(async ({ place }) =>
      acknowledgement(await sendLoad({ ...load(context), port: place.tcpPort })),
    ),
  );
}

/** Acknowledgements, and how long until a row is seen, with the table behind the log. */
function visible(context: RunContext): Promise<readonly Measurement[]> {
  return BenchSite.with(sqliteTable, (site) =>
    site.run(async (program) => {
      const chosen = load(context);
      const stop = new AbortController();
      const from = { wallMs: Date.now() + (chosen.warmupSeconds ?? 0) * 1000 };
      const watching = watchRows(databasePathOf(site.place), from, stop.signal);
      const result = await sendLoad({ ...chosen, port: site.place.tcpPort });
      await program.drained(() => true);
      stop.abort();
      const latencies = await watching;
      if (latencies.length < result.samples * 0.9)
        throw new Error(`${latencies.length} rows were seen, ${result.samples} records were timed`);
      return [
        ...acknowledgement(result),
        { metric: "row visible p50", value: quantile(latencies, 0.5), unit: "ms" },
        { metric: "row visible p99", value: quantile(latencies, 0.99), unit: "ms" },
      ];
    }),
  );
}

/** Latencies at 10,000 records a second, one record per write. */
export const latency: Job = {
  name: "latency",
  title: "10,000 records/s, one per write, 2 connections",
  variants: [
    { name: "latency/log", control: "latency/C control", run: acknowledged },
    { name: "latency/sqlite", control: "latency/C control", run: visible },
    {
      name: "latency/C control",
      run: async (context) => acknowledgement((await runControl(load(context), "log")).load),
    },
  ],
};
