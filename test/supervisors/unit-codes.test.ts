import { deepEqual, equal, rejects } from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../src/errors.ts";
import { strategy, SupervisedWorld } from "../support/supervised.ts";

/** Codes of the failures so far. */
function failures(world: SupervisedWorld): readonly string[] {
  return world.events.flatMap((event) => (event.kind === "failed" ? [codeOf(event.error)] : []));
}

test("unit codes: a unit that makes no progress is UNIT_STALLED, one that does is not", async () => {
  const world = new SupervisedWorld();
  world.root.start(world.definition({ aliveWithinMs: 1_000 }));
  await world.settle();
  await world.clock.advance(900);
  world.context.alive();
  await world.clock.advance(900);
  deepEqual(failures(world), []);
  await world.clock.advance(200);
  deepEqual(failures(world), ["UNIT_STALLED"]);
  await world.root.stop();
});

test("unit codes: what is offered to a parked unit is refused with UNIT_PARKED", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 0 }));
  const unit = world.root.start(world.definition());
  await world.settle();
  world.fail("meters");
  await world.settle();
  equal(unit.state().status, "parked");
  await rejects(unit.offer(1), { code: "UNIT_PARKED" });
  await world.root.stop();
});

test("unit codes: more than the mailbox holds cannot be set aside: UNIT_STASH_FULL", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start<number>({
    name: "waiting",
    mailboxMax: 2,
    open: ({ stash }) => Promise.resolve({ handle: stash, close: () => undefined }),
  });
  await unit.started;
  for (const message of [1, 2, 3]) {
    equal(unit.tell(message), "ok");
    await world.settle();
  }
  deepEqual(failures(world), ["UNIT_STASH_FULL"]);
  await world.root.stop();
});

test("unit codes: who watches and has no `terminated` fails with UNIT_TERMINATED", async () => {
  const world = new SupervisedWorld();
  const watched = world.root.start(world.named("watched"));
  await watched.started;
  world.root.start({
    name: "watcher",
    open: ({ watch }) => {
      watch(watched);
      return Promise.resolve({ close: () => undefined });
    },
  });
  await world.settle();
  await watched.stop();
  await world.settle();
  deepEqual(failures(world).slice(0, 1), ["UNIT_TERMINATED"]);
  await world.root.stop();
});
