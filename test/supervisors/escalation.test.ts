import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Strategy, StrategyOptions, Supervisor } from "../../src/contract/unit.ts";
import { HoldfastError } from "../../src/errors.ts";
import { SupervisedWorld, strategy } from "../support/supervised.ts";

const HANDS_UP = strategy({ decide: () => "escalate" });

/** `a`, `b`, `c` in a group that hands everything up, and `other` beside it. */
async function groupOfThree(above: Partial<StrategyOptions>): Promise<{
  readonly world: SupervisedWorld;
  readonly group: Supervisor;
}> {
  const world = new SupervisedWorld(strategy(above));
  const group = world.root.group("g", HANDS_UP);
  for (const name of ["a", "b", "c"]) await group.start(world.named(name)).started;
  await world.root.start(world.named("other")).started;
  world.takeCalls();
  return { world, group };
}

test("escalation: restart above restarts the whole group, over at once, closed in reverse, opened in order", async () => {
  const { world } = await groupOfThree({ decide: () => "restart" });
  world.fail("g/b");
  deepEqual(world.takeCalls(), ["fence c.2", "fence b.2", "fence a.2"]);
  await world.clock.advance(99);
  deepEqual(world.takeCalls(), ["close c.1", "close b.1", "close a.1"]);
  await world.clock.advance(1);
  deepEqual(world.takeCalls(), ["open a.2", "open b.2", "open c.2"]);
  deepEqual(world.standing(), [
    "g/a running 2",
    "g/b running 2",
    "g/c running 2",
    "other running 1",
  ]);
  const told = world.events.filter(({ kind }) => kind === "failed" || kind === "escalated");
  deepEqual(
    told.map(({ kind, unit }) => `${kind} ${unit}`),
    ["failed g/b", "escalated g/b", "failed g"],
  );
  await world.root.stop();
  equal(world.clock.timerCount, 0);
});

test("escalation: the group's own window bounds its restarts, then the root is told once", async () => {
  const { world } = await groupOfThree({ maxRestarts: 1, onExhausted: "escalate" });
  world.fail("g/a");
  await world.clock.advance(100);
  equal(world.escalated.length, 0);
  const last = new Error("again");
  world.fail("g/a", last);
  await world.clock.advance(1_000);
  deepEqual(world.escalated, [last]);
  deepEqual(world.standing(), [
    "g/a parked 2",
    "g/b running 2",
    "g/c running 2",
    "other running 1",
  ]);
  await world.root.stop();
});

test("escalation: resume above lets the child go on with its state", async () => {
  const { world } = await groupOfThree({ decide: () => "resume" });
  const unit = world.root.find("g/b");
  world.fail("g/b");
  await world.settle();
  deepEqual([world.takeCalls(), unit?.state().status], [["resumed b"], "running"]);
  await world.root.stop();
});

test("escalation: resume above of a child that never opened is a restart of the group, charged to its window", async () => {
  const world = new SupervisedWorld(strategy({ decide: () => "resume", maxRestarts: 2 }));
  const group = world.root.group("g", HANDS_UP);
  await group.start(world.named("a")).started;
  let attempts = 0;
  const open = (): Promise<never> => {
    attempts++;
    return Promise.reject(new Error("refused"));
  };
  group.start(world.named("b", { open }));
  await world.clock.advance(50_000);
  equal(attempts, 3);
  deepEqual(world.standing(), ["g/a parked 3", "g/b parked 3"]);
  await world.root.stop();
});

test("escalation: stop above ends the group in reverse order, the one that failed is over first", async () => {
  const { world } = await groupOfThree({ decide: () => "stop" });
  world.fail("g/b");
  await world.settle();
  const calls = world.takeCalls();
  equal(calls[0], "fence b.2");
  deepEqual(
    calls.filter((call) => !call.includes(" b.")),
    ["close c.1", "fence c.2", "close a.1", "fence a.2"],
  );
  deepEqual(world.standing(), [
    "g/a stopped 1",
    "g/b stopped 1",
    "g/c stopped 1",
    "other running 1",
  ]);
  await world.root.stop();
});

test("escalation: park above parks the group; each is started again by hand", async () => {
  const { world } = await groupOfThree({ maxRestarts: 0, onExhausted: "park" });
  world.fail("g/b");
  await world.settle();
  deepEqual(world.standing(), ["g/a parked 1", "g/b parked 1", "g/c parked 1", "other running 1"]);
  world.root.find("g/a")?.restart();
  await world.settle();
  deepEqual(world.standing()[0], "g/a running 2");
  await world.root.stop();
});

