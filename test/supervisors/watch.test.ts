import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { UnitContext, UnitDefinition, UnitRef } from "../../src/contract/unit.ts";
import { codeOf } from "../../src/errors.ts";
import { SupervisedWorld, strategy } from "../support/supervised.ts";

/** A unit that notes what it handles and whose end it hears of. */
function watcher(
  world: SupervisedWorld,
  watched: readonly UnitRef[],
  more: Partial<UnitDefinition<number>> = {},
): UnitDefinition<number> & { readonly notes: string[] } {
  const notes: string[] = [];
  return {
    name: "watcher",
    notes,
    open: (context) => {
      world.contexts.push(context);
      for (const unit of watched) context.watch(unit);
      return Promise.resolve({
        handle: (message) => {
          if (message === -3) return world.clock.sleep(100, context.signal);
          notes.push(`${message}`);
          return undefined;
        },
        terminated: (path) => {
          notes.push(`${context.epoch} hears of ${path}`);
          if (path === "poison" && context.epoch === 1) throw new RangeError("terminated");
        },
        close: () => undefined,
      });
    },
    ...more,
  };
}

test("watch: one signal, behind the messages that were there, even with a full mailbox", async () => {
  const world = new SupervisedWorld();
  const other = world.root.start(world.named("other"));
  const definition = watcher(world, [other, other], { mailboxMax: 2 });
  const unit = world.root.start(definition);
  await unit.started;
  unit.tell(-3);
  await world.settle();
  deepEqual([unit.tell(1), unit.tell(2), unit.tell(3)], ["ok", "ok", "full"]);
  await other.stop();
  await world.clock.advance(50);
  deepEqual(definition.notes, []);
  await world.clock.advance(50);
  unit.tell(4);
  await world.settle();
  deepEqual(definition.notes, ["1", "2", "1 hears of other", "4"]);
  await world.root.stop();
});

test("watch: of one that has stopped already it answers at once, of one that restarts or parks it does not", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 1 }));
  const gone = world.root.start(world.named("gone"));
  const broken = world.root.start(world.named("broken"));
  await gone.stop();
  const definition = watcher(world, [gone, broken]);
  await world.root.start(definition).started;
  await world.settle();
  deepEqual(definition.notes, ["1 hears of gone"]);
  for (const _ of [1, 2]) {
    world.fail("broken");
    await world.clock.advance(1_000);
  }
  deepEqual([broken.state().status, definition.notes.length], ["parked", 1]);
  await broken.stop();
  await world.settle();
  deepEqual(definition.notes, ["1 hears of gone", "1 hears of broken"]);
  await world.root.stop();
});

test("watch: it ends with the incarnation; the next one watches for itself", async () => {
  const world = new SupervisedWorld();
  const poison = world.root.start(world.named("poison"));
  const definition = watcher(world, [poison]);
  const unit = world.root.start(definition);
  await unit.started;
  await poison.stop();
  await world.clock.advance(1_000);
  deepEqual(definition.notes, ["1 hears of poison", "2 hears of poison"]);
  equal(unit.state().epoch, 2);
  // What the old incarnation asks for has no effect.
  world.contexts.find(({ path, epoch }) => path === "watcher" && epoch === 1)?.watch(poison);
  await world.settle();
  equal(definition.notes.length, 2);
  // A signal is no message, so none was dropped.
  equal(world.kinds().includes("message-dropped"), false);
  await world.root.stop();
});

test("watch: taken back, even when the signal is under way", async () => {
  const world = new SupervisedWorld();
  const others = ["a", "b"].map((name) => world.root.start(world.named(name)));
  const definition = watcher(world, others);
  const unit = world.root.start(definition);
  await unit.started;
  const context = world.context;
  unit.tell(-3);
  await world.settle();
  for (const other of others) await other.stop();
  await world.settle();
  const [first] = others;
  if (first !== undefined) context.unwatch(first);
  await world.clock.advance(100);
  deepEqual(definition.notes, ["1 hears of b"]);
  await world.root.stop();
});

test("watch: who cannot be told fails with the other; resume means that it goes on without", async () => {
  for (const [directive, status] of [
    ["stop", "stopped"],
    ["resume", "running"],
  ] as const) {
    const world = new SupervisedWorld(strategy({ decide: () => directive }));
    const other = world.root.start(world.named("other"));
    const unit = world.root.start(
      world.definition({
        open: (context) => (context.watch(other), Promise.resolve({ close: () => undefined })),
      }),
    );
    await unit.started;
    await other.stop();
    await world.settle();
    deepEqual([unit.state().status, codeOf(unit.state().lastError)], [status, "UNIT_TERMINATED"]);
    await world.root.stop();
  }
});

test("onStopped: calls once, soon where it has stopped, and can be taken back", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(world.named("a"));
  const called: string[] = [];
  unit.onStopped(() => {
    called.push("first");
    throw new Error("in a listener");
  });
  unit.onStopped(() => called.push("second"));
  const takeBack = unit.onStopped(() => called.push("third"));
  takeBack();
  await unit.stop();
  await world.settle();
  unit.onStopped(() => called.push("late"));
  deepEqual(called, ["first", "second"]);
  await world.settle();
  deepEqual(called, ["first", "second", "late"]);
  await world.root.stop();
});

test("progress: running without it for too long is a failure; a restart gives it its time again", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 1, decide: () => "resume" }));
  const unit = world.root.start(world.definition({ aliveWithinMs: 1_000 }));
  await unit.started;
  for (let count = 0; count < 5; count++) {
    await world.clock.advance(900);
    world.context.alive();
  }
  await world.clock.advance(999);
  equal(unit.state().status, "running");
  await world.clock.advance(1);
  // Silence is nothing that one could resume from.
  equal(unit.state().status, "backing-off");
  const { lastError } = unit.state();
  deepEqual(
    [codeOf(lastError), lastError?.message],
    ["UNIT_STALLED", "meters: epoch 1 made no progress for 1000 ms, allowed are 1000 ms"],
  );
  await world.clock.advance(100 + 999);
  deepEqual([unit.state().status, unit.state().epoch], ["running", 2]);
  await world.clock.advance(1);
  equal(unit.state().status, "parked");
  await world.root.stop();
  equal(world.clock.timerCount, 0);
});

test("progress: a unit that closes is not stalled", async () => {
  const world = new SupervisedWorld();
  let context: UnitContext | undefined;
  await world.root.start<number>({
    name: "slow",
    aliveWithinMs: 100,
    open: (given) => {
      context = given;
      return Promise.resolve({ close: () => world.clock.sleep(1_000, given.signal) });
    },
  }).started;
  const stopping = world.root.stop();
  await world.clock.advance(1_000);
  deepEqual(await stopping, { notStopped: [] });
  deepEqual(world.kinds(), ["starting", "started", "stopping", "stopped"]);
  equal(context?.signal.aborted, true);
  equal(world.clock.timerCount, 0);
});

test("names: of a unit that is stopped it may be taken again; epochs go on", async () => {
  const world = new SupervisedWorld();
  const first = world.root.start(world.named("a"));
  await first.started;
  await world.root.start(world.named("b")).started;
  await first.stop();
  const second = world.root.start(world.named("a"));
  await second.started;
  deepEqual(world.standing(), ["b running 1", "a running 2"]);
  equal(world.root.find("a"), second);
  await world.settle();
  const started = world.events.filter(({ kind, unit }) => kind === "started" && unit === "a");
  deepEqual(
    started.map((event) => event.kind === "started" && event.restarted),
    [false, false],
  );
  await world.root.stop();
});
