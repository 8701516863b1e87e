import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import type {
  Overflow,
  UnitContext,
  UnitDefinition,
  UnitEvent,
  UnitRef,
} from "../../src/contract/unit.ts";
import { codeOf } from "../../src/errors.ts";
import { DROPPED_SHOWN_MAX } from "../../supervisors/dropped.ts";
import { SupervisedWorld, strategy } from "../support/supervised.ts";

const never = (): Promise<never> => new Promise(() => undefined);

/** `reason xcount: message, message`, per event. */
function dropped(events: readonly UnitEvent[]): readonly string[] {
  return events.flatMap((event) =>
    event.kind === "message-dropped"
      ? [`${event.why} x${event.count}: ${event.messages.slice(0, 3).join(", ")}`]
      : [],
  );
}

/** A unit that is never open, so that what is told waits. */
function closedUnit(
  world: SupervisedWorld,
  more: Partial<UnitDefinition<number>>,
): UnitRef<number> {
  return world.root.start(world.definition({ open: never, openDeadlineMs: 1_000_000, ...more }));
}

test("overflow: reject tells the sender, drop-oldest and drop-newest tell everybody else", async () => {
  for (const [overflow, answers, told, kept] of [
    ["reject", ["ok", "ok", "full", "full"], [], "0, 1"],
    ["drop-oldest", ["ok", "ok", "ok", "ok"], ["displaced x2: 0, 1"], "2, 3"],
    ["drop-newest", ["ok", "ok", "dropped", "dropped"], ["mailbox-full x2: 2, 3"], "0, 1"],
  ] as const) {
    const world = new SupervisedWorld();
    const unit = closedUnit(world, { mailboxMax: 2, overflow });
    deepEqual(
      [0, 1, 2, 3].map((message) => unit.tell(message)),
      answers,
    );
    await world.settle();
    deepEqual(dropped(world.events), told);
    const stopping = world.root.stop();
    await world.clock.advance(10_000);
    await stopping;
    deepEqual(dropped(world.events).at(-1), `unit-stopped x2: ${kept}`);
  }
});

test("overflow: of a flood in one turn all are counted and the first are shown; the next turn has its own event", async () => {
  const world = new SupervisedWorld();
  const unit = closedUnit(world, { mailboxMax: 1, overflow: "drop-newest" });
  for (let message = 0; message < 5_000; message++) unit.tell(message);
  await world.settle();
  unit.tell(7);
  await world.settle();
  const events = world.events.filter(({ kind }) => kind === "message-dropped");
  deepEqual(
    events.map((event) => event.kind === "message-dropped" && [event.count, event.messages.length]),
    [
      [4_999, DROPPED_SHOWN_MAX],
      [1, 1],
    ],
  );
  const stopping = world.root.stop();
  await world.clock.advance(10_000);
  await stopping;
});

test("dropped: what happens in between is told in between, even in one turn", async () => {
  const world = new SupervisedWorld(strategy({ decide: () => "resume" }));
  const unit = world.root.start(world.definition({ mailboxMax: 1, overflow: "drop-newest" }));
  await unit.started;
  unit.tell(1);
  unit.tell(2);
  world.context.fail(new Error("in between"));
  unit.tell(3);
  await world.settle();
  deepEqual(world.kinds(), ["starting", "started", "message-dropped", "failed", "message-dropped"]);
  deepEqual(dropped(world.events), ["mailbox-full x1: 2", "mailbox-full x1: 3"]);
  await world.root.stop();
});

test("dropped: a long queue that is given up is told whole, in pieces", async () => {
  const world = new SupervisedWorld();
  const count = 2 * DROPPED_SHOWN_MAX + 5;
  const unit = closedUnit(world, { mailboxMax: 10_000 });
  for (let message = 0; message < count; message++) unit.tell(message);
  const stopping = world.root.stop();
  await world.clock.advance(10_000);
  await stopping;
  const all = world.events.flatMap((event) =>
    event.kind === "message-dropped" ? event.messages : [],
  );
  deepEqual(
    all,
    Array.from({ length: count }, (_, index) => index),
  );
});

test("overflow: a value that is none is refused", async () => {
  const world = new SupervisedWorld();
  const overflow = JSON.parse('"drop"') as Overflow;
  throws(() => world.root.start(world.definition({ overflow })), { code: "CONFIG_VALUE" });
  throws(() => world.root.start(world.definition({ aliveWithinMs: 0 })), {
    code: "CONFIG_OUT_OF_RANGE",
  });
  await world.root.stop();
});

