/** Finding 6 about nact 7.6.2: callbacks of users that end the process. Each fault is shown in a process of its own. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { nactShells } from "../../../src/actor/nact-shell.ts";
import type { UnitDefinition } from "../../../src/contract/unit.ts";
import { runScript } from "../../support/plain-nact.ts";
import { strategy, SupervisedWorld } from "../../support/supervised.ts";

/** Runs this against nact's `start`, `spawn`, `dispatch` and `stop`; ends with 0 when it survives. */
function survives(body: string): { readonly code: number; readonly output: string } {
  return runScript(`
    import { start, spawn, dispatch, stop } from "nact";
    const system = start();
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    ${body}
    for (let count = 0; count < 20; count++) await turn();
    console.log("still here");`);
}

function ours(more: Partial<Parameters<typeof strategy>[0]> = {}): SupervisedWorld {
  return new SupervisedWorld(strategy(more), nactShells);
}

/** After whatever happened, the unit or a new one beside it serves a message, and everything stops. */
async function stillServes(world: SupervisedWorld): Promise<void> {
  const other = world.root.start(world.definition({ name: "other" }));
  await other.started;
  other.tell(7);
  await world.settle();
  equal(world.handled.at(-1), 7);
  await world.root.stop();
  equal(world.clock.timerCount, 0);
}

test("nact 6: a process in which nothing throws lives", () => {
  const { code, output } = survives("spawn(system, () => undefined, 'quiet');");
  match(output, /still here/);
  equal(code, 0);
});

test("nact 6: an onCrash that throws ends the process; here a decide that throws escalates", async () => {
  const { code, output } = survives(`
    const onCrash = () => { throw new Error("decider"); };
    dispatch(spawn(system, () => { throw new Error("handler"); }, "a", { onCrash }), 1);`);
  match(output, /Error: decider/);
  equal(code, 1);

  const world = ours({
    decide: () => {
      throw new Error("decider");
    },
  });
  const unit = world.root.start(world.definition());
  await unit.started;
  unit.tell(-1);
  await world.settle();
  equal(unit.state().status, "parked");
  deepEqual(
    world.escalated.map(({ message }) => message),
    ["thrown"],
  );
  await stillServes(world);
});

test("nact 6: an escalation after the stop ends the process; here it changes nothing", async () => {
  const { code, output } = survives(`
    const onCrash = (message, error, context) => context.escalate;
    const actor = spawn(system, async () => { await turn(); throw new Error("late"); }, "a", { onCrash });
    dispatch(actor, 1);
    setImmediate(() => stop(actor));`);
  match(output, /TypeError: Cannot read properties of undefined \(reading 'handleFault'\)/);
  equal(code, 1);

  const world = ours({ decide: () => "escalate" });
  const unit = world.root.start(world.definition());
  await unit.started;
  await unit.stop();
  world.context.fail(new Error("late"));
  await world.settle();
  deepEqual(world.escalated, []);
  await stillServes(world);
});

test("nact 6: an action on a child that is gone ends the process; here stop and restart may come late and twice", async () => {
  const { code, output } = survives(`
    const parent = spawn(system, () => undefined, "parent", {
      onCrash: async (message, error, context, child) => {
        stop(child);
        return context.stopChild;
      },
    });
    const onCrash = (message, error, context) => context.escalate;
    dispatch(spawn(parent, () => { throw new Error("thrown"); }, "child", { onCrash }), 1);`);
  match(output, /TypeError: Cannot read properties of undefined \(reading 'stop'\)/);
  equal(code, 1);

  const world = ours();
  const unit = world.root.start(world.definition());
  await unit.started;
  await Promise.all([unit.stop(), unit.stop()]);
  unit.restart();
  await unit.stop();
  equal(unit.tell(1), "dead");
  equal(unit.state().status, "stopped");
  await stillServes(world);
});

test("nact 6: an async initialiser that rejects ends the process; here open is async and its rejection a failure", async () => {
  const { code, output } = survives(`
    const initialStateFunc = () => Promise.reject(new Error("refused"));
    spawn(system, () => undefined, "a", { initialStateFunc, onCrash: (m, e, c) => c.stop });`);
  match(output, /Error: refused/);
  equal(code, 1);

  const world = ours({ maxRestarts: 2 });
  const open = (): Promise<never> => Promise.reject(new Error("refused"));
  const unit = world.root.start(world.definition({ open }));
  await world.clock.advance(60_000);
  deepEqual([unit.state().status, unit.state().epoch], ["parked", 3]);
  await stillServes(world);
});

test("nact 6: an afterStop that throws ends the process; here close, fence, resumed and listeners may throw", async () => {
  const { code, output } = survives(`
    const afterStop = () => { throw new Error("hook"); };
    stop(spawn(system, () => undefined, "a", { afterStop }));`);
  match(output, /Error: hook/);
  equal(code, 1);

  const throws = (): never => {
    throw new Error("hook");
  };
  const hooks: Partial<UnitDefinition<number>> = {
    open: () => Promise.resolve({ handle: throws, resumed: throws, close: throws }),
    fence: throws,
  };
  const world = ours({ decide: ({ message }) => (message === "hook" ? "resume" : "restart") });
  const unit = world.root.start(world.definition(hooks));
  await unit.started;
  unit.tell(1);
  await world.clock.advance(1_000);
  // The handler's throw is resumed, the hook's is none that leaves something to go on with.
  deepEqual([unit.state().status, unit.state().epoch], ["running", 2]);
  await unit.stop();
  ok(world.kinds().includes("late-result-ignored"));
  await stillServes(world);
});
