/**
 * Finding 12 about nact 7.6.2: types that promise what is not there. That this file compiles is half of the proof: nact's
 * types accept the wrong calls, ours do not (each `@ts-expect-error` is an error itself when there is none).
 */
import { createRequire } from "node:module";
import { equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import * as nact from "nact";
import { nactShells } from "../../../src/actor/nact-shell.ts";
import type { UnitRef } from "../../../supervisors/index.ts";
import { runScript, turns } from "../../support/plain-nact.ts";
import { strategy, SupervisedWorld } from "../../support/supervised.ts";

const required: Readonly<Record<string, unknown>> = createRequire(import.meta.url)("nact");

test("nact 12: any reference fits any other and takes any message; here a unit takes its own", async () => {
  const system = nact.start();
  const doubled: unknown[] = [];
  const numbers = nact.spawn(
    system,
    (_state: undefined, message: number) => void doubled.push(message * 2),
    "numbers",
  );
  nact.dispatch<string>(numbers, "twelve");
  await turns(4);
  equal(doubled.length, 1);
  ok(doubled.every(Number.isNaN));

  const world = new SupervisedWorld(strategy(), nactShells);
  const unit = world.root.start(world.definition());
  await unit.started;
  // @ts-expect-error -- it takes numbers
  const wrong: UnitRef<string> = unit;
  // @ts-expect-error -- it takes numbers
  const tell = (): unknown => unit.tell("twelve");
  equal(typeof tell, "function");
  equal(wrong.path, "meters");
  unit.tell(12);
  await world.settle();
  equal(world.handled[0], 12);
  await world.root.stop();
});

test("nact 12: what it declares is not there, and what is there cannot be imported; here what is exported is there", async () => {
  const declared: unknown = nact.configureLogging;
  equal(declared, undefined);
  equal(required["seconds"], 1_000);
  const importing = runScript(`import { seconds } from "nact"; console.log(seconds);`);
  match(importing.output, /SyntaxError: Named export 'seconds' not found/);
  equal(importing.code, 1);

  const names = ["oneForOne", "when", "equalJitter", "withoutJitter", "createSupervisor"];
  const ours = runScript(`
    import { ${names.join(", ")} } from "holdfast/supervisors";
    console.log([${names.join(", ")}].every((each) => typeof each === "function"));`);
  match(ours.output, /^true/);
  equal(ours.code, 0);
});

test("nact 12: an async initialiser is not awaited; here the first message finds the session open", async () => {
  let state: unknown;
  const system = nact.start();
  const actor = nact.spawn(
    system,
    (given: unknown, _message: number) => {
      state = given;
      return given;
    },
    "late",
    { initialStateFunc: (): unknown => Promise.resolve("ready") },
  );
  nact.dispatch(actor, 1);
  await turns(3);
  ok(state instanceof Promise);

  const world = new SupervisedWorld(strategy(), nactShells);
  const signal = new AbortController().signal;
  const unit = world.root.start<number>({
    name: "late",
    open: async () => {
      await world.clock.sleep(1_000, signal);
      return { handle: (message) => void world.handled.push(message), close: () => undefined };
    },
  });
  unit.tell(1);
  await world.clock.advance(999);
  equal(world.handled.length, 0);
  await world.clock.advance(1);
  equal(world.handled.length, 1);
  await world.root.stop();
});
