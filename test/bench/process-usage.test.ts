import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { cpuSecondsOf, usageOf } from "../../bench/process-usage.ts";

test("process usage: a name with brackets and blanks does not shift the fields", () => {
  const stat =
    "4711 (node (main) x) S 1 4711 4711 0 -1 4194560 9000 0 0 0 150 25 7 9 20 0 11 0 12345 0 0";
  equal(cpuSecondsOf(stat), 1.75);
});

test("process usage: this process has memory, a peak that is not below it, and CPU time", () => {
  const usage = usageOf(process.pid);
  ok(usage.residentBytes > 1_000_000);
  ok(usage.peakBytes >= usage.residentBytes * 0.9);
  ok(usage.cpuSeconds >= 0);
});

test("process usage: a process that is gone counts as nothing", () => {
  equal(usageOf(2 ** 30).residentBytes, 0);
});
