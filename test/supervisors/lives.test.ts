import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import type { UnitContext, UnitSession } from "../../src/contract/unit.ts";
import { inlineShells } from "../../src/actor/inline-shell.ts";
import { SYSTEM_LANE_MAX } from "../../src/actor/mailbox.ts";
import { createSupervisor, when } from "../../supervisors/index.ts";
import { FENCE_DEADLINE_MS } from "../../supervisors/child.ts";
import { SupervisedWorld, strategy } from "../support/supervised.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";

const nothing = (): void => undefined;
const never = (): Promise<never> => new Promise(nothing);
const resumeAll = strategy({ decide: () => "resume" });

test("lives: a handler in flight ends before its session closes and before the next life handles", async () => {
  const world = new SupervisedWorld();
  const open = (context: UnitContext): Promise<UnitSession<number>> =>
    Promise.resolve({
      handle: async (message) => {
        world.calls.push(`${context.epoch} takes ${message}`);
        await world.clock.sleep(500, new AbortController().signal);
        world.calls.push(`${context.epoch} leaves ${message}`);
      },
      close: () => void world.calls.push(`close ${context.epoch}`),
    });
  const unit = world.root.start(
    world.named("a", { open: (context) => (world.contexts.push(context), open(context)) }),
  );
  await unit.started;
  unit.tell(1);
  unit.tell(2);
  await world.settle();
  world.context.fail(new Error("unplugged"));
  await world.clock.advance(2_000);
  deepEqual(world.calls, [
    "1 takes 1",
    "fence a.2",
    "1 leaves 1",
    "close 1",
    "2 takes 2",
    "2 leaves 2",
  ]);
  await world.root.stop();
});

test("lives: a stop waits for the handler, closes while effects still count, then ends the loop", async () => {
  const world = new SupervisedWorld();
  let context: UnitContext | undefined;
  const unit = world.root.start<number>({
    name: "poller",
    open: (given) => {
      context = given;
      return Promise.resolve({
        handle: async () => {
          await world.clock.sleep(100, given.signal);
          world.calls.push("handled");
        },
        // As of a polling receiver: it ends when its signal aborts.
        run: async () => {
          for (;;) await world.clock.sleep(1_000, given.signal);
        },
        close: () => void world.calls.push(`close, aborted ${given.signal.aborted}`),
      });
    },
    fence: () => {
      world.calls.push(`fence, aborted ${context?.signal.aborted}`);
      return Promise.resolve();
    },
  });
  await unit.started;
  unit.tell(1);
  unit.tell(2);
  await world.settle();
  const stopping = world.root.stop();
  await world.clock.advance(100);
  deepEqual(await stopping, { notStopped: [] });
  deepEqual(world.calls, ["handled", "close, aborted false", "fence, aborted false"]);
  equal(context?.signal.aborted, true);
  // A loop that ends because it was told to is no failure; the message behind the first was dropped, and counted.
  deepEqual(world.kinds(), ["starting", "started", "stopping", "message-dropped", "stopped"]);
  equal(world.clock.timerCount, 0);
});

test("lives: resume is a restart where nothing is left to go on: after run, resumed and a hung handler", async () => {
  const boom = (): never => {
    throw new RangeError("boom");
  };
  const sessions: Readonly<Record<string, (context: UnitContext) => UnitSession<number>>> = {
    run: ({ epoch }) => ({
      run: () => (epoch === 1 ? Promise.reject(new Error("read")) : never()),
      close: nothing,
    }),
    resumed: ({ epoch }) => ({
      handle: () => (epoch === 1 ? boom() : undefined),
      resumed: boom,
      close: nothing,
    }),
    hung: ({ epoch }) => ({ handle: () => (epoch === 1 ? never() : undefined), close: nothing }),
  };
  for (const [name, session] of Object.entries(sessions)) {
    const world = new SupervisedWorld(resumeAll);
    const unit = world.root.start<number>({
      name,
      handleDeadlineMs: 1_000,
      closeDeadlineMs: 100,
      open: (context) => Promise.resolve(session(context)),
    });
    await unit.started;
    unit.tell(1);
    await world.clock.advance(5_000);
    const { status, epoch, restarts } = unit.state();
    deepEqual([status, epoch, restarts], ["running", 2, 1], name);
    const stopping = world.root.stop();
    await world.clock.advance(5_000);
    // The loop of the second life does not end when it is told to, and is named.
    deepEqual((await stopping).notStopped, name === "resumed" ? [] : [name]);
  }
});

test("lives: a unit that takes no notice of being resumed any more is restarted", async () => {
  const world = new SupervisedWorld(resumeAll);
  const unit = world.root.start(world.definition());
  await unit.started;
  unit.tell(-3);
  await world.settle();
  for (let count = 0; count < SYSTEM_LANE_MAX; count++) world.context.fail(new Error("storm"));
  equal(unit.state().epoch, 1);
  equal(unit.state().status, "running");
  world.context.fail(new Error("one too many"));
  equal(unit.state().status, "backing-off");
  await world.clock.advance(10_000);
  deepEqual([unit.state().status, unit.state().epoch], ["running", 2]);
  equal(world.calls.includes("resumed"), false);
  const stopping = world.root.stop();
  await world.clock.advance(10_000);
  await stopping;
});

