import { type Outage, simulateOutage } from "../fleet/outage.ts";
import type { Job, Measurement, RunContext, Variant } from "../job.ts";
import { scaled } from "../job.ts";

const gateways = 1_000;
const outageMs = 60_000;

async function run(
  context: RunContext,
  sink: Pick<Outage, "away" | "connectionsMax" | "callers" | "seed">,
): Promise<readonly Measurement[]> {
  const count = scaled(context, gateways);
  const figures = await simulateOutage({ ...sink, gateways: count, outageMs });
  const share = (connects: number): Pick<Measurement, "value" | "unit"> => ({
    value: (connects / count) * 100,
    unit: "% of the fleet",
  });
  const seconds = (ms: number): Pick<Measurement, "value" | "unit"> => ({
    value: ms / 1_000,
    unit: "s",
  });
  return [
    { metric: "connects while away, median", value: figures.connectsMedian, unit: "" },
    { metric: "connects while away, most", value: figures.connectsMost, unit: "" },
    { metric: "connects in 100 ms while away", ...share(figures.peakAway) },
    { metric: "gateways back in 100 ms", ...share(figures.peakFirst) },
    { metric: "connects in 100 ms after the return", ...share(figures.peakBack) },
    { metric: "back in service, median", ...seconds(figures.backP50Ms) },
    { metric: "back in service, p99", ...seconds(figures.backP99Ms) },
  ];
}

const variants = (
  [
    ["refusing, 1 connection each", { away: "refusing", connectionsMax: 1, callers: 1 }],
    ["refusing, 4 connections each", { away: "refusing", connectionsMax: 4, callers: 8 }],
    ["silent, 1 connection each", { away: "silent", connectionsMax: 1, callers: 1 }],
  ] as const
).map(([name, sink]): Variant => {
  // Each round is another fleet, the same ones in every run.
  let seed = 0;
  return {
    name: `fleet/${name}`,
    run(context) {
      seed += 1;
      return run(context, { ...sink, seed });
    },
  };
});

/** Virtual time and fixed seeds: the figures are the same on any machine. */
export const fleet: Job = {
  name: "fleet",
  title:
    "1,000 gateways whose sink is away for 60 s, simulated: their pools' connects, and how soon they are back",
  roundsMax: 5,
  variants,
};
