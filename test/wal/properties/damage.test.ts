import { test } from "node:test";
import fc from "fast-check";
import { manyRuns } from "../../support/runs.ts";
import { commandsOf } from "./commands.ts";
import { LogWorld } from "./log-world.ts";

test("log property: a write that lands elsewhere costs what it held and what was there", async () => {
  const commands = commandsOf({
    append: 8,
    idle: 2,
    release: 1,
    read: 2,
    reopen: 3,
    stray: 1,
  });
  await fc.assert(
    fc.asyncProperty(fc.integer(), commands, async (seed, list) => {
      await new LogWorld({ seed }).run(list);
    }),
    manyRuns,
  );
});

test("log property: damage is an exact gap that is told, and takes nothing else with it", async () => {
  const commands = commandsOf({
    append: 8,
    idle: 2,
    release: 1,
    read: 2,
    reopen: 3,
    damage: 2,
  });
  await fc.assert(
    fc.asyncProperty(fc.integer(), commands, async (seed, list) => {
      await new LogWorld({ seed }).run(list);
    }),
    manyRuns,
  );
});