test("lives: what was accepted and never settles keeps the next life from opening, until it is parked", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 2, withinMs: Infinity }));
  let settle = nothing;
  const fence = (): Promise<void> => new Promise((resolve) => (settle = resolve));
  const unit = world.root.start(world.named("a", { fence }));
  await unit.started;
  world.context.fail(new Error("unplugged"));
  await world.clock.advance(2 * FENCE_DEADLINE_MS + 1_000);
  equal(unit.state().status, "parked");
  equal(world.countCalls("open"), 1);
  const failures = world.events.flatMap((event) => (event.kind === "failed" ? [event.error] : []));
  ok(/not settled after 30000 ms, allowed are 30000 ms/.test(failures.at(-1)?.message ?? ""));
  unit.restart();
  await world.clock.advance(1_000);
  equal(world.countCalls("open"), 1);
  settle();
  await world.settle();
  equal(world.countCalls("open"), 2);
  const stopping = world.root.stop();
  await world.clock.advance(60_000);
  deepEqual(await stopping, { notStopped: ["a"] });
  equal(world.clock.timerCount, 0);
});

test("lives: one that opens after its deadline, or after its stop, is closed all the same", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 0 }));
  const opened: ((session: UnitSession<number>) => void)[] = [];
  const open = (): Promise<UnitSession<number>> => new Promise((resolve) => opened.push(resolve));
  const close = (): void => void world.calls.push("close");
  const late = world.root.start(world.named("late", { openDeadlineMs: 100, open }));
  await world.clock.advance(60_000);
  equal(late.state().status, "parked");
  opened[0]?.({ close });
  await world.settle();
  deepEqual(world.takeCalls(), ["fence late.2", "close"]);
  world.root.start(world.named("early", { open }));
  await world.settle();
  const stopping = world.root.stop();
  await world.clock.advance(10);
  opened[1]?.({ close });
  await world.settle();
  deepEqual(await stopping, { notStopped: [] });
  deepEqual(world.takeCalls(), ["fence early.2", "close"]);
  equal(world.clock.timerCount, 0);
});

test("lives: one that was stopped in the turn of its start is never opened", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(world.definition());
  await unit.stop();
  deepEqual([world.countCalls("open"), unit.state().status], [0, "stopped"]);
  await rejects(unit.started, { code: "UNIT_STOPPED" });
  await world.root.stop();
});

test("lives: by hand, a running one is restarted and keeps its window, a waiting one starts at once", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(world.definition());
  await unit.started;
  world.context.fail(new Error("unplugged"));
  await world.settle();
  equal(unit.state().status, "backing-off");
  unit.restart();
  await world.settle();
  deepEqual([unit.state().status, unit.state().epoch], ["running", 2]);
  unit.restart();
  await world.settle();
  deepEqual([unit.state().status, unit.state().epoch, unit.state().restarts], ["running", 3, 1]);
  deepEqual(world.calls.slice(-3), ["fence 3", "close 2", "open 3"]);
  await world.root.stop();
  unit.restart();
  await world.settle();
  equal(unit.state().status, "stopped");
});

test("lives: a listener may stop or restart the unit it hears of", async () => {
  for (const deed of ["stop", "restart"] as const) {
    const world = new SupervisedWorld();
    let isTold = false;
    const root = createSupervisor({
      name: "test",
      strategy: strategy(),
      clock: world.clock,
      random: createSeededRandom(1),
      shells: inlineShells,
      onEvent: ({ kind, unit }) => {
        if (kind !== "failed" || isTold) return;
        isTold = true;
        void root.find(unit)?.[deed]();
      },
    });
    const unit = root.start(world.definition());
    await unit.started;
    world.context.fail(new Error("unplugged"));
    await world.settle();
    equal(unit.state().status, deed === "stop" ? "stopped" : "running");
    equal(world.countCalls("open"), deed === "stop" ? 1 : 2);
    await root.stop();
    equal(world.clock.timerCount, 0);
  }
});

test("lives: a stop from the abort that a failure sets off wins over restart, park and hand", async () => {
  for (const maxRestarts of [0, 3]) {
    const world = new SupervisedWorld(strategy({ maxRestarts }));
    const unit = world.root.start(world.definition());
    await unit.started;
    world.context.signal.addEventListener("abort", () => void unit.stop());
    world.context.fail(new Error("unplugged"));
    equal(unit.state().status, "stopping");
    unit.restart();
    await world.clock.advance(10_000);
    deepEqual([unit.state().status, world.countCalls("open")], ["stopped", 1]);
    deepEqual(world.kinds(), ["starting", "started", "failed", "stopping", "stopped"]);
    await world.root.stop();
  }
});

