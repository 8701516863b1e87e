import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { inlineShells } from "../../src/actor/inline-shell.ts";
import { DRAIN_MESSAGES_MAX } from "../../src/actor/drain.ts";
import { nactShells } from "../../src/actor/nact-shell.ts";
import type { ShellParent, ShellSystem } from "../../src/actor/shell.ts";
import type { UnitEvent } from "../../src/contract/unit.ts";
import { SupervisedWorld, strategy } from "../support/supervised.ts";

/** Shells that note every actor and every drain. */
function recording(shells: ShellSystem, notes: string[]): ShellSystem {
  const wrap = (parent: ShellParent, path: string): ShellParent => ({
    spawn: (name, drain) => {
      notes.push(`spawn ${path}${name}`);
      return parent.spawn(name, () => {
        notes.push(`drain ${path}${name}`);
        drain();
      });
    },
    group: (name) => wrap(parent.group(name), `${path}${name}/`),
    stop: () => {
      notes.push(`stop ${path}`);
      parent.stop();
    },
  });
  return (name) => wrap(shells(name), "");
}

function dropped(events: readonly UnitEvent[]): readonly string[] {
  return events.flatMap((event) =>
    event.kind === "message-dropped" ? [`${event.count} ${event.why}`] : [],
  );
}

for (const [name, shells] of Object.entries({ nact: nactShells, inline: inlineShells })) {
  test(`messages on ${name}: one actor for each life, in a hierarchy that mirrors the tree`, async () => {
    const notes: string[] = [];
    const world = new SupervisedWorld(strategy(), recording(shells, notes));
    const unit = world.root.group("receivers", strategy()).start(world.definition());
    await unit.started;
    world.context.fail(new Error("unplugged"));
    await world.clock.advance(100);
    await world.root.stop();
    deepEqual(notes, [
      "spawn receivers/meters.1",
      "spawn receivers/meters.2",
      "stop receivers/",
      "stop ",
    ]);
  });

  test(`messages on ${name}: a ring drains many, then other work has its turn`, async () => {
    const notes: string[] = [];
    const world = new SupervisedWorld(strategy(), recording(shells, notes));
    const unit = world.root.start(world.definition());
    await unit.started;
    const count = 2 * DRAIN_MESSAGES_MAX + 1;
    for (let message = 0; message < count; message++) equal(unit.tell(message), "ok");
    await world.settle();
    equal(world.handled.length, count);
    equal(notes.filter((note) => note.startsWith("drain")).length, 3);
    await world.root.stop();
  });

  test(`messages on ${name}: handlers that wait share a turn too`, async () => {
    const notes: string[] = [];
    const world = new SupervisedWorld(strategy(), recording(shells, notes));
    const handle = async (message: number): Promise<void> => {
      await Promise.resolve();
      world.handled.push(message);
    };
    const open = () => Promise.resolve({ handle, close: () => undefined });
    const unit = world.root.start(world.definition({ open }));
    await unit.started;
    for (let message = 0; message < 100; message++) unit.tell(message);
    await world.settle();
    deepEqual(
      world.handled,
      Array.from({ length: 100 }, (_, index) => index),
    );
    equal(notes.filter((note) => note.startsWith("drain")).length, 1);
    equal(world.clock.timerCount, 0);
    await world.root.stop();
  });
}

test("messages: slow handlers give way after their share of time", async () => {
  const notes: string[] = [];
  const world = new SupervisedWorld(strategy(), recording(inlineShells, notes));
  const signal = new AbortController().signal;
  const handle = (): Promise<void> => world.clock.sleep(1, signal);
  const open = () => Promise.resolve({ handle, close: () => undefined });
  const unit = world.root.start(world.definition({ open }));
  await unit.started;
  for (let message = 0; message < 6; message++) unit.tell(message);
  await world.clock.advance(6);
  equal(notes.filter((note) => note.startsWith("drain")).length, 3);
  await world.root.stop();
});

test("messages: each that is not handled to its end is counted once, with the reason", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(world.definition({ handleDeadlineMs: 500, closeDeadlineMs: 100 }));
  await unit.started;
  unit.tell(-1);
  await world.clock.advance(1_000);
  unit.tell(-2);
  await world.clock.advance(1_000);
  unit.tell(-3);
  await world.clock.advance(1_000);
  equal(unit.state().status, "backing-off");
  await world.clock.advance(5_000);
  unit.restart();
  await world.settle();
  unit.tell(-3);
  unit.tell(1);
  await world.settle();
  world.context.fail(new Error("no restart is left"));
  await world.settle();
  equal(unit.state().status, "parked");
  deepEqual(dropped(world.events), [
    "1 handler-failed",
    "1 handler-failed",
    "1 handler-overdue",
    "1 epoch-ended",
    "1 unit-parked",
  ]);
  const stopping = world.root.stop();
  await world.clock.advance(5_000);
  await stopping;
});

test("messages: a unit without a handler drops and counts them", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(world.named("deaf"));
  await unit.started;
  equal(unit.tell(1), "ok");
  await world.settle();
  deepEqual(dropped(world.events), ["1 no-handler"]);
  ok(world.standing().includes("deaf running 1"));
  await world.root.stop();
});
