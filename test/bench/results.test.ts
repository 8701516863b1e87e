import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import type { Job, Result, Variant } from "../../bench/job.ts";
import { merged, resultsPage, table } from "../../bench/results.ts";
import { summarize } from "../../bench/rounds.ts";
import { standing } from "../../bench/targets.ts";

const variant = (name: string, control?: string): Variant => ({
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
  deepEqual(summarize(own, samples), [{ ...result("log/a", 20), controlRatio: 0.5 }]);
  deepEqual(summarize(control, samples), [result("log/c", 40)]);
});

test("results: a job that ran replaces all of its old results, others stay in the order of the jobs", () => {
  const old = [result("raw/x", 1), result("log/gone", 2)];
  deepEqual(merged(old, [result("log/new", 3)], [job("log"), job("raw")]), [
    result("log/new", 3),
    result("raw/x", 1),
  ]);
});

test("results: rates reach a target from above, everything else from below", () => {
  equal(standing("log/2 connections", "records per second", 8_000_000), "aim");
  equal(standing("log/2 connections", "records per second", 3_000_000), "floor");
  equal(standing("log/2 connections", "records per second", 2_999_999), "below");
  equal(standing("log/2 connections", "CPU per million records", 0.13), "aim");
  equal(standing("log/2 connections", "CPU per million records", 0.31), "below");
  equal(standing("log/C control, 2 connections", "records per second", 1), undefined);
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
