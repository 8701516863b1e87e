import { deepEqual, equal, rejects } from "node:assert/strict";
import { test } from "node:test";
import type { UnitDefinition } from "../../src/contract/unit.ts";
import { HoldfastError } from "../../src/errors.ts";
import { slowDelayMs } from "../../supervisors/backoff.ts";
import { SupervisedWorld, strategy } from "../support/supervised.ts";

const MINUTE_MS = 60_000;

/** A unit that cannot open while `down.is` says so; when it did try, and did open, is noted in seconds. */
function device(
  world: SupervisedWorld,
  down: { is: boolean },
  more: Partial<UnitDefinition<number>> = {},
): UnitDefinition<number> & { readonly triedS: readonly number[] } {
  const triedS: number[] = [];
  return {
    name: "device",
    triedS,
    open: (context) => {
      triedS.push(Math.round(world.clock.monotonicMs() / 1_000));
      world.contexts.push(context);
      if (down.is) return Promise.reject(new Error("unplugged"));
      return Promise.resolve({ close: () => undefined });
    },
    ...more,
  };
}

test("slow lane: 2, 6, 12, 20, 30, 42, 56 minutes, then an hour each", () => {
  deepEqual(
    Array.from({ length: 9 }, (_, index) => slowDelayMs(index + 1) / MINUTE_MS),
    [2, 6, 12, 20, 30, 42, 56, 60, 60],
  );
});

test("slow lane: a parked unit is tried again, once each time, ever later; what comes next is to be seen", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 1 }));
  const definition = device(world, { is: true });
  const unit = world.root.start(definition);
  await world.clock.advance(1_000);
  const { status, nextAttemptMs } = unit.state();
  deepEqual([status, nextAttemptMs], ["parked", 100 + 2 * MINUTE_MS]);
  await world.clock.advance(3 * 60 * MINUTE_MS);
  const waits = definition.triedS
    .slice(1)
    .map((tried, index) => tried - (definition.triedS[index] ?? 0));
  deepEqual(
    waits,
    [0, 2, 6, 12, 20, 30, 42, 56].map((minutes) => minutes * 60),
  );
  const told = world.events.flatMap((event) => (event.kind === "parked" ? [event.delayMs] : []));
  deepEqual(
    told.slice(0, 3),
    [2, 6, 12].map((minutes) => minutes * MINUTE_MS),
  );
  await world.root.stop();
  equal(world.clock.timerCount, 0);
});

test("slow lane: left with health, and by one that ran longer than it had waited", async () => {
  for (const hasProgress of [true, false]) {
    const world = new SupervisedWorld(strategy({ maxRestarts: 1 }));
    const down = { is: true };
    const unit = world.root.start(device(world, down));
    await world.clock.advance(MINUTE_MS);
    down.is = false;
    await world.clock.advance(MINUTE_MS + 100);
    equal(unit.state().status, "running");
    if (hasProgress) world.context.alive();
    await world.clock.advance(hasProgress ? 5_000 : 2 * MINUTE_MS);
    world.context.fail(new Error("kicked"));
    equal(unit.state().status, "backing-off");
    await world.clock.advance(1_000);
    world.context.fail(new Error("kicked"));
    // Its window is used up again; its waits begin anew.
    deepEqual([unit.state().status, unit.state().epoch], ["parked", 4]);
    equal((unit.state().nextAttemptMs ?? 0) - world.clock.monotonicMs(), 2 * MINUTE_MS);
    await world.root.stop();
    equal(world.clock.timerCount, 0);
  }
});

test("slow lane: one that fails again soon after is parked at once, whatever its window says", async () => {
  const world = new SupervisedWorld(strategy());
  const down = { is: true };
  const unit = world.root.start(
    device(world, down, { strategy: strategy({ maxRestarts: 3, withinMs: 10_000 }) }),
  );
  await world.clock.advance(10_000);
  equal(unit.state().status, "parked");
  down.is = false;
  await world.clock.advance(2 * MINUTE_MS);
  equal(unit.state().restarts, 0);
  world.context.fail(new Error("accepted, then kicked"));
  await world.settle();
  deepEqual([unit.state().status, unit.state().epoch], ["parked", 5]);
  equal((unit.state().nextAttemptMs ?? 0) - world.clock.monotonicMs(), 6 * MINUTE_MS);
  await world.root.stop();
});

