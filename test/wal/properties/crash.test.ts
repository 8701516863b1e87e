import { test } from "node:test";
import fc from "fast-check";
import { manyRuns } from "../../support/runs.ts";
import { commandsOf } from "./commands.ts";
import { LogWorld } from "./log-world.ts";

for (const hasLedger of [true, false]) {
  test(`log property: what is acknowledged outlives power cuts and failing calls, ${hasLedger ? "with" : "without"} a ledger`, async () => {
    const commands = commandsOf({
      append: 8,
      idle: 2,
      release: 1,
      read: 1,
      reopen: 3,
      trouble: 1,
      "troubled-open": 1,
    });
    await fc.assert(
      fc.asyncProperty(fc.integer(), commands, async (seed, list) => {
        await new LogWorld({ seed, hasLedger }).run(list);
      }),
      manyRuns,
    );
  });
}
