import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import type { Job, Result, Variant } from "../../bench/job.ts";
import { merged, resultsPage, table } from "../../bench/results.ts";
import { summarize } from "../../bench/rounds.ts";
import { standing } from "../../bench/targets.ts";

const variant = (name: string, control?: string | readonly string[]): Variant => ({
  name,
  ...(control === undefined ? {} : { control }),
  run: () => Promise.resolve([]),
});
const job = (name: string): Job => ({ name, title: `the ${name}`, variants: [] });
const result = (name: string, value: number): Result => ({
  name,
  metric: "records per second",
  value,
  unit: "records/s",
});
const rate = (value: number) => [{ metric: "records per second", value, unit: "records/s" }];

test("rounds: medians of a variant, divided by its control's", () => {
  const own = variant("log/a", "log/c");
  const control = variant("log/c");
  const samples = new Map([
    [own, [rate(10), rate(30), rate(20)]],
    [control, [rate(40), rate(80), rate(40)]],
  ]);
  deepEqual(summarize(own, samples), [
    { ...result("log/a", 20), range: [10, 30], controlRatio: 0.5 },
  ]);
  deepEqual(summarize(control, samples), [{ ...result("log/c", 40), range: [40, 80] }]);
});

test("results: a job that ran replaces all of its old results, others stay in the order of the jobs", () => {
  const old = [result("raw/x", 1), result("log/gone", 2)];
  deepEqual(merged(old, [result("log/new", 3)], [job("log"), job("raw")]), [
    result("log/new", 3),
    result("raw/x", 1),
  ]);
});

test("rounds: a ratio to each of several controls that have the metric", () => {
  const own = variant("stores/own", ["stores/a", "stores/b", "stores/skipped"]);
  const samples = new Map([
    [own, [rate(60)]],
    [variant("stores/a"), [rate(20)]],
    [variant("stores/b"), [rate(10)]],
    [variant("stores/skipped"), [[]]],
  ]);
  deepEqual(summarize(own, samples), [
    { ...result("stores/own", 60), controlRatios: { a: 3, b: 6 } },
  ]);
});

test("results: rates reach a target from above, everything else from below", () => {
  const standingOf = (name: string, metric: string, value: number) =>
    standing({ name, metric, value });
  equal(standingOf("log/2 connections", "records per second", 8_000_000), "aim");
  equal(standingOf("log/2 connections", "records per second", 3_000_000), "floor");
  equal(standingOf("log/2 connections", "records per second", 2_999_999), "below");
  equal(standingOf("log/2 connections", "CPU per million records", 0.13), "aim");
  equal(standingOf("log/2 connections", "CPU per million records", 0.31), "below");
  equal(standingOf("log/C control, 2 connections", "records per second", 1), undefined);
});

test("results: a bound of a ratio is held against the worst ratio", () => {
  const written = { name: "wal-groups/1 MiB", metric: "written", value: 1 };
  equal(standing({ ...written, controlRatio: 0.7 }), "aim");
  equal(standing({ ...written, controlRatio: 0.69 }), "below");
  equal(standing(written), undefined);
  const stored = { ...result("wal-stores/1,000 records", 1) };
  equal(standing({ ...stored, controlRatios: { a: 9, b: 5 } }), "aim");
  equal(standing({ ...stored, controlRatios: { a: 9, b: 4 } }), "below");
  const waited = { name: "wal-latency/one producer", metric: "acknowledgement p50", value: 1 };
  equal(standing({ ...waited, controlRatios: { a: 1, b: 1.3 } }), "below");
});

test("results: the page has a table with floor, aim and ratio, and no section for a job without results", () => {
  const results = [{ ...result("log/2 connections", 9_876_543), controlRatio: 0.654 }];
  const row = table(results).at(-1);
  equal(
    row,
    "| 2 connections | records per second | 9,880,000 records/s | 3,000,000 | 8,000,000 | aim | 0.65 |",
  );
  const page = resultsPage(results, [job("log"), job("raw")], {
    machine: "a machine",
    rounds: 5,
    date: "2026-01-02",
  });
  match(page, /^## log: the log$/m);
  equal(page.includes("## raw"), false);
});

test("results: the table names its controls, and the page the rounds and the load of each job", () => {
  const own: Result = {
    ...result("wal-stores/1,000 records", 50),
    range: [40, 60],
    controlRatios: { sqlite: 5.5, lmdb: 6 },
    run: { date: "2026-01-02", rounds: 3, loadAverages: [0.52, 1.26] },
  };
  equal(
    table([own], "the peer").at(-1),
    "| 1,000 records | records per second | 50 records/s (40 to 60) | 5 x | 5 x | aim | 5.50 to sqlite; 6.00 to lmdb |",
  );
  const notes = { machine: "a machine", rounds: 5, date: "2026-01-03" };
  match(
    resultsPage([own], [job("wal-stores")], notes),
    /wal-stores` \(this one: 2026-01-02, 3 rounds, load average 0\.5 before it and 1\.3 at its end\)$/m,
  );
});
