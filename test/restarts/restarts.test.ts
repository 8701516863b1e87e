import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { runRestarts } from "./restart-run.ts";

test("restarts: 300 under load and two kill -9 lose nothing that was acknowledged and leave nothing open", async (context) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  context.diagnostic(`seed ${seed}`);
  const report = await runRestarts({
    seed,
    kills: 2,
    killedRestarts: 20,
    marks: [150, 300],
    keep: false,
    tell: (line) => context.diagnostic(line),
  });
  deepEqual(report.problems, [], `replay with: npm run test:restarts -- --seed ${seed}`);
  ok(report.acknowledged > 300 && Object.keys(report.forces).length >= 7);
  const [first, last] = report.footprints;
  deepEqual(last?.resources, first?.resources);
  // A generous bound: that nothing grows over 10,000 restarts is the long run's matter.
  ok((last?.heapBytes ?? 0) < 1.5 * (first?.heapBytes ?? 0));
});
