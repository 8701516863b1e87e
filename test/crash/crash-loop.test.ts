import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { runCrashLoop, showReport } from "./crash-run.ts";

test("kill -9 loop: 20 kills lose nothing that was acknowledged and repeat nothing", async (context) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  context.diagnostic(`seed ${seed}`);
  const report = await runCrashLoop({ seed, kills: 20, keep: false, tell: () => {} });
  for (const line of showReport(report).split("\n")) context.diagnostic(line);
  deepEqual(report.problems, [], `replay with: npm run test:crash -- --kills 20 --seed ${seed}`);
  ok(report.acknowledged > 0);
  ok(report.resent > 0, "nothing was sent again");
});
