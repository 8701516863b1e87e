import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import { inlineShells } from "../../src/actor/inline-shell.ts";
import { nactShells } from "../../src/actor/nact-shell.ts";
import type { UnitContext, UnitDefinition } from "../../src/contract/unit.ts";
import { codeOf, HoldfastError } from "../../src/errors.ts";
import { createSupervisor, when } from "../../supervisors/index.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { SupervisedWorld, strategy } from "../support/supervised.ts";

for (const [name, shells] of Object.entries({ nact: nactShells, inline: inlineShells })) {
  test(`supervisor on ${name}: messages are handled in order, over a restart too, but for the one that failed`, async () => {
    const world = new SupervisedWorld(strategy(), shells);
    const unit = world.root.start(world.definition());
    await unit.started;
    for (const message of [1, 2, -1, 3, -2, 4]) equal(unit.tell(message), "ok");
    await world.clock.advance(1_000);
    deepEqual(world.handled, [1, 2, 3, 4]);
    equal(unit.state().epoch, 3);
    await world.root.stop();
    equal(world.clock.timerCount, 0);
  });

  test(`supervisor on ${name}: a new incarnation handles what was queued while there was none`, async () => {
    const world = new SupervisedWorld(strategy(), shells);
    const unit = world.root.start(world.definition());
    await unit.started;
    world.context.fail(new Error("unplugged"));
    await world.settle();
    equal(unit.state().status, "backing-off");
    equal(unit.tell(7), "ok");
    await world.clock.advance(100);
    deepEqual(world.handled, [7]);
    await world.root.stop();
  });
}

test("supervisor: a restart fences first, then closes, waits, and opens the next epoch", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(world.definition());
  await unit.started;
  const { signal } = world.context;
  world.context.fail(new Error("unplugged"));
  equal(signal.aborted, true);
  equal(world.calls.at(-1), "fence 2");
  await world.clock.advance(99);
  deepEqual(world.calls, ["open 1", "fence 2", "close 1"]);
  await world.clock.advance(1);
  deepEqual(world.calls, ["open 1", "fence 2", "close 1", "open 2"]);
  deepEqual(world.kinds(), ["starting", "started", "failed", "backing-off", "starting", "started"]);
  await world.root.stop();
});

test("supervisor: the next incarnation waits until what the old one had accepted is settled", async () => {
  const world = new SupervisedWorld();
  let settle: () => void = () => undefined;
  const unit = world.root.start(
    world.definition({ fence: () => new Promise((resolve) => (settle = resolve)) }),
  );
  await unit.started;
  world.context.fail(new Error("unplugged"));
  await world.clock.advance(5_000);
  equal(world.contexts.length, 1);
  settle();
  await world.clock.advance(100);
  equal(world.contexts.length, 2);
  settle();
  const stopping = world.root.stop();
  await world.settle();
  settle();
  await stopping;
});

test("supervisor: failures of an older epoch are ignored and counted", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(world.definition());
  await unit.started;
  const old = world.context;
  old.fail(new Error("first"));
  await world.clock.advance(100);
  old.fail(new Error("late"));
  equal(unit.state().epoch, 2);
  equal(unit.state().status, "running");
  await world.settle();
  equal(world.kinds().filter((kind) => kind === "late-result-ignored").length, 1);
  await world.root.stop();
});

test("supervisor: resume keeps the incarnation and drops only the message that failed", async () => {
  const world = new SupervisedWorld(
    strategy({ decide: when(RangeError, "resume").otherwise("restart") }),
  );
  const unit = world.root.start(world.definition());
  await unit.started;
  for (const message of [1, -1, 2]) unit.tell(message);
  await world.settle();
  deepEqual(world.handled, [1, 2]);
  deepEqual(world.calls, ["open 1", "resumed"]);
  equal(unit.state().epoch, 1);
  await world.root.stop();
});

test("supervisor: resume of a unit that could not open is a restart", async () => {
  const world = new SupervisedWorld(strategy({ decide: () => "resume" }));
  let attempts = 0;
  const unit = world.root.start(
    world.definition({
      open: () =>
        attempts++ === 0
          ? Promise.reject(new Error("no"))
          : Promise.resolve({ close: () => undefined }),
    }),
  );
  await world.clock.advance(100);
  await unit.started;
  equal(attempts, 2);
  await world.root.stop();
});

test("supervisor: stop ends the unit for good", async () => {
  const world = new SupervisedWorld(strategy({ decide: () => "stop" }));
  const unit = world.root.start(world.definition());
  await unit.started;
  world.context.fail(new Error("x"));
  await world.settle();
  equal(unit.state().status, "stopped");
  equal(unit.tell(1), "dead");
  deepEqual(world.calls, ["open 1", "fence 2", "close 1"]);
  await world.root.stop();
});

test("supervisor: the window lets N through and then parks; by hand it starts anew", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(
    world.definition({ open: () => Promise.reject(new Error("refused")) }),
  );
  await world.clock.advance(60_000);
  deepEqual([unit.state().status, unit.state().epoch], ["parked", 4]);
  await rejects(unit.started, /refused/);
  equal(unit.tell(1), "dead");
  unit.restart();
  await world.clock.advance(60_000);
  deepEqual([unit.state().status, unit.state().epoch], ["parked", 8]);
  equal(world.kinds().filter((kind) => kind === "parked").length, 2);
  await world.root.stop();
  equal(world.clock.timerCount, 0);
});

