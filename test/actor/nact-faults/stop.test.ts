/** Findings 1 and 7 about nact 7.6.2: stops that do not stop. Each test shows the fault there first. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { nactShells } from "../../../src/actor/nact-shell.ts";
import { deferred } from "../../../src/actor/waits.ts";
import { nactSystem, plainNact, turns } from "../../support/plain-nact.ts";
import { strategy, SupervisedWorld } from "../../support/supervised.ts";

const { spawn, dispatch, stop } = plainNact;
const MESSAGES = 20;

test("nact 1: stop(parent) stops no descendant; here each is stopped, children first, and its queue is counted", async () => {
  for (const target of ["parent", "system"] as const) {
    const ended: string[] = [];
    let handled = 0;
    const system = nactSystem();
    const parent = spawn(system, () => undefined, "parent", {
      afterStop: () => ended.push("parent"),
    });
    const count = (): void => void handled++;
    const child = spawn(parent, count, "child", { afterStop: () => ended.push("child") });
    for (let id = 0; id < MESSAGES; id++) dispatch(child, id);
    await turns(3);
    const before = handled;
    stop(target === "parent" ? parent : system);
    await turns(2 * MESSAGES);
    deepEqual(ended, target === "parent" ? ["parent"] : []);
    equal(handled, MESSAGES, `the child went on after ${before}`);
  }

  const world = new SupervisedWorld(strategy(), nactShells);
  const inner = world.root.group("outer", strategy()).group("inner", strategy());
  const first = world.root.start(world.named("first"));
  const child = inner.start(world.definition({ name: "child" }));
  await Promise.all([first.started, child.started]);
  world.takeCalls();
  for (let id = 0; id < MESSAGES; id++) child.tell(id);
  deepEqual(await world.root.stop(), { notStopped: [] });
  await turns(2 * MESSAGES);
  deepEqual(world.handled, []);
  deepEqual(world.takeCalls(), ["close first.1", "fence first.2", "close 1", "fence 2"]);
  deepEqual(world.standing(), ["outer/inner/child stopped 1", "first stopped 1"]);
  const dropped = world.events.flatMap((each) =>
    each.kind === "message-dropped" ? [each.count] : [],
  );
  deepEqual(dropped, [MESSAGES]);
  equal(child.tell(1), "dead");
});

test("nact 7: a failure after the stop ends it twice, or starts it again; here it changes nothing", async () => {
  for (const answer of ["stop", "reset"] as const) {
    const late = deferred();
    let ended = 0;
    let began = 0;
    const actor = spawn(nactSystem(), () => late.promise, "late", {
      initialStateFunc: () => void began++,
      onCrash: (_message, _error, context) => context[answer],
      afterStop: () => ended++,
    });
    dispatch(actor, 1);
    await turns(2);
    stop(actor);
    await turns(2);
    deepEqual([began, ended], [1, 1]);
    late.reject(new Error("late"));
    await turns(4);
    deepEqual([began, ended], answer === "stop" ? [1, 2] : [2, 1]);
  }

  const world = new SupervisedWorld(strategy(), nactShells);
  const late = deferred();
  const close = (): void => void world.calls.push("close");
  const open = (): Promise<{ handle: () => Promise<void>; close: () => void }> => {
    world.calls.push("open");
    return Promise.resolve({ handle: () => late.promise, close });
  };
  const unit = world.root.start(world.definition({ open, closeDeadlineMs: 100 }));
  await unit.started;
  unit.tell(1);
  await world.settle();
  void unit.stop();
  await world.clock.advance(60_000);
  equal(unit.state().status, "stopped");
  late.reject(new Error("late"));
  await world.settle();
  deepEqual(world.takeCalls(), ["open", "fence 2", "close"]);
  equal(unit.state().status, "stopped");
  deepEqual(world.kinds().slice(-2), ["stopped", "late-result-ignored"]);
  equal(world.clock.timerCount, 0);
});
