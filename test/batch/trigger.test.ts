import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { endsAfter } from "../../src/contract/log.ts";
import { countOf, planOf, rangesOf, reaches, startOf } from "../../src/batch/planner.ts";
import { asap, availableNow, dueAtMs, interval, isFinite, once } from "../../src/batch/trigger.ts";

test("trigger: intervals out of range are refused with both numbers", () => {
  throws(() => asap({ minIntervalMs: -1 }), {
    code: "CONFIG_OUT_OF_RANGE",
    message: /-1, allowed are 0/,
  });
  throws(() => interval({ everyMs: 0 }), { code: "CONFIG_OUT_OF_RANGE" });
  throws(() => interval({ everyMs: 86_400_001 }), { code: "CONFIG_OUT_OF_RANGE" });
});

test("trigger: a batch is due an interval after the start of the last one", () => {
  equal(dueAtMs(asap(), 100, 150), 100);
  equal(dueAtMs(asap({ minIntervalMs: 80 }), 100, 150), 180);
  equal(dueAtMs(interval({ everyMs: 60 }), 100, 150), 160);
  equal(dueAtMs(interval({ everyMs: 60 }), undefined, 150), 150);
  deepEqual([asap(), interval({ everyMs: 1 }), availableNow(), once()].map(isFinite), [
    false,
    false,
    true,
    true,
  ]);
});

test("planner: ranges are half open, and partitions without news are left out", () => {
  const from = startOf({ "0": 5 }, { "0": 0, "1": 2 });
  deepEqual(from, { "0": 5, "1": 2 });
  const ranges = rangesOf("log", from, { "0": 5, "1": 7 });
  deepEqual(ranges, { log: { "1": [2, 7] } });
  equal(countOf(ranges), 5);
  deepEqual(endsAfter({ log: { "0": 5 }, other: { "0": 1 } }, ranges), {
    log: { "0": 5, "1": 7 },
    other: { "0": 1 },
  });
  equal(reaches({ "0": 5 }, { "0": 5 }), true);
  equal(reaches({ "0": 5 }, { "0": 5, "1": 1 }), false);
});

test("planner: a partition that was found only when the batch was bounded comes with the next one", () => {
  // Where it begins is not known here: from 0 its first batch would have a gap that never was.
  deepEqual(rangesOf("log", { "0": 5 }, { "0": 6, "1": 7 }), { log: { "0": [5, 6] } });
});

test("planner: nothing new is no plan", () => {
  const identity = {
    pipeline: "p",
    batchId: 1,
    epoch: 1,
    batchTimeMs: 0,
    graphHash: "",
    deadLettersFrom: 0,
  };
  equal(planOf(identity, rangesOf("log", { "0": 3 }, { "0": 3 })), undefined);
});