test("supervisor: what trying again cannot mend parks at once, without using up the window", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(
    world.definition({ open: () => Promise.reject(new HoldfastError("CONFIG_VALUE", "wrong")) }),
  );
  await rejects(unit.started, { code: "CONFIG_VALUE" });
  deepEqual([unit.state().status, unit.state().restarts], ["parked", 0]);
  await world.root.stop();
});

test("supervisor: exhausted may stop or escalate to the root", async () => {
  for (const [onExhausted, status] of [
    ["stop", "stopped"],
    ["escalate", "parked"],
  ] as const) {
    const world = new SupervisedWorld(strategy({ maxRestarts: 0, onExhausted }));
    const unit = world.root.start(world.definition());
    await unit.started;
    world.context.fail(new Error("x"));
    await world.settle();
    equal(unit.state().status, status);
    equal(world.escalated.length, onExhausted === "escalate" ? 1 : 0);
    await world.root.stop();
  }
});

test("supervisor: the backoff begins anew only after health with progress", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 100 }));
  const unit = world.root.start(world.definition());
  await unit.started;
  const delays = (): readonly number[] =>
    world.events.flatMap((event) => (event.kind === "backing-off" ? [event.delayMs] : []));
  for (let count = 0; count < 3; count++) {
    world.context.fail(new Error("kicked"));
    await world.clock.advance(10_000);
  }
  deepEqual(delays(), [100, 200, 400]);
  world.context.alive();
  await world.clock.advance(10_000);
  world.context.fail(new Error("kicked"));
  await world.clock.advance(10_000);
  deepEqual(delays(), [100, 200, 400, 100]);
  ok(world.kinds().includes("recovered"));
  await world.root.stop();
});

test("supervisor: deadlines of open, handle and close", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 0 }));
  const slow = world.root.start<number>({
    name: "slow",
    openDeadlineMs: 50,
    open: () => new Promise(() => undefined),
  });
  const stuck = world.root.start(world.definition({ name: "stuck", handleDeadlineMs: 70 }));
  const held = world.root.start<number>({
    name: "held",
    closeDeadlineMs: 30,
    open: () => Promise.resolve({ close: () => new Promise(() => undefined) }),
  });
  await stuck.started;
  await held.started;
  stuck.tell(-3);
  await world.clock.advance(60);
  deepEqual([slow.state().status, stuck.state().status], ["parked", "running"]);
  await world.clock.advance(20);
  equal(stuck.state().status, "parked");
  deepEqual(
    [slow, stuck].map((unit) => codeOf(unit.state().lastError)),
    ["UNIT_DEADLINE", "UNIT_DEADLINE"],
  );
  const stopping = world.root.stop();
  await world.clock.advance(10_000);
  deepEqual(await stopping, { notStopped: ["held", "stuck", "slow"] });
  equal(world.clock.timerCount, 0);
});

test("supervisor: children stop in reverse order of their start, and a stop overtakes a restart", async () => {
  const world = new SupervisedWorld();
  const order: string[] = [];
  const unit = (name: string): UnitDefinition<number> => ({
    name,
    open: () => Promise.resolve({ close: () => void order.push(name) }),
  });
  const group = world.root.group("receivers", strategy());
  for (const name of ["a", "b"]) await group.start(unit(name)).started;
  const last = world.root.start(world.definition());
  await last.started;
  world.context.fail(new Error("x"));
  await world.settle();
  equal(last.state().status, "backing-off");
  deepEqual(await world.root.stop(), { notStopped: [] });
  await world.clock.advance(10_000);
  deepEqual(
    [order, last.state().status, world.contexts.length, world.clock.timerCount],
    [["b", "a"], "stopped", 1, 0],
  );
});

test("supervisor: a unit that has done its work is stopped", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start<number>({
    name: "finite",
    open: () =>
      Promise.resolve({
        run: () => Promise.resolve(),
        close: () => void world.calls.push("close"),
      }),
  });
  await unit.started;
  await world.settle();
  deepEqual([unit.state().status, world.calls], ["stopped", ["close"]]);
  await world.root.stop();
});

test("supervisor: throws in decide, fence, close, resumed and listeners wedge nothing", async () => {
  const boom = (): never => {
    throw new Error("boom");
  };
  const world = new SupervisedWorld(strategy({ decide: boom }));
  const root = createSupervisor({
    name: "test",
    strategy: strategy(),
    clock: world.clock,
    random: createSeededRandom(1),
    shells: inlineShells,
    onEvent: boom,
  });
  let context: UnitContext | undefined;
  const unit = root.start<number>({
    name: "brittle",
    open: (given) => {
      context = given;
      return Promise.resolve({ close: boom });
    },
    fence: boom,
  });
  await unit.started;
  context?.fail(new Error("x"));
  await world.clock.advance(100);
  equal(unit.state().epoch, 2);
  deepEqual(await root.stop(), { notStopped: [] });
  const undecided = world.root.start(world.definition());
  await undecided.started;
  world.context.fail(new Error("x"));
  await world.settle();
  equal(world.escalated.length, 1);
  await world.root.stop();
});

test("supervisor: a full mailbox refuses, a taken or wrong name throws", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(
    world.definition({ mailboxMax: 1, open: () => new Promise(() => undefined) }),
  );
  deepEqual([unit.tell(1), unit.tell(2)], ["ok", "full"]);
  throws(() => world.root.start(world.definition()), { code: "CONFIG_CONFLICT" });
  throws(() => world.root.start(world.definition({ name: "Not A Name" })), {
    code: "CONFIG_VALUE",
  });
  const stopping = world.root.stop();
  await world.clock.advance(10_000);
  await stopping;
  throws(() => world.root.start(world.definition({ name: "late" })), { code: "UNIT_STOPPED" });
});
