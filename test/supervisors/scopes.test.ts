import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { StrategyOptions, UnitDefinition } from "../../src/contract/unit.ts";
import { HoldfastError } from "../../src/errors.ts";
import { allForOne, restForOne, withoutJitter } from "../../supervisors/index.ts";
import { SupervisedWorld, strategy } from "../support/supervised.ts";

const BACKOFF = withoutJitter({ minMs: 100, maxMs: 1_000, resetAfterMs: 5_000 });
const MINUTE_MS = 60_000;
const OPTIONS: StrategyOptions = { maxRestarts: 2, withinMs: MINUTE_MS, backoff: BACKOFF };
const HOPELESS = new HoldfastError("CONFIG_VALUE", "wrong");

/** `a`, a group `g` with `b` and `c`, and `d`, under one strategy. */
async function family(world: SupervisedWorld): Promise<void> {
  await world.root.start(world.named("a")).started;
  const group = world.root.group("g", strategy({ decide: () => "escalate" }));
  for (const name of ["b", "c"]) await group.start(world.named(name)).started;
  await world.root.start(world.named("d")).started;
  world.takeCalls();
}

test("all-for-one: all are over at once, close in reverse, wait together and open in order", async () => {
  const world = new SupervisedWorld(allForOne(OPTIONS));
  await family(world);
  world.fail("a");
  deepEqual(world.takeCalls(), ["fence d.2", "fence c.2", "fence b.2", "fence a.2"]);
  await world.clock.advance(99);
  deepEqual(world.takeCalls(), ["close d.1", "close c.1", "close b.1", "close a.1"]);
  await world.clock.advance(1);
  deepEqual(world.takeCalls(), ["open a.2", "open b.2", "open c.2", "open d.2"]);
  await world.root.stop();
  equal(world.clock.timerCount, 0);
});

test("all-for-one: the restart is charged to the one that failed, to no other", async () => {
  const world = new SupervisedWorld(allForOne(OPTIONS));
  await family(world);
  for (const path of ["a", "d", "a"]) {
    world.fail(path);
    await world.clock.advance(1_000);
  }
  const restarts = world.root.states().map((state) => `${state.unit} ${state.restarts}`);
  deepEqual(restarts, ["a 2", "g/b 0", "g/c 0", "d 1"]);
  await world.root.stop();
});

test("rest-for-one: those started earlier go on, a group that fails is a member like any other", async () => {
  const world = new SupervisedWorld(restForOne(OPTIONS));
  await family(world);
  world.fail("g/c");
  await world.clock.advance(100);
  deepEqual(world.takeCalls(), [
    "fence d.2",
    "fence c.2",
    "fence b.2",
    "close d.1",
    "close c.1",
    "close b.1",
    "open b.2",
    "open c.2",
    "open d.2",
  ]);
  deepEqual(world.standing()[0], "a running 1");
  await world.root.stop();
});

test("scopes: each opens when the one before is open, and not at all when that one fails", async () => {
  const world = new SupervisedWorld(allForOne(OPTIONS));
  let isDown = false;
  const slow = world.named("slow");
  world.root.start({
    ...slow,
    open: async (context) => {
      await world.clock.sleep(500, context.signal);
      if (isDown) throw new Error("still down");
      return await slow.open(context);
    },
  });
  world.root.start(world.named("next"));
  await world.clock.advance(500);
  world.takeCalls();
  isDown = true;
  world.fail("next");
  await world.clock.advance(599);
  deepEqual(world.standing(), ["slow starting 2", "next backing-off 1"]);
  isDown = false;
  await world.clock.advance(1);
  deepEqual(world.takeCalls().slice(-2), ["open slow.2", "open next.2"]);
  isDown = true;
  world.fail("next");
  await world.clock.advance(200 + 500);
  // Its opening failed: all wait again, the one behind it was never opened.
  deepEqual(world.standing(), ["slow backing-off 3", "next backing-off 2"]);
  await world.root.stop();
  equal(world.clock.timerCount, 0);
});

test("scopes: a sibling that is parked for reasons of its own stays so", async () => {
  const world = new SupervisedWorld(allForOne(OPTIONS));
  const own = { strategy: strategy({ maxRestarts: 0 }) };
  await world.root.start(world.named("alone", own)).started;
  await family(world);
  world.fail("alone");
  world.fail("a");
  await world.clock.advance(1_000);
  deepEqual(world.standing(), [
    "alone parked 1",
    "a running 2",
    "g/b running 2",
    "g/c running 2",
    "d running 2",
  ]);
  await world.root.stop();
});

