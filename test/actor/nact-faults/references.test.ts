/** Finding 10 about nact 7.6.2: actors and references that do other than one expects. Each fault is shown there first. */
import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import { nactShells } from "../../../src/actor/nact-shell.ts";
import { deferred } from "../../../src/actor/waits.ts";
import { nactSystem, plainNact, turns } from "../../support/plain-nact.ts";
import { strategy, SupervisedWorld } from "../../support/supervised.ts";

const { spawn, spawnStateless, dispatch, query, stop } = plainNact;

test("nact 10: spawnStateless overwrites the onCrash it was given; here the child's own strategy decides", async () => {
  let asked = 0;
  let handled = 0;
  const handle = (): never => {
    handled++;
    throw new Error("thrown");
  };
  const actor = spawnStateless(nactSystem(), handle, "stateless", {
    onCrash: (_message, _error, context) => {
      asked++;
      return context.stop;
    },
  });
  for (let id = 0; id < 3; id++) dispatch(actor, id);
  await turns(6);
  deepEqual([asked, handled], [0, 3]);

  const world = new SupervisedWorld(strategy({ decide: () => "resume" }), nactShells);
  const own = strategy({ decide: () => "stop" });
  const unit = world.root.start(world.definition({ strategy: own }));
  await unit.started;
  for (let count = 0; count < 3; count++) unit.tell(-1);
  await world.settle();
  equal(unit.state().status, "stopped");
  deepEqual(
    world.kinds().filter((kind) => kind === "failed"),
    ["failed"],
  );
  await world.root.stop();
});

test("nact 10: a handler that never settles wedges its actor; here its deadline restarts the unit", async () => {
  let handled = 0;
  const actor = spawn(
    nactSystem(),
    () => {
      handled++;
      return new Promise(() => undefined);
    },
    "hung",
  );
  for (let id = 0; id < 3; id++) dispatch(actor, id);
  await turns(100);
  equal(handled, 1);

  const world = new SupervisedWorld(strategy(), nactShells);
  const unit = world.root.start(world.definition({ handleDeadlineMs: 1_000 }));
  await unit.started;
  for (const message of [-3, 1, 2]) unit.tell(message);
  await world.clock.advance(1_000);
  await world.clock.advance(10_000);
  deepEqual(world.handled, [1, 2]);
  deepEqual([unit.state().status, unit.state().epoch], ["running", 2]);
  await world.root.stop();
  equal(world.clock.timerCount, 0);
});

test("nact 10: a query that timed out runs all the same; here a message given up is counted, its late end ignored", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const gate = deferred();
  const handled: unknown[] = [];
  const actor = spawn(
    nactSystem(),
    async (_state, message) => {
      await gate.promise;
      handled.push(message);
    },
    "asked",
  );
  dispatch(actor, "first");
  const answer = query(actor, () => "asked", 100);
  context.mock.timers.tick(101);
  await rejects(answer, /Query Timeout/);
  gate.resolve();
  await turns(5);
  deepEqual(handled, ["first", "asked"]);

  const world = new SupervisedWorld(strategy(), nactShells);
  const late = deferred();
  const unit = world.root.start<number>({
    name: "asked",
    handleDeadlineMs: 100,
    closeDeadlineMs: 100,
    open: ({ signal }) =>
      Promise.resolve({
        handle: async (message) => {
          await late.promise;
          // What an answer has to ask before it has an effect.
          if (!signal.aborted) world.handled.push(message);
        },
        close: () => undefined,
      }),
  });
  await unit.started;
  unit.tell(1);
  await world.clock.advance(1_000);
  late.resolve();
  await world.settle();
  unit.tell(2);
  await world.clock.advance(5_000);
  deepEqual(world.handled, [2]);
  const dropped = world.events.flatMap((event) =>
    event.kind === "message-dropped" ? [`${event.count} ${event.why}`] : [],
  );
  deepEqual(dropped, ["1 handler-overdue"]);
  await world.root.stop();
});

test("nact 10: a message to a stopped actor vanishes; here tell answers dead", async () => {
  let handled = 0;
  const actor = spawn(nactSystem(), () => void handled++, "gone");
  stop(actor);
  equal(dispatch(actor, 1), undefined);
  await turns(5);
  equal(handled, 0);

  const world = new SupervisedWorld(strategy(), nactShells);
  const unit = world.root.start(world.definition());
  await unit.started;
  equal(unit.tell(1), "ok");
  await unit.stop();
  equal(unit.tell(2), "dead");
  await world.root.stop();
});

test("nact 10: an old reference reaches the new actor of its name; here a name is taken and an old epoch is ignored", async () => {
  const system = nactSystem();
  const reached: string[] = [];
  const old = spawn(system, () => void reached.push("old"), "same");
  stop(old);
  await turns(2);
  spawn(system, () => void reached.push("new"), "same");
  dispatch(old, 1);
  await turns(2);
  deepEqual(reached, ["new"]);

  const world = new SupervisedWorld(strategy(), nactShells);
  const unit = world.root.start(world.definition());
  await unit.started;
  const first = world.context;
  unit.restart();
  await world.settle();
  first.fail(new Error("of the first epoch"));
  first.alive();
  await world.settle();
  deepEqual([unit.state().status, unit.state().epoch], ["running", 2]);
  equal(world.kinds().at(-1), "late-result-ignored");
  throws(() => world.root.start(world.definition()), { code: "CONFIG_CONFLICT" });
  await unit.stop();
  const next = world.root.start(world.definition());
  await next.started;
  equal(next.state().epoch, 3);
  equal(unit.tell(1), "dead");
  await world.root.stop();
});
