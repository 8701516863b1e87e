#!/usr/bin/env node
/**
 * Runs the compiled tests: all, or those whose file or title contains one of the given words.
 *
 *   npm test                       everything
 *   npm test -- wal sink/file      files whose path contains "wal" or "sink/file"
 *   npm test -- "torn tail"        no such file: tests whose title contains it
 *   npm test -- --exclude=crash    all files but these
 *   npm test -- --runs=10000 wal/properties    so many runs of each large property, 300 otherwise
 *
 * The files are listed here, because directories and patterns after `node --test` mean different things to Node
 * 20, 22 and 24. With CI=true a skipped test fails the run, unless its reason begins with "this Node"
 * or "this machine": a right or a kind of system that no script can install.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, sep } from "node:path";
import { root, run } from "./command.mjs";

/** Longest that one test may take: a hung one is named instead of holding the run for ever. */
const TEST_TIMEOUT_MS = 300_000;
/** With more runs than usual. */
const MANY_RUNS_TIMEOUT_MS = 24 * 3_600_000;
const REPORTER = new URL("skip-reporter.mjs", import.meta.url).href;

function listTests() {
  const directory = join(root, "dist", "test");
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true })
    .filter((name) => name.endsWith(".test.js"))
    .map((name) => name.split(sep).join("/"))
    .toSorted();
}

/** Which files to run, and which titles in them. */
function choose(files, words) {
  const excluded = words
    .filter((word) => word.startsWith("--exclude="))
    .map((word) => word.slice("--exclude=".length));
  const wanted = words.filter((word) => !word.startsWith("--exclude="));
  const kept = files.filter((file) => !excluded.some((word) => file.includes(word)));
  const byFile = kept.filter((file) => wanted.some((word) => file.includes(word)));
  if (wanted.length === 0) return { chosen: kept, titles: [] };
  if (byFile.length > 0) return { chosen: byFile, titles: [] };
  return {
    chosen: kept,
    titles: wanted.map(
      (word) => `--test-name-pattern=${word.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`)}`,
    ),
  };
}

async function runTests(files, titles, runs) {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  const skipsFile = join(directory, "skips");
  try {
    const args = [
      "--test",
      `--test-concurrency=${availableParallelism()}`,
      `--test-timeout=${runs === undefined ? TEST_TIMEOUT_MS : MANY_RUNS_TIMEOUT_MS}`,
      "--test-reporter=spec",
      "--test-reporter-destination=stdout",
      `--test-reporter=${REPORTER}`,
      `--test-reporter-destination=${skipsFile}`,
      ...titles,
      ...files.map((file) => join(root, "dist", "test", file)),
    ];
    const env = runs === undefined ? process.env : { ...process.env, HOLDFAST_RUNS: runs };
    const { code } = await run(process.execPath, args, { env });
    const skips = readFileSync(skipsFile, "utf8")
      .split("\n")
      .filter((line) => line !== "");
    const forbidden =
      process.env.CI === "true" && titles.length === 0
        ? skips.filter((line) => !/ # this (Node|machine) /.test(line))
        : [];
    for (const line of forbidden) console.error(`skipped, which CI does not allow: ${line}`);
    return code === 0 && forbidden.length > 0 ? 1 : code;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const given = process.argv.slice(2);
const isRuns = (word) => word.startsWith("--runs=");
// The last one counts, so that a script may have one of its own.
const runs = given.findLast(isRuns)?.slice("--runs=".length);
const { chosen, titles } = choose(
  listTests(),
  given.filter((word) => !isRuns(word)),
);
if (chosen.length === 0) {
  console.error("no test file: npm run build makes them from test/");
  process.exitCode = 1;
} else {
  process.exitCode = await runTests(chosen, titles, runs);
}
