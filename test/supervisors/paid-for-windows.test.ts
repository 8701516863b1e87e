/** Restart windows and delays that others got wrong. Each title names where it was found. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { grantRestart, type RestartTimes } from "../../supervisors/restart-window.ts";
import { withoutJitter } from "../../supervisors/index.ts";
import { strategy, SupervisedWorld } from "../support/supervised.ts";

const LIMIT = { maxRestarts: 10, withinMs: 1_000 };
const { maxRestarts: N, withinMs: WITHIN_MS } = LIMIT;
const AT_ONCE = withoutJitter({ minMs: 0, maxMs: 0, resetAfterMs: 0 });

/** One failure opens Pekko's window, N - 1 come just before its end, N more when it is over. */
const AROUND_THE_EDGE = [
  0,
  ...Array.from({ length: N - 1 }, (_, index) => WITHIN_MS - N + index),
  ...Array.from({ length: N }, (_, index) => WITHIN_MS + 1 + index),
];

/** Pekko's ChildRestartStats: a failure after the window's end opens the next one with a count of 1. */
function grantedByTumbling(failuresMs: readonly number[]): readonly number[] {
  let startMs = -Infinity;
  let count = 0;
  return failuresMs.filter((nowMs) => {
    const isOver = nowMs - startMs > WITHIN_MS;
    count = isOver ? 1 : count + 1;
    if (isOver) startMs = nowMs;
    return count <= N;
  });
}

function grantedHere(failuresMs: readonly number[]): readonly number[] {
  let times: RestartTimes = [];
  return failuresMs.filter((nowMs) => {
    const granted = grantRestart(times, nowMs, LIMIT);
    times = granted ?? times;
    return granted !== undefined;
  });
}

/** The most restarts in any half-open interval of the window's length. */
function mostInWindow(grantedMs: readonly number[]): number {
  const counts = grantedMs.map(
    (firstMs) =>
      grantedMs.filter((eachMs) => eachMs >= firstMs && eachMs < firstMs + WITHIN_MS).length,
  );
  return Math.max(0, ...counts);
}

test("pekko ChildRestartStats: failures around a window's edge get 2N - 1 restarts there, N here", async () => {
  equal(mostInWindow(grantedByTumbling(AROUND_THE_EDGE)), 2 * N - 1);
  equal(mostInWindow(grantedHere(AROUND_THE_EDGE)), N);

  const world = new SupervisedWorld(strategy({ ...LIMIT, backoff: AT_ONCE, onExhausted: "park" }));
  const unit = world.root.start(world.definition());
  const restartedMs: number[] = [];
  for (const atMs of AROUND_THE_EDGE) {
    await world.clock.advance(atMs - world.clock.monotonicMs());
    const before = unit.state().epoch;
    if (unit.state().status === "running") world.context.fail(new Error("unplugged"));
    await world.settle();
    if (unit.state().epoch > before) restartedMs.push(atMs);
  }
  // The first has left the window when the eleventh asks: ten are granted, then one, and the next is refused.
  deepEqual([mostInWindow(restartedMs), restartedMs.length], [N, N + 1]);
  equal(unit.state().status, "parked");
  await world.root.stop();
});

test("flink FailureRate: N restarts are N, where recording the failure first makes them N - 1", async () => {
  for (const maxRestarts of [0, 1, 3]) {
    const world = new SupervisedWorld(strategy({ maxRestarts, withinMs: Infinity }));
    const unit = world.root.start(world.definition());
    for (let count = 0; count < maxRestarts + 3; count++) {
      await world.settle();
      if (unit.state().status === "running") world.context.fail(new Error("unplugged"));
      await world.clock.advance(2_000);
    }
    deepEqual([unit.state().status, unit.state().epoch], ["parked", maxRestarts + 1]);
    await world.root.stop();
  }
});

test("pekko maxNrOfRetries -1: a limit below 0 is refused, where with a window it means 1", () => {
  throws(() => strategy({ maxRestarts: -1, withinMs: 1_000 }), { code: "CONFIG_OUT_OF_RANGE" });
});

test("otp supervisor: a dependency that is down does not burn the restarts in milliseconds", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 3 }));
  const open = (): Promise<never> => Promise.reject(new Error("refused"));
  const unit = world.root.start(world.definition({ open }));
  await world.clock.advance(100 + 200 + 400 - 1);
  deepEqual([unit.state().status, unit.state().epoch], ["backing-off", 3]);
  await world.clock.advance(1);
  deepEqual([unit.state().status, unit.state().epoch], ["parked", 4]);
  await world.root.stop();
});

test("grappa-irc#2005: four independent children that die together do not take down what is above them", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 1, withinMs: 5_000 }));
  const names = ["a", "b", "c", "d", "e"];
  for (const name of names) await world.root.start(world.named(name)).started;
  for (const name of names.slice(0, 4)) {
    world.fail(name);
    await world.clock.advance(80);
  }
  await world.clock.advance(1_000);
  deepEqual(
    world.standing(),
    names.map((name) => `${name} running ${name === "e" ? 1 : 2}`),
  );
  deepEqual(world.escalated, []);
  await world.root.stop();
});

test("actor-ts#917: what a sibling has used of its restarts is not missing to others", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 2 }));
  for (const name of ["guilty", "innocent"]) await world.root.start(world.named(name)).started;
  for (let count = 0; count < 3; count++) {
    world.fail("guilty");
    await world.clock.advance(1_000);
  }
  deepEqual(world.standing(), ["guilty parked 3", "innocent running 1"]);
  for (let count = 0; count < 2; count++) {
    world.fail("innocent");
    await world.clock.advance(1_000);
  }
  deepEqual(world.standing(), ["guilty parked 3", "innocent running 3"]);
  await world.root.stop();
});

test("esp-rainmaker-neo-firmware#1: a peer that accepts and then kicks does not set the delay back", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: Infinity }));
  const unit = world.root.start(world.definition());
  await unit.started;
  for (let count = 0; count < 6; count++) {
    // Connected, and even a round trip, but not for long.
    world.context.alive();
    await world.clock.advance(1_000);
    world.context.fail(new Error("kicked"));
    await world.clock.advance(2_000);
  }
  const delaysMs = world.events.flatMap((event) =>
    event.kind === "backing-off" ? [event.delayMs] : [],
  );
  deepEqual(delaysMs, [100, 200, 400, 800, 1_000, 1_000]);
  ok(!world.kinds().includes("recovered"));
  await world.root.stop();
});

test("actor-ts#916: every crash of a loop is told, with its error and how far the window is used", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 3 }));
  const unit = world.root.start(world.definition());
  await unit.started;
  for (let count = 0; count < 4; count++) {
    world.context.fail(new Error(`crash ${count}`));
    await world.clock.advance(2_000);
  }
  const told = world.events.flatMap((event) =>
    event.kind === "failed"
      ? [`${event.unit} ${event.error.message} ${event.directive} ${event.restarts}/3`]
      : [],
  );
  deepEqual(told, [
    "meters crash 0 restart 1/3",
    "meters crash 1 restart 2/3",
    "meters crash 2 restart 3/3",
    "meters crash 3 restart 3/3",
  ]);
  equal(world.kinds().filter((kind) => kind === "parked").length, 1);
  await world.root.stop();
});
