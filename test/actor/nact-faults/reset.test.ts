/** Findings 2 to 5 about nact 7.6.2: restarts that double, wedge, leak or spin. Each test shows the fault there first. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { nactShells } from "../../../src/actor/nact-shell.ts";
import { deferred } from "../../../src/actor/waits.ts";
import type { Strategy } from "../../../src/contract/unit.ts";
import { oneForOne, withoutJitter } from "../../../supervisors/index.ts";
import { realClock } from "../../../src/host/clock.ts";
import { nactSystem, plainNact, turns } from "../../support/plain-nact.ts";
import { strategy, SupervisedWorld } from "../../support/supervised.ts";

const { spawn, dispatch } = plainNact;
const ALL: Strategy = { ...strategy(), scope: "all-for-one" };

test("nact 2: resetAll runs a busy sibling's handlers side by side and its old one overwrites the state; here neither", async () => {
  const parent = spawn(nactSystem(), () => undefined, "parent");
  const gates = [deferred(), deferred()] as const;
  let inFlight = 0;
  let most = 0;
  const states: unknown[] = [];
  const busy = spawn(
    parent,
    async (state, message) => {
      states.push(state);
      if (message === "look") return state;
      most = Math.max(most, ++inFlight);
      await gates[message === "first" ? 0 : 1].promise;
      inFlight--;
      return `written by ${String(message)}`;
    },
    "busy",
    { initialStateFunc: () => "fresh" },
  );
  const failing = spawn(parent, () => Promise.reject(new Error("thrown")), "failing", {
    onCrash: (_message, _error, { resetAll }) => resetAll,
  });
  for (const message of ["first", "second"]) dispatch(busy, message);
  await turns(2);
  dispatch(failing, 1);
  await turns(4);
  equal(most, 2);
  gates[1].resolve();
  await turns(2);
  gates[0].resolve();
  await turns(2);
  dispatch(busy, "look");
  await turns(2);
  deepEqual(states, ["fresh", "fresh", "written by first"]);

  const world = new SupervisedWorld(ALL, nactShells);
  const gate = deferred();
  let running = 0;
  let mostRunning = 0;
  const seen: string[] = [];
  const unit = world.root.start<string>({
    name: "busy",
    open: ({ epoch }) =>
      Promise.resolve({
        handle: async (message) => {
          mostRunning = Math.max(mostRunning, ++running);
          if (epoch === 1) await gate.promise;
          running--;
          seen.push(`${message} ${epoch}`);
        },
        close: () => undefined,
      }),
  });
  const sibling = world.root.start(world.definition({ name: "failing" }));
  await Promise.all([unit.started, sibling.started]);
  for (const message of ["first", "second"]) unit.tell(message);
  await world.settle();
  sibling.tell(-1);
  await world.clock.advance(1_000);
  equal(unit.state().status, "backing-off");
  gate.resolve();
  await world.clock.advance(1_000);
  deepEqual(seen, ["first 1", "second 2"]);
  equal(mostRunning, 1);
  await world.root.stop();
});

test("nact 3: a resume after an escalation goes to the parent and wedges the child; here the child goes on", async () => {
  const handled: unknown[] = [];
  const parent = spawn(nactSystem(), () => undefined, "parent", {
    onCrash: (_message, _error, { resume }) => resume,
  });
  const child = spawn(
    parent,
    (_state, message) => {
      if (message === -1) throw new Error("thrown");
      handled.push(message);
    },
    "child",
    { onCrash: (_message, _error, { escalate }) => escalate },
  );
  for (const message of [-1, 1, 2]) dispatch(child, message);
  await turns(100);
  deepEqual(handled, []);

  const resuming = strategy({ decide: () => "resume" });
  const world = new SupervisedWorld(resuming, nactShells);
  const group = world.root.group("group", strategy({ decide: () => "escalate" }));
  const unit = group.start(world.definition());
  await unit.started;
  for (const message of [-1, 1, 2]) unit.tell(message);
  await world.settle();
  deepEqual(world.handled, [1, 2]);
  deepEqual(world.takeCalls(), ["open 1", "resumed"]);
  await world.root.stop();
});

test("nact 4: a reset has no hook, so what the state holds leaks; here each session is closed before the next opens", async () => {
  let live = 0;
  let isStateGiven = false;
  const crashes = 5;
  const actor = spawn(nactSystem(), () => Promise.reject(new Error("thrown")), "holder", {
    initialStateFunc: () => ({ socket: ++live }),
    onCrash: (_message, _error, context) => {
      isStateGiven ||= "state" in context;
      return context.reset;
    },
    afterStop: () => live--,
  });
  for (let count = 0; count < crashes; count++) dispatch(actor, count);
  await turns(4 * crashes);
  deepEqual([live, isStateGiven], [crashes + 1, false]);

  const world = new SupervisedWorld(strategy({ maxRestarts: Infinity }), nactShells);
  let open = 0;
  const unit = world.root.start<number>({
    name: "holder",
    open: () => {
      equal(++open, 1);
      return Promise.resolve({
        handle: () => Promise.reject(new Error("thrown")),
        close: () => void open--,
      });
    },
  });
  await unit.started;
  for (let count = 0; count < crashes; count++) unit.tell(count);
  await world.clock.advance(60_000);
  deepEqual([unit.state().epoch, open], [crashes + 1, 1]);
  await world.root.stop();
  equal(open, 0);
});

test("nact 5: an initialiser that throws spins in microtasks and no timer fires; here turns pass between attempts", async () => {
  const attemptsMax = 20_000;
  let attempts = 0;
  const turn = realClock.yield();
  spawn(nactSystem(), () => undefined, "spinning", {
    initialStateFunc: () => {
      if (++attempts < attemptsMax) throw new Error("refused");
    },
    onCrash: (_message, _error, { reset }) => reset,
  });
  // Asked for before the first attempt, it comes after the last.
  await turn;
  equal(attempts, attemptsMax);

  // Without backoff and without limit, so that nothing but the yield stands between two attempts.
  const backoff = withoutJitter({ minMs: 0, maxMs: 0, resetAfterMs: 0 });
  const world = new SupervisedWorld(
    oneForOne({ maxRestarts: Infinity, withinMs: 1_000, backoff }),
    nactShells,
  );
  let opens = 0;
  const open = (): Promise<never> => {
    opens++;
    return Promise.reject(new Error("refused"));
  };
  const unit = world.root.start(world.definition({ open }));
  for (let count = 1; count <= 100; count++) {
    const before = opens;
    await realClock.yield();
    ok(opens - before <= 1, `${opens - before} attempts in one turn`);
  }
  ok(opens > 10);
  await unit.stop();
  const stopped = opens;
  await turns(10);
  equal(opens, stopped);

  const limited = new SupervisedWorld(strategy({ maxRestarts: 3 }), nactShells);
  const parked = limited.root.start(limited.definition({ open }));
  await limited.clock.advance(60_000);
  deepEqual([opens - stopped, parked.state().status], [4, "parked"]);
  await limited.root.stop();
});
