/** Messages and lives that others lost, doubled or wedged. Each title names where it was found. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { SYSTEM_LANE_MAX } from "../../src/actor/mailbox.ts";
import { deferred } from "../../src/actor/waits.ts";
import type { UnitRef, UnitSession } from "../../src/contract/unit.ts";
import { when } from "../../supervisors/index.ts";
import { strategy, SupervisedWorld } from "../support/supervised.ts";

const IDS = [1, 2, 3, 4, 5];

function droppedIn(world: SupervisedWorld): number {
  return world.events.reduce(
    (sum, event) => sum + (event.kind === "message-dropped" ? event.count : 0),
    0,
  );
}

async function end(world: SupervisedWorld): Promise<void> {
  const stopping = world.root.stop();
  await world.clock.advance(60_000);
  await stopping;
  equal(world.clock.timerCount, 0);
}

test("pekko#669, akka-core#31814: what waits survives a restart that fails again, at its opening and at its first message", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: Infinity }));
  let opens = 0;
  const open = (): Promise<UnitSession<number>> => {
    opens++;
    if (opens === 2 || opens === 3) return Promise.reject(new Error("refused"));
    return Promise.resolve({
      handle: (message) => {
        if (message < 0) throw new Error("thrown");
        world.handled.push(message);
      },
      close: () => undefined,
    });
  };
  const unit = world.root.start(world.definition({ open }));
  await unit.started;
  for (const id of [-1, -2, ...IDS]) equal(unit.tell(id), "ok");
  await world.clock.advance(60_000);
  deepEqual(world.handled, IDS);
  deepEqual([opens, droppedIn(world)], [5, 2]);
  await end(world);
});

test("kameo#345: mail that waits while a unit restarts is handled after it, in order and once", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(world.definition());
  await unit.started;
  for (const id of [-1, ...IDS]) unit.tell(id);
  await world.settle();
  equal(unit.state().status, "backing-off");
  for (const id of IDS) equal(unit.tell(10 + id), "ok");
  await world.clock.advance(60_000);
  deepEqual(world.handled, [...IDS, ...IDS.map((id) => 10 + id)]);
  await end(world);
});

test("kameo#364: a restart that is refused drops the queue by number, one that comes from above keeps it", async () => {
  const refused = new SupervisedWorld(strategy({ maxRestarts: 0 }));
  const parked = refused.root.start(refused.definition());
  await parked.started;
  for (const id of [-1, ...IDS]) parked.tell(id);
  await refused.settle();
  deepEqual([parked.state().status, droppedIn(refused)], ["parked", 1 + IDS.length]);
  equal(parked.tell(1), "dead");
  await end(refused);

  const world = new SupervisedWorld();
  const group = world.root.group("group", strategy({ maxRestarts: 0, onExhausted: "escalate" }));
  const unit = group.start(world.definition());
  await unit.started;
  for (const id of [-1, ...IDS]) unit.tell(id);
  await world.clock.advance(1_000);
  deepEqual([world.handled, droppedIn(world), unit.state().epoch], [IDS, 1, 2]);
  await end(world);
});

test("actor-ts#518: what a unit leaves unread when it stops is told with its number", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(world.definition({ handleDeadlineMs: 60_000 }));
  await unit.started;
  for (const id of [-3, ...IDS]) unit.tell(id);
  await world.settle();
  void unit.stop();
  await world.clock.advance(60_000);
  equal(droppedIn(world), 1 + IDS.length);
  await end(world);
});

test("protoactor-dotnet#1462, #2146: a late continuation of a dead incarnation writes nothing and fails nobody", async () => {
  const world = new SupervisedWorld();
  const gates = [deferred(), deferred()];
  let current = 0;
  const written: string[] = [];
  const unit = world.root.start<number>({
    name: "writer",
    handleDeadlineMs: 100,
    closeDeadlineMs: 100,
    fence: (nextEpoch) => {
      current = nextEpoch;
      return Promise.resolve();
    },
    open: ({ epoch }) => {
      if (epoch === 1) current = 1;
      return Promise.resolve({
        handle: async (message) => {
          if (message === 1) await gates[0]?.promise;
          if (message === 2) await gates[1]?.promise;
          if (epoch === current) written.push(`${message} by ${epoch}`);
        },
        close: () => undefined,
      });
    },
  });
  await unit.started;
  // One ends late with a result, the other with an error; each has outlived its deadline and its epoch.
  for (const message of [1, 2, 3]) unit.tell(message);
  await world.clock.advance(10_000);
  deepEqual([written, unit.state().epoch], [["3 by 3"], 3]);
  gates[0]?.resolve();
  gates[1]?.reject(new Error("late"));
  await world.settle();
  deepEqual([written, unit.state().epoch, unit.state().status], [["3 by 3"], 3, "running"]);
  const late = world.events.filter(({ kind }) => kind === "late-result-ignored");
  ok(late.some(({ epoch }) => epoch === 2));
  equal(droppedIn(world), 2);
  await end(world);
});

test("actor-ts#914: an open that throws instead of rejecting leaves no zombie", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 1 }));
  const open = (): never => {
    throw new Error("constructor");
  };
  const unit = world.root.start(world.definition({ open }));
  const refused = unit.started.then(
    () => "started",
    ({ message }: Error) => message,
  );
  await world.clock.advance(60_000);
  deepEqual([unit.state().status, unit.state().epoch, await refused], ["parked", 2, "constructor"]);
  // The slow lane's next try.
  equal(world.clock.timerCount, 1);
  unit.restart();
  await world.clock.advance(60_000);
  deepEqual([unit.state().status, unit.state().epoch], ["parked", 4]);
  deepEqual(await world.root.stop(), { notStopped: [] });
});

test("actor-ts#1384: throws in close, fence, resumed, decide and listeners wedge nothing, each alone and all at once", async () => {
  const thrown = (): never => {
    throw new Error("hook");
  };
  const rejected = (): Promise<never> => Promise.reject(new Error("hook"));
  for (const hook of [thrown, rejected])
    for (const broken of [["close"], ["fence"], ["resumed"], ["close", "fence", "resumed"]]) {
      const decide = when(TypeError, "restart").when(RangeError, "resume").otherwise("restart");
      const world = new SupervisedWorld(strategy({ maxRestarts: Infinity, decide }));
      const session = (unit: UnitSession<number>): UnitSession<number> => ({
        ...unit,
        ...(broken.includes("close") ? { close: hook } : {}),
        ...(broken.includes("resumed") ? { resumed: thrown } : {}),
      });
      const whole = world.definition();
      const unit: UnitRef<number> = world.root.start({
        ...whole,
        open: async (context) => session(await whole.open(context)),
        ...(broken.includes("fence") ? { fence: hook } : {}),
      });
      await unit.started;
      for (const id of [-1, 1, -2, 2]) unit.tell(id);
      await world.clock.advance(60_000);
      deepEqual([world.handled, unit.state().status], [[1, 2], "running"]);
      await end(world);
    }
});

test("actor-ts#729: a full mailbox displaces no signal", async () => {
  const world = new SupervisedWorld(strategy({ decide: () => "resume" }));
  const unit = world.root.start(world.definition({ mailboxMax: 2 }));
  await unit.started;
  const answers = Array.from({ length: 10 }, (_, id) => unit.tell(id));
  for (let count = 0; count < SYSTEM_LANE_MAX; count++) world.context.fail(new Error("told"));
  await world.settle();
  equal(world.countCalls("resumed"), SYSTEM_LANE_MAX);
  deepEqual(world.handled, [0, 1]);
  deepEqual(answers.slice(1, 4), ["ok", "full", "full"]);
  await end(world);
});

test("actor-ts#919: a full queue answers its sender and never throws, from inside a handler too", async () => {
  const world = new SupervisedWorld();
  const answers: string[] = [];
  const unit: UnitRef<number> = world.root.start<number>({
    name: "own",
    mailboxMax: 2,
    open: () =>
      Promise.resolve({
        handle: (message) => {
          world.handled.push(message);
          if (message === 0) for (const id of [1, 2, 3]) answers.push(unit.tell(id));
        },
        close: () => undefined,
      }),
  });
  await unit.started;
  unit.tell(0);
  await world.settle();
  deepEqual(answers, ["ok", "ok", "full"]);
  deepEqual(world.handled, [0, 1, 2]);
  await end(world);
});