test("slow lane: a hand cancels it and begins anew", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 1 }));
  const down = { is: true };
  const unit = world.root.start(device(world, down));
  await world.clock.advance(3 * MINUTE_MS);
  equal(unit.state().epoch, 3);
  unit.restart();
  await world.clock.advance(1_000);
  deepEqual([unit.state().status, unit.state().epoch], ["parked", 5]);
  equal(world.clock.timerCount, 1);
  down.is = false;
  unit.restart();
  await world.settle();
  deepEqual([unit.state().status, unit.state().nextAttemptMs], ["running", undefined]);
  await world.root.stop();
  equal(world.clock.timerCount, 0);
});

test("slow lane: not for what only a person can mend, nor where 0 restarts mean never, nor for what nobody decided", async () => {
  for (const [options, error] of [
    [{}, new HoldfastError("CONFIG_VALUE", "wrong password")],
    [{ maxRestarts: 0 }, new Error("x")],
    [{ maxRestarts: 0, onExhausted: "escalate" }, new Error("x")],
  ] as const) {
    const world = new SupervisedWorld(strategy(options));
    const unit = world.root.start(world.definition());
    await unit.started;
    world.context.fail(error);
    await world.clock.advance(24 * 60 * MINUTE_MS);
    const { status, epoch, restarts, nextAttemptMs } = unit.state();
    deepEqual([status, epoch, restarts, nextAttemptMs], ["parked", 1, 0, undefined]);
    await world.settle();
    const parked = world.events.find(({ kind }) => kind === "parked");
    equal(parked?.kind === "parked" ? parked.delayMs : 0, undefined);
    equal(unit.tell(1), "dead");
    await rejects(unit.offer(1), { code: "UNIT_PARKED", message: /meters is parked: / });
    await world.root.stop();
  }
});

test("slow lane: a group that is parked is tried again as one", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 1 }));
  const group = world.root.group("g", strategy({ decide: () => "escalate" }));
  for (const name of ["a", "b"]) await group.start(world.named(name)).started;
  for (const _ of [1, 2]) {
    world.fail("g/a");
    await world.clock.advance(1_000);
  }
  deepEqual(world.standing(), ["g/a parked 2", "g/b parked 2"]);
  world.root.find("g/b")?.restart();
  await world.settle();
  deepEqual(world.standing(), ["g/a parked 2", "g/b running 3"]);
  await world.clock.advance(2 * MINUTE_MS);
  deepEqual(world.standing(), ["g/a running 3", "g/b running 3"]);
  world.fail("g/b");
  await world.settle();
  deepEqual(world.standing(), ["g/a parked 3", "g/b parked 3"]);
  const waits = world.root
    .states()
    .map(({ nextAttemptMs }) => (nextAttemptMs ?? 0) - world.clock.monotonicMs());
  deepEqual(waits, [6 * MINUTE_MS, 6 * MINUTE_MS]);
  await world.root.stop();
  equal(world.clock.timerCount, 0);
});

test("slow lane: not while a stop is on its way down", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 1 }));
  const parked = world.root.start(device(world, { is: true }));
  await world.root.start<number>({
    name: "slow",
    closeDeadlineMs: 10 * MINUTE_MS,
    open: () =>
      Promise.resolve({
        close: () => world.clock.sleep(5 * MINUTE_MS, new AbortController().signal),
      }),
  }).started;
  await world.clock.advance(MINUTE_MS);
  const stopping = world.root.stop();
  await world.clock.advance(4 * MINUTE_MS);
  deepEqual([parked.state().status, parked.state().epoch], ["parked", 2]);
  await world.clock.advance(2 * MINUTE_MS);
  deepEqual([await stopping, parked.state().status], [{ notStopped: [] }, "stopped"]);
  equal(world.clock.timerCount, 0);
});