test("offer: waits for room, in order, over a restart; refused when the unit is parked or stopped", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(world.definition({ mailboxMax: 1 }));
  await unit.started;
  world.context.fail(new Error("unplugged"));
  const accepted: number[] = [];
  const offers = [1, 2, 3].map((message) =>
    unit.offer(message).then(() => void accepted.push(message)),
  );
  await world.settle();
  deepEqual(accepted, [1]);
  await world.clock.advance(100);
  await Promise.all(offers);
  deepEqual(
    [accepted, world.handled],
    [
      [1, 2, 3],
      [1, 2, 3],
    ],
  );
  unit.tell(-3);
  await world.settle();
  unit.tell(4);
  const tooLate = rejects(unit.offer(5), { code: "UNIT_STOPPED" });
  const abort = new AbortController();
  const aborted = rejects(unit.offer(6, abort.signal), { message: "no more" });
  abort.abort(new Error("no more"));
  await aborted;
  const stopping = world.root.stop();
  await world.clock.advance(100_000);
  await Promise.all([tooLate, stopping]);
  await rejects(unit.offer(7), { code: "UNIT_STOPPED" });
  ok(!world.handled.includes(5));
});

/** Sets everything aside until it is told 0; above 100 it fails. */
function waiting(world: SupervisedWorld): UnitDefinition<number> {
  return world.definition({
    name: "waiting",
    mailboxMax: 3,
    open: ({ epoch, stash, unstashAll, fail }) => {
      world.calls.push(`open ${epoch}`);
      let isReady = epoch > 1;
      return Promise.resolve({
        handle: (message) => {
          if (message === 0) {
            isReady = true;
            return unstashAll();
          }
          if (!isReady) stash();
          if (message === 50) fail(new Error("from within"));
          if (message > 100) throw new RangeError("thrown");
          if (isReady) world.handled.push(message);
          return undefined;
        },
        close: () => undefined,
      });
    },
  });
}

test("stash: what is set aside is handled in its order, ahead of what came later", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(waiting(world));
  await unit.started;
  for (const message of [1, 2]) unit.tell(message);
  await world.settle();
  for (const message of [0, 3]) unit.tell(message);
  await world.settle();
  deepEqual(world.handled, [1, 2, 3]);
  await world.root.stop();
});

test("stash: a restart loses nothing of it but the message that failed, whichever that is", async () => {
  for (const [messages, handled, told] of [
    [[1, 2, 101, 3], [1, 2, 3], ["handler-failed x1: 101"]],
    // Given back, and the first of them fails: the others are not lost (apache/pekko#669).
    [[1, 2, 50, 3], [1, 2, 50, 3], []],
  ] as const) {
    const world = new SupervisedWorld();
    const unit = world.root.start(waiting(world));
    await unit.started;
    for (const message of messages) {
      unit.tell(message);
      await world.settle();
    }
    await world.clock.advance(1_000);
    deepEqual([world.handled, dropped(world.events)], [handled, told]);
    await world.root.stop();
  }
});

test("stash: what a failing unstash leaves is handled by the next life", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(
    world.definition({
      open: ({ epoch, stash, unstashAll }) =>
        Promise.resolve({
          handle: (message) => {
            if (message === 0) return unstashAll();
            if (epoch === 1 && world.calls.length < 3) {
              world.calls.push("set aside");
              return stash();
            }
            if (message === 2 && epoch === 1) throw new RangeError("while unstashing");
            world.handled.push(message);
            return undefined;
          },
          close: () => undefined,
        }),
    }),
  );
  await unit.started;
  for (const message of [1, 2, 3, 0, 4]) unit.tell(message);
  await world.clock.advance(1_000);
  deepEqual([world.handled, dropped(world.events)], [[1, 3, 4], ["handler-failed x1: 2"]]);
  await world.root.stop();
});

test("stash: one that is full fails the handler, whose message is told; a stop tells of all", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 0 }));
  const unit = world.root.start(waiting(world));
  await unit.started;
  for (const message of [1, 2, 3, 4]) {
    unit.tell(message);
    await world.settle();
  }
  equal(codeOf(unit.state().lastError), "UNIT_STASH_FULL");
  deepEqual(dropped(world.events), ["handler-failed x1: 4", "unit-parked x3: 1, 2, 3"]);
  await world.root.stop();
});

test("stash: outside of a handler it is a mistake, after the end it is nothing", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 0 }));
  let context: UnitContext | undefined;
  const unit = world.root.start(
    world.definition({
      open: (given) => ((context = given), Promise.resolve({ close: () => undefined })),
    }),
  );
  await unit.started;
  throws(() => context?.stash(), /stash\(\) while no message is being handled/);
  await world.root.stop();
  context?.stash();
  context?.unstashAll();
  context?.alive();
});

test("stash: a handler that waits and sets aside, and one whose unit is stopping", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(
    world.definition({
      open: ({ stash, signal }) =>
        Promise.resolve({
          handle: async () => {
            await world.clock.sleep(100, signal);
            stash();
            stash();
          },
          close: () => undefined,
        }),
    }),
  );
  await unit.started;
  unit.tell(1);
  unit.tell(2);
  await world.clock.advance(150);
  const stopping = world.root.stop();
  await world.clock.advance(1_000);
  await stopping;
  deepEqual(dropped(world.events), ["unit-stopped x2: 1, 2"]);
});
