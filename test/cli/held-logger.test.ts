import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { HELD_LINES_MAX, HeldLogger } from "../../src/cli/held-logger.ts";
import type { Logger } from "../../src/contract/logger.ts";

/** A logger that writes what it is told to a list. */
function listLogger(lines: string[], prefix = ""): Logger {
  const write = (message: string): void => void lines.push(`${prefix}${message}`);
  return {
    debug: write,
    info: write,
    warn: write,
    error: write,
    child: (fields) => listLogger(lines, `${prefix}${Object.keys(fields).join()} `),
  };
}

test("held logger: lines come in order when they are released, and at once from then on", () => {
  const lines: string[] = [];
  const logger = new HeldLogger(listLogger(lines));
  const child = logger.child({ pipeline: "p" });
  logger.info("one");
  child.warn("two");
  deepEqual(lines, []);
  logger.release();
  child.error("three");
  logger.debug("four");
  logger.release();
  deepEqual(lines, ["one", "pipeline two", "pipeline three", "four"]);
});

test("held logger: what was discarded never comes", () => {
  const lines: string[] = [];
  const logger = new HeldLogger(listLogger(lines));
  logger.warn("one");
  logger.discard();
  logger.release();
  logger.warn("two");
  deepEqual(lines, ["two"]);
});

test("held logger: beyond its limit it writes at once", () => {
  const lines: string[] = [];
  const logger = new HeldLogger(listLogger(lines));
  for (let line = 0; line <= HELD_LINES_MAX; line++) logger.info(String(line));
  deepEqual(lines, [String(HELD_LINES_MAX)]);
});
