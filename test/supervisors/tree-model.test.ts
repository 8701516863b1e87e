import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { inlineShells } from "../../src/actor/inline-shell.ts";
import { nactShells } from "../../src/actor/nact-shell.ts";
import type { ShellSystem } from "../../src/actor/shell.ts";
import type { Strategy, Supervisor } from "../../src/contract/unit.ts";
import { allForOne, oneForOne, restForOne, withoutJitter } from "../../supervisors/index.ts";
import { manyRuns } from "../support/runs.ts";
import { SupervisedWorld } from "../support/supervised.ts";
import { foldEvents, told } from "./event-fold.ts";
import { type Effect, type GroupPlan, TreeModel } from "./tree-model.ts";

interface Command {
  readonly kind: "fail" | "restart" | "stop";
  /** Of a unit, modulo their number. */
  readonly unit: number;
}

const DELAY_MS = 100;
const SCOPES = {
  "one-for-one": oneForOne,
  "all-for-one": allForOne,
  "rest-for-one": restForOne,
} as const;

function strategyOf({ scope, directive, onExhausted, maxRestarts }: GroupPlan): Strategy {
  return SCOPES[scope]({
    maxRestarts,
    withinMs: Infinity,
    decide: () => directive,
    onExhausted,
    backoff: withoutJitter({ minMs: DELAY_MS, maxMs: DELAY_MS, resetAfterMs: 1_000 }),
  });
}

/** Units are known by their path: what befalls them is recorded as `open m0/m1.2`, `fence ...`, `close ...`. */
function build(world: SupervisedWorld, group: Supervisor, plan: GroupPlan): void {
  for (const [index, member] of plan.members.entries()) {
    const name = `m${index}`;
    if (member !== undefined) {
      build(world, group.group(name, strategyOf(member)), member);
      continue;
    }
    const path = group.path === "" ? name : `${group.path}/${name}`;
    group.start({ ...world.named(path), name });
  }
}

/** What a restart of these, in start order, has to look like; epochs are those after it. */
function expectedCalls({ units }: Effect, running: ReadonlySet<string>): readonly string[] {
  const over = units.filter(({ path }) => running.has(path)).toReversed();
  return [
    ...over.map(({ path, epoch }) => `fence ${path}.${epoch}`),
    ...over.map(({ path, epoch }) => `close ${path}.${epoch - 1}`),
    ...units.map(({ path, epoch }) => `open ${path}.${epoch}`),
  ];
}

/** Paths of closed units in the order in which they closed. */
function closedIn(calls: readonly string[]): readonly string[] {
  return calls.flatMap((call) => /^close (.*)\.\d+$/.exec(call)?.[1] ?? []);
}

function checkCalls(
  effect: Effect,
  calls: readonly string[],
  { failed, running }: { readonly failed: string; readonly running: ReadonlySet<string> },
): void {
  const paths = effect.units.map(({ path }) => path);
  switch (effect.kind) {
    case "none":
      return deepEqual(
        calls.filter((call) => !call.startsWith("resumed")),
        [],
      );
    case "restarted":
      return deepEqual(calls, expectedCalls(effect, running));
    case "parked":
      return deepEqual(closedIn(calls).toSorted(), paths.toSorted());
    case "stopped": {
      // What has failed is over before its turn; the others end in reverse.
      const others = closedIn(calls).filter((path) => path !== failed);
      return deepEqual(others, paths.filter((path) => path !== failed).toReversed());
    }
  }
}

/** Invariant 24: the events alone tell where each unit stands. Those that have stopped leave the tree. */
function checkEvents({ events, root }: SupervisedWorld): void {
  const states = told(root.states());
  const paths = new Set(states.map(({ unit }) => unit));
  deepEqual(foldEvents(events.filter(({ unit }) => paths.has(unit))), states);
}

async function play(
  plan: GroupPlan,
  script: readonly Command[],
  shells: ShellSystem,
): Promise<void> {
  const world = new SupervisedWorld(strategyOf(plan), shells);
  const model = new TreeModel(plan);
  build(world, world.root, plan);
  await world.settle();
  world.takeCalls();
  for (const [index, { kind, unit: number }] of script.entries()) {
    const unit = model.units[number % model.units.length];
    if (unit === undefined) continue;
    const running = new Set(
      model.units.flatMap((each) => (each.status === "running" ? [each.path] : [])),
    );
    const effect = model[kind](unit);
    if (kind === "fail") world.fail(unit.path);
    if (kind === "restart") world.root.find(unit.path)?.restart();
    if (kind === "stop") void world.root.find(unit.path)?.stop();
    await world.clock.advance(DELAY_MS);
    const seen = world.root
      .states()
      .map(({ unit: path, status, epoch }) => ({ path, status, epoch }));
    const wanted = model.units.map(({ path, status, epoch }) => ({ path, status, epoch }));
    deepEqual(seen, wanted, `after command ${index}`);
    checkEvents(world);
    checkCalls(effect, world.takeCalls(), { failed: unit.path, running });
    equal(world.escalated.length, model.escalated);
  }
  const running = model.units.filter(({ status }) => status === "running");
  const stopping = world.root.stop();
  await world.clock.advance(60_000);
  deepEqual(await stopping, { notStopped: [] });
  deepEqual(closedIn(world.takeCalls()), running.map(({ path }) => path).toReversed());
  equal(world.countCalls("open"), world.countCalls("close"));
  equal(world.clock.timerCount, 0);
}

const GROUPS_DEEP = 3;
function planOf(depth: number): fc.Arbitrary<GroupPlan> {
  const unit = fc.constant(undefined);
  const member: fc.Arbitrary<GroupPlan | undefined> =
    depth === GROUPS_DEEP
      ? unit
      : fc.oneof({ weight: 3, arbitrary: unit }, { weight: 2, arbitrary: planOf(depth + 1) });
  return fc.record({
    scope: fc.constantFrom("one-for-one", "all-for-one", "rest-for-one"),
    directive: fc.constantFrom(
      ...(["restart", "restart", "restart", "escalate", "escalate", "resume", "stop"] as const),
    ),
    onExhausted: fc.constantFrom("park", "park", "escalate", "stop"),
    maxRestarts: fc.constantFrom(0, 1, 2, Infinity),
    members: fc.array(member, { minLength: 1, maxLength: 4 }),
  });
}
const script = fc.array(
  fc.record({
    kind: fc.constantFrom<Command["kind"]>(
      ...(["fail", "fail", "fail", "fail", "restart", "restart", "stop"] as const),
    ),
    unit: fc.nat({ max: 30 }),
  }),
  { minLength: 1, maxLength: 25, size: "max" },
);

for (const [name, shells] of Object.entries({ inline: inlineShells, nact: nactShells }))
  test(`tree on ${name}: each failure reaches whom the scopes say, in order, and nobody else`, () =>
    fc.assert(
      fc.asyncProperty(planOf(1), script, (plan, commands) => play(plan, commands, shells)),
      manyRuns,
    ));
