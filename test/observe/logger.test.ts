import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "../../src/errors.ts";
import { createLogger, type LogLevel } from "../../src/observe/logger.ts";
import type { Logger } from "../../src/contract/logger.ts";

/** A logger and what it wrote, parsed. */
function written(level?: LogLevel): {
  readonly logger: Logger;
  readonly lines: () => readonly Record<string, unknown>[];
} {
  let text = "";
  const destination = { write: (chunk: string) => void (text += chunk) };
  const logger = createLogger(level === undefined ? { destination } : { level, destination });
  return {
    logger,
    lines: () =>
      text
        .split("\n")
        .slice(0, -1)
        .map((line): Record<string, unknown> => JSON.parse(line)),
  };
}

test("logger: a line is one JSON object with level, time, fields and message", () => {
  const { logger, lines } = written();
  logger.info("log opened", { nextOffset: 12 });
  const [line] = lines();
  assert.equal(lines().length, 1);
  assert.match(String(line?.["time"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(
    { ...line, time: "" },
    { level: "info", time: "", nextOffset: 12, message: "log opened" },
  );
});

test("logger: a line break in a field or message does not break the line", () => {
  const { logger, lines } = written();
  logger.warn("two\nlines", { peer: "a\n{}" });
  assert.deepEqual(
    lines().map(({ message, peer }) => [message, peer]),
    [["two\nlines", "a\n{}"]],
  );
});

const LEVELS = [
  ["debug", ["debug", "info", "warn", "error"]],
  ["info", ["info", "warn", "error"]],
  ["warn", ["warn", "error"]],
  ["error", ["error"]],
  ["silent", []],
] as const;
for (const [level, expected] of LEVELS) {
  test(`logger: level ${level} writes ${expected.length} of 4 levels`, () => {
    const { logger, lines } = written(level);
    logger.debug("m");
    logger.info("m");
    logger.warn("m");
    logger.error("m");
    assert.deepEqual(
      lines().map((line) => line["level"]),
      expected,
    );
  });
}

test("logger: a child adds its fields, and its child both", () => {
  const { logger, lines } = written();
  logger.child({ receiver: "meters" }).child({ epoch: 2 }).error("m", { more: true });
  logger.info("m");
  assert.deepEqual(
    lines().map(({ receiver, epoch, more }) => [receiver, epoch, more]),
    [
      ["meters", 2, true],
      [undefined, undefined, undefined],
    ],
  );
});

test("logger: an error as a field keeps its message, its code and its cause's message", () => {
  const { logger, lines } = written();
  logger.error("m", {
    error: new HoldfastError("SINK_FAILED", "outer", { cause: new Error("inner") }),
  });
  const text = JSON.stringify(lines()[0]);
  for (const part of ["outer", "inner", "SINK_FAILED"])
    assert.ok(text.includes(part), `${part} in ${text}`);
});

test("logger: secrets do not reach a line", () => {
  const { logger, lines } = written();
  logger.info("m", { token: "hush", connection: { password: "hush", host: "db" } });
  const text = JSON.stringify(lines()[0]);
  assert.ok(!text.includes("hush"), text);
  assert.ok(text.includes("db"), text);
});