test("escalation: goes up level by level until one decides", async () => {
  for (const [top, reached] of [
    ["restart", 0],
    ["escalate", 1],
  ] as const) {
    const world = new SupervisedWorld(strategy({ decide: () => top }));
    const outer = world.root.group("outer", HANDS_UP);
    const inner = outer.group("inner", HANDS_UP);
    await inner.start(world.named("deep")).started;
    await outer.start(world.named("beside")).started;
    world.fail("outer/inner/deep");
    await world.clock.advance(1_000);
    equal(world.escalated.length, reached);
    const epochs = world.root.states().map(({ epoch }) => epoch);
    deepEqual(epochs, top === "restart" ? [2, 2] : [1, 1]);
    await world.root.stop();
  }
});

test("escalation: what trying again cannot mend is handed up at once where the strategy escalates when exhausted", async () => {
  const world = new SupervisedWorld(strategy({ onExhausted: "escalate" }));
  const unit = world.root.start(world.named("log"));
  await unit.started;
  const error = new HoldfastError("LOG_DAMAGED", "2 of 3 segments");
  world.fail("log", error);
  await world.settle();
  deepEqual([world.escalated, unit.state().status, unit.state().restarts], [[error], "parked", 0]);
  await world.root.stop();
});

test("escalation: a group is restarted ever later, until it was healthy with progress", async () => {
  const { world } = await groupOfThree({ maxRestarts: Infinity });
  const delays: number[] = [];
  for (const isAlive of [false, false, true, false]) {
    world.fail("g/b");
    await world.settle();
    const event = world.events.findLast(
      ({ kind, unit }) => kind === "backing-off" && unit === "g/b",
    );
    if (event?.kind === "backing-off") delays.push(event.delayMs);
    await world.clock.advance(1_000);
    if (isAlive) world.contexts.findLast(({ path }) => path === "g/a")?.alive();
    await world.clock.advance(6_000);
  }
  deepEqual(delays, [100, 200, 400, 100]);
  await world.root.stop();
  equal(world.clock.timerCount, 0);
});

test("escalation: a decider that throws hands up, and its own error is told too", async () => {
  const world = new SupervisedWorld(
    strategy({
      decide: () => {
        throw new TypeError("decider");
      },
    }),
  );
  await world.root.start(world.named("a")).started;
  world.fail("a", new Error("original"));
  await world.settle();
  deepEqual(
    world.events.flatMap((event) => (event.kind === "failed" ? [event.error.message] : [])),
    ["decider", "original"],
  );
  deepEqual(
    world.escalated.map(({ message }) => message),
    ["original"],
  );
  await world.root.stop();
});

test("scope: all-for-one restarts all, rest-for-one those started later, one-for-one only the one", async () => {
  for (const [scope, restarted] of [
    ["one-for-one", [1, 2, 1, 1]],
    ["rest-for-one", [1, 2, 2, 2]],
    ["all-for-one", [2, 2, 2, 2]],
  ] as const) {
    const scoped: Strategy = { ...strategy(), scope };
    const world = new SupervisedWorld(scoped);
    for (const name of ["a", "b", "c"]) await world.root.start(world.named(name)).started;
    await world.root.group("g", strategy()).start(world.named("d")).started;
    world.fail("b");
    await world.clock.advance(100);
    const epochs = world.root.states().map(({ epoch }) => epoch);
    deepEqual(epochs, restarted, scope);
    await world.root.stop();
  }
});

test("escalation: a stop overtakes the restart of a group", async () => {
  const { world } = await groupOfThree({ decide: () => "restart" });
  world.fail("g/b");
  await world.clock.advance(50);
  deepEqual(await world.root.stop(), { notStopped: [] });
  await world.clock.advance(10_000);
  equal(world.calls.filter((call) => call.startsWith("open")).length, 0);
  equal(world.clock.timerCount, 0);
});

test("escalation: a unit that waits for its restart when its group is parked stays parked", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 0 }));
  const group = world.root.group("g", HANDS_UP);
  await group.start(world.named("a")).started;
  await group.start(world.named("b", { strategy: strategy() })).started;
  world.fail("g/b");
  await world.settle();
  deepEqual(world.standing(), ["g/a running 1", "g/b backing-off 1"]);
  world.fail("g/a");
  await world.clock.advance(10_000);
  deepEqual(world.standing(), ["g/a parked 1", "g/b parked 1"]);
  await world.root.stop();
});