test("lives: restarts leave turns to others, even those of a hand that never tires", async () => {
  const world = new SupervisedWorld();
  let restarts = 0;
  const root = createSupervisor({
    name: "test",
    strategy: strategy({ maxRestarts: 0 }),
    clock: world.clock,
    random: createSeededRandom(1),
    shells: inlineShells,
    onEvent: ({ kind, unit }) => {
      if (kind === "parked" && restarts++ < 5) root.find(unit)?.restart();
    },
  });
  let opened = 0;
  const open = (): Promise<never> => {
    opened++;
    return Promise.reject(new Error("refused"));
  };
  root.start(world.named("a", { open }));
  for (let turn = 0; turn < 1_000; turn++) await Promise.resolve();
  equal(opened, 1);
  await world.settle();
  equal(opened, 6);
  await root.stop();
});

test("lives: a close that waits for its loop is freed at its deadline, when the loop is told to end", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start<number>({
    name: "slow",
    closeDeadlineMs: 100,
    open: ({ signal }) => {
      const loop = world.clock.sleep(1_000_000, signal).catch(nothing);
      return Promise.resolve({ run: () => loop, close: () => loop });
    },
  });
  await unit.started;
  const stopping = world.root.stop();
  await world.clock.advance(99);
  equal(unit.state().status, "stopping");
  await world.clock.advance(1);
  deepEqual(await stopping, { notStopped: [] });
  equal(world.clock.timerCount, 0);
});

test("lives: a stop cancels the wait for a restart", async () => {
  const world = new SupervisedWorld();
  const unit = world.root.start(world.definition());
  await unit.started;
  world.context.fail(new Error("unplugged"));
  await world.settle();
  equal(world.clock.timerCount, 1);
  await unit.stop();
  equal(world.clock.timerCount, 0);
  await world.root.stop();
});

test("lives: nobody restarts or escalates while a stop is on its way down", async () => {
  const world = new SupervisedWorld();
  const group = world.root.group("g", strategy());
  const first = group.start(world.named("first"));
  const other = group.start(
    world.named("other", { strategy: strategy({ decide: () => "escalate" }) }),
  );
  const close = (): Promise<void> => world.clock.sleep(1_000, new AbortController().signal);
  const last = world.root.start<number>({ name: "last", open: () => Promise.resolve({ close }) });
  await Promise.all([first.started, other.started, last.started]);
  const stopping = world.root.stop();
  await world.clock.advance(500);
  world.fail("g/first");
  world.fail("g/other");
  throws(() => group.start(world.named("more")), { code: "UNIT_STOPPED" });
  await world.clock.advance(10_000);
  deepEqual(await stopping, { notStopped: [] });
  deepEqual(world.standing(), ["g/first stopped 1", "g/other stopped 1", "last stopped 1"]);
  ok(!world.kinds().includes("escalated"));
});

test("lives: errors of an incarnation that is over are told and change nothing, its own abort is no error", async () => {
  const world = new SupervisedWorld(
    strategy({ decide: when(RangeError, "stop").otherwise("restart") }),
  );
  const open = ({ epoch, signal }: UnitContext): Promise<UnitSession<number>> =>
    Promise.resolve({
      run: () => world.clock.sleep(1_000_000, signal),
      handle: () => (epoch === 1 ? Promise.reject(new Error("first")) : undefined),
      close: () => Promise.reject(new RangeError("close")),
    });
  const fence = (): Promise<void> => Promise.reject(new RangeError("fence"));
  const unit = world.root.start(world.named("a", { open, fence }));
  await unit.started;
  unit.tell(1);
  await world.clock.advance(1_000);
  deepEqual([unit.state().status, unit.state().epoch], ["running", 2]);
  const late = world.events.flatMap((event) =>
    event.kind === "late-result-ignored" ? [`${event.epoch} ${event.error.message}`] : [],
  );
  deepEqual(late.toSorted(), ["1 close", "1 fence"]);
  deepEqual(await world.root.stop(), { notStopped: [] });
});

test("lives: a definition without a session, and limits out of range, are refused with words", async () => {
  const world = new SupervisedWorld(strategy({ maxRestarts: 0 }));
  const unit = world.root.start<number>({
    name: "empty",
    // As a unit written without types may do.
    open: () => Promise.resolve(JSON.parse("{}") as UnitSession<number>),
  });
  await rejects(unit.started, /empty: open has no session/);
  for (const more of [
    { mailboxMax: 0 },
    { openDeadlineMs: 0.5 },
    { closeDeadlineMs: 2 ** 31 },
    { handleDeadlineMs: Number.NaN },
  ])
    throws(() => world.root.start(world.named("b", more)), { code: "CONFIG_OUT_OF_RANGE" });
  await world.root.stop();
});
