import { equal, ok } from "node:assert/strict";
import { execFile } from "node:child_process";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** A torture that failed is repeated with its seed: `node dist/test/supervisors/torture/main.js 10000 30 SEED`. */
const SEED = 6;
const ROUNDS = 30;
const TIMEOUT_MS = 240_000;
const MAIN = fileURLToPath(new URL("main.js", import.meta.url));

interface Report {
  readonly units: number;
  readonly lives: number;
  readonly messages: number;
  readonly standing: Readonly<Record<string, number>>;
  readonly blows: Readonly<Record<string, number>>;
}

/** In a process of its own: it is several times slower where node:test follows every promise. */
async function torture(
  context: TestContext,
  unitCount: number,
  words: readonly string[] = [],
): Promise<void> {
  const args = [MAIN, `${unitCount}`, `${ROUNDS}`, `${SEED}`, ...words];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
    timeout: TIMEOUT_MS,
  });
  context.diagnostic(stdout.trim());
  equal(stderr, "");
  const { units, lives, messages, standing, blows }: Report = JSON.parse(stdout);
  // One in which little goes wrong, or most of the tree is dead early, proves nothing.
  ok(units >= unitCount && lives > units && messages > 5 * units);
  if (!words.includes("at-once")) ok(lives > 2 * units && (standing["running"] ?? 0) > units / 4);
  ok(Object.keys(blows).length >= 30);
}

test("torture: 10,000 units fail in every way; then none is wedged, leaked or doubled", (context) =>
  torture(context, 10_000));

test("torture on nact: 1,000 units fail in every way; then none is wedged, leaked or doubled", (context) =>
  torture(context, 1_000, ["nact"]));

test("torture: 1,000 units are stopped while everything fails; then nothing is left", async (context) => {
  await torture(context, 1_000, ["at-once"]);
  await torture(context, 1_000, ["at-once", "nact"]);
});