test("scopes: parked together, tried again together, in order", async () => {
  const world = new SupervisedWorld(restForOne({ ...OPTIONS, maxRestarts: 1 }));
  await family(world);
  world.fail("g/b");
  await world.clock.advance(1_000);
  world.takeCalls();
  world.fail("g/b");
  await world.settle();
  deepEqual(world.takeCalls(), [
    "fence d.3",
    "fence c.3",
    "fence b.3",
    "close d.2",
    "close c.2",
    "close b.2",
  ]);
  deepEqual(world.standing(), ["a running 1", "g/b parked 2", "g/c parked 2", "d parked 2"]);
  const due = world.root.states().map(({ nextAttemptMs }) => nextAttemptMs);
  deepEqual(due, [undefined, ...[1, 2, 3].map(() => 1_000 + 2 * MINUTE_MS)]);
  await world.clock.advance(2 * MINUTE_MS);
  deepEqual(world.takeCalls(), ["open b.3", "open c.3", "open d.3"]);
  await world.root.stop();
  equal(world.clock.timerCount, 0);
});

test("scopes: by hand, the one that parked the others starts them too; another starts alone", async () => {
  const world = new SupervisedWorld(allForOne(OPTIONS));
  for (const name of ["a", "b", "c"]) await world.root.start(world.named(name)).started;
  world.fail("b", HOPELESS);
  await world.settle();
  deepEqual(world.standing(), ["a parked 1", "b parked 1", "c parked 1"]);
  world.root.find("c")?.restart();
  await world.settle();
  deepEqual(world.standing(), ["a parked 1", "b parked 1", "c running 2"]);
  world.root.find("b")?.restart();
  await world.settle();
  deepEqual(world.standing(), ["a running 2", "b running 2", "c running 2"]);
  await world.root.stop();
});

test("scopes: a stop reaches them too, in reverse order; what has failed is over first", async () => {
  const world = new SupervisedWorld(restForOne({ ...OPTIONS, decide: () => "stop" }));
  for (const name of ["a", "b", "c"]) await world.root.start(world.named(name)).started;
  world.takeCalls();
  world.fail("b");
  await world.settle();
  const calls = world.takeCalls();
  equal(calls[0], "fence b.2");
  deepEqual(
    calls.filter((call) => !call.includes(" b.")),
    ["close c.1", "fence c.2"],
  );
  deepEqual(world.standing(), ["a running 1", "b stopped 1", "c stopped 1"]);
  await world.root.stop();
});

test("scopes: one that is stopped while all restart keeps nobody from opening", async () => {
  for (const name of ["a", "b"]) {
    const world = new SupervisedWorld(allForOne(OPTIONS));
    for (const each of ["a", "b", "c"]) await world.root.start(world.named(each)).started;
    const context = world.contexts.find(({ path }) => path === name);
    context?.signal.addEventListener("abort", () => void world.root.find(name)?.stop());
    world.fail("c");
    await world.clock.advance(1_000);
    const others = world.standing().filter((each) => !each.startsWith(name));
    equal(others.filter((each) => each.endsWith("running 2")).length, 2, others.join());
    await world.root.stop();
  }
});

test("scopes: each closes when the one after it is closed; the wait begins when all are", async () => {
  const world = new SupervisedWorld(allForOne(OPTIONS));
  const slow = (name: string): UnitDefinition<number> => ({
    ...world.named(name),
    open: ({ epoch }) =>
      Promise.resolve({
        close: async () => {
          await world.clock.sleep(300, new AbortController().signal);
          world.calls.push(`closed ${name}.${epoch} at ${world.clock.monotonicMs()}`);
        },
      }),
  });
  for (const name of ["a", "b"]) await world.root.start(slow(name)).started;
  const last = world.named("c");
  await world.root.start(last).started;
  world.takeCalls();
  world.fail("c");
  await world.clock.advance(699);
  deepEqual(world.takeCalls().slice(3), ["close c.1", "closed b.1 at 300", "closed a.1 at 600"]);
  deepEqual(
    world.root.states().map(({ nextAttemptMs }) => nextAttemptMs),
    [700, 700, 700],
  );
  await world.clock.advance(1);
  deepEqual(world.takeCalls(), ["open c.2"]);
  const stopping = world.root.stop();
  await world.clock.advance(1_000);
  await stopping;
});

test("scopes: one that cannot open and is on its own keeps those behind it from nothing", async () => {
  const world = new SupervisedWorld(allForOne(OPTIONS));
  const alone = world.named("a", { strategy: strategy({ maxRestarts: 0 }) });
  await world.root.start({
    ...alone,
    open: (context) =>
      context.epoch > 1 ? Promise.reject(new Error("gone")) : alone.open(context),
  }).started;
  await world.root.start(world.named("b")).started;
  world.fail("b");
  await world.clock.advance(1_000);
  deepEqual(world.standing(), ["a parked 2", "b running 2"]);
  await world.root.stop();
});

test("scopes: a group that restarts takes with it what was parked with it", async () => {
  const world = new SupervisedWorld(strategy());
  const group = world.root.group("g", strategy({ decide: () => "escalate" }));
  for (const name of ["a", "b"]) await group.start(world.named(name)).started;
  world.fail("g/a", HOPELESS);
  await world.settle();
  world.root.find("g/b")?.restart();
  await world.settle();
  deepEqual(world.standing(), ["g/a parked 1", "g/b running 2"]);
  world.fail("g/b");
  await world.clock.advance(1_000);
  deepEqual(world.standing(), ["g/a running 2", "g/b running 3"]);
  await world.root.stop();
});
