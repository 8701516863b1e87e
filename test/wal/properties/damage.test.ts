import { test } from "node:test";
import fc from "fast-check";
import { manyRuns } from "../../support/runs.ts";
import { commandsOf } from "./commands.ts";
import { LogWorld } from "./log-world.ts";

const cases = [
  ["damage is an exact gap that is told, and takes nothing else with it", { damage: 2 }],
  ["a write that lands elsewhere costs what it held and what was there", { stray: 1 }],
] as const;

for (const [title, harm] of cases) {
  test(`log property: ${title}`, async () => {
    const commands = commandsOf({
      append: 8,
      idle: 2,
      release: 1,
      read: 2,
      reopen: 3,
      ...harm,
    });
    await fc.assert(
      fc.asyncProperty(fc.integer(), commands, async (seed, list) => {
        await new LogWorld({ seed }).run(list);
      }),
      manyRuns,
    );
  });
}
