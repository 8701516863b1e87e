/** Finding 11 about nact 7.6.2: timers that wrap or stay, names drawn from 32 bits. Each fault is shown there first. */
import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import { nactShells } from "../../../src/actor/nact-shell.ts";
import type { Strategy } from "../../../src/contract/unit.ts";
import { realClock } from "../../../src/host/clock.ts";
import { equalJitter } from "../../../supervisors/index.ts";
import { type NactReference, nactSystem, plainNact, turns } from "../../support/plain-nact.ts";
import { strategy, SupervisedWorld } from "../../support/supervised.ts";

const { spawn, dispatch, query } = plainNact;
const DAY_MS = 86_400_000;
const ALL: Strategy = { ...strategy({ maxRestarts: Infinity }), scope: "all-for-one" };

test("nact 11: shutdownAfter of 30 days wraps and comes at once; here a deadline that long is refused or cut", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let isStopped = false;
  spawn(nactSystem(), () => undefined, "idle", {
    shutdownAfter: 30 * DAY_MS,
    afterStop: () => (isStopped = true),
  });
  context.mock.timers.tick(50);
  await turns(2);
  ok(isStopped);

  let isFired = false;
  const cancel = realClock.after(30 * DAY_MS, () => (isFired = true));
  context.mock.timers.tick(24 * DAY_MS);
  equal(isFired, false);
  cancel();
  const world = new SupervisedWorld(strategy(), nactShells);
  for (const key of ["openDeadlineMs", "handleDeadlineMs", "closeDeadlineMs"])
    throws(() => world.root.start(world.definition({ [key]: 30 * DAY_MS })), {
      code: "CONFIG_OUT_OF_RANGE",
    });
  throws(() => equalJitter({ minMs: 1, maxMs: 30 * DAY_MS, resetAfterMs: 1 }), {
    code: "CONFIG_OUT_OF_RANGE",
  });
  await world.root.stop();
});

test("nact 11: a reset leaves a second idle timer, which stops a busy actor; here a restart leaves none", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const system = nactSystem();
  let handled = 0;
  let isStopped = false;
  const busy = spawn(system, () => void handled++, "busy", {
    shutdownAfter: 100,
    afterStop: () => (isStopped = true),
  });
  const failing = spawn(system, () => Promise.reject(new Error("thrown")), "failing", {
    onCrash: (_message, _error, { resetAll }) => resetAll,
  });
  // It waits already: the reset sets its timer again and forgets the one before.
  dispatch(failing, 1);
  await turns(3);
  for (let count = 0; count < 20; count++) {
    context.mock.timers.tick(10);
    dispatch(busy, "work");
    await turns(2);
  }
  deepEqual([isStopped, handled], [true, 9]);

  const world = new SupervisedWorld(ALL, nactShells);
  const units = ["busy", "failing"].map((name) => world.root.start(world.definition({ name })));
  await world.settle();
  equal(world.clock.timerCount, 0);
  for (let count = 0; count < 20; count++) {
    units[1]?.tell(-2);
    await world.clock.advance(2_000);
  }
  deepEqual(world.standing(), ["busy running 21", "failing running 21"]);
  // Of the one that failed: its health, which sets the backoff back.
  equal(world.clock.timerCount, 1);
  await world.clock.advance(10_000);
  equal(world.clock.timerCount, 0);
  await world.root.stop();
});

test("nact 11: names and query ids of 32 random bits collide; here names are given, and a path has its epoch", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  // Two draws that differ above bit 31 only, which is what nact cuts off.
  const draws = [2 ** 40, 2 ** 40 + 2 ** 32].map((value) => value / 2 ** 53);
  let drawn = 0;
  context.mock.method(Math, "random", () => draws[drawn++ % draws.length]);
  const system = nactSystem();
  spawn(system, () => undefined);
  throws(() => spawn(system, () => undefined), /child actor of name anonymous-.* already exists/);
  const senders: NactReference[] = [];
  const hearing = spawn(
    system,
    (_state, sender) => void senders.push(sender as NactReference),
    "hearing",
  );
  const answers = [1, 2].map(() => query(hearing, (sender) => sender, 1_000));
  await turns(3);
  dispatch(senders[0] ?? hearing, "for the first");
  equal(await answers[1], "for the first");
  context.mock.timers.tick(1_001);
  await rejects(answers[0] ?? Promise.resolve(), /Query Timeout/);

  const world = new SupervisedWorld(strategy(), nactShells);
  const names = Array.from({ length: 100 }, (_, index) => `unit-${index}`);
  for (const name of names) world.root.start(world.definition({ name }));
  await world.settle();
  deepEqual(
    world.contexts.map(({ path, epoch }) => `${path}.${epoch}`),
    names.map((name) => `${name}.1`),
  );
  const taken = { code: "CONFIG_CONFLICT" };
  throws(() => world.root.start(world.definition({ name: "unit-1" })), taken);
  throws(() => world.root.start(world.definition({ name: "" })), { code: "CONFIG_VALUE" });
  await world.root.stop();
});
