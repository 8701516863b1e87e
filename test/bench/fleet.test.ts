import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { type Outage, type OutageFigures, simulateOutage } from "../../bench/fleet/outage.ts";

const GATEWAYS = 1_000;
const OUTAGE: Outage = {
  gateways: GATEWAYS,
  connectionsMax: 1,
  callers: 1,
  outageMs: 60_000,
  away: "refusing",
  seed: 1,
};

/** The bounds of the goal, of a fleet of this size. */
function checkGoal(figures: OutageFigures, gateways: number): void {
  const text = JSON.stringify(figures);
  ok(figures.connectsMost <= 25, text);
  ok(figures.peakFirst <= gateways * 0.05, text);
  ok(figures.backP99Ms <= 5_000, text);
}

test("fleet: 1,000 gateways, their sink away for 60 s: few connects, no stampede, all back soon", async () => {
  const figures = await simulateOutage(OUTAGE);
  checkGoal(figures, GATEWAYS);
  ok(figures.peakBack <= GATEWAYS * 0.05, JSON.stringify(figures));
  // They did try, and they were away.
  ok(figures.connectsMedian > 10 && figures.backP50Ms > 500, JSON.stringify(figures));
});

test("fleet: more connections and callers of a gateway make no more connects while the sink is away", async () => {
  const gateways = 200;
  const figures = await simulateOutage({ ...OUTAGE, gateways, connectionsMax: 4, callers: 8 });
  // So small a fleet has no 5 %: the share of so few gateways is left to chance.
  checkGoal({ ...figures, peakFirst: 0 }, gateways);
});

test("fleet: a sink that falls silent is back within a connect deadline more", async () => {
  const figures = await simulateOutage({ ...OUTAGE, gateways: 200, away: "silent" });
  ok(figures.connectsMost <= 25 && figures.backMostMs <= 10_000, JSON.stringify(figures));
});

test("fleet: the same seed gives the same figures, another one does not", async () => {
  const small = { ...OUTAGE, gateways: 20, outageMs: 10_000 };
  const figures = await simulateOutage(small);
  deepEqual(await simulateOutage(small), figures);
  ok((await simulateOutage({ ...small, seed: 2 })).backP50Ms !== figures.backP50Ms);
});
