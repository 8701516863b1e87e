import assert from "node:assert/strict";
import { test } from "node:test";
import type { Events } from "../../src/contract/events.ts";
import { HoldfastError } from "../../src/errors.ts";
import { createEvents, type EventStream } from "../../src/observe/events.ts";
import { REPEATED_FAILURE_MS, REPEATED_LINE_MS } from "../../src/observe/log-lines.ts";
import { createThrottle, THROTTLE_KEYS_MAX } from "../../src/observe/throttle.ts";
import { manualClock, type ManualClock } from "./manual-clock.ts";
import { type Line, recordingLogger } from "./recording-logger.ts";

function watched(): {
  readonly events: EventStream;
  readonly lines: Line[];
  readonly clock: ManualClock;
} {
  const clock = manualClock();
  const { logger, lines } = recordingLogger();
  return { events: createEvents({ clock, logger }), lines, clock };
}

const failed = new HoldfastError("SINK_FAILED", "store: 3 of 5 rows", { fix: "look at the store" });
const FAILURE = { error: failed, directive: "restart", restarts: 1, maxRestarts: 3 } as const;

// Kind, fields, level of the one line it makes ("" for none).
const CASES: readonly (readonly [keyof Events, object, Line["level"] | ""])[] = [
  ["receiver-started", { receiver: "r", epoch: 1, address: "127.0.0.1:1" }, "info"],
  ["receiver-stopped", { receiver: "r", epoch: 1 }, "info"],
  ["receiver-failed", { receiver: "r", epoch: 1, ...FAILURE }, ""],
  ["receiver-paused", { receiver: "r", reason: "log" }, "warn"],
  ["receiver-resumed", { receiver: "r" }, "info"],
  ["receiver-dropped", { receiver: "r", recordCount: 3, reason: "LOG_FULL" }, "warn"],
  ["unit-failed", { unit: "receivers/r", epoch: 1, ...FAILURE }, "warn"],
  ["unit-starting", { unit: "receivers/r", epoch: 1 }, "debug"],
  ["unit-started", { unit: "receivers/r", epoch: 1 }, "debug"],
  ["unit-restarted", { unit: "receivers/r", epoch: 2, restarts: 1, maxRestarts: 3 }, "info"],
  ["unit-parked", { unit: "receivers/r", epoch: 2, error: failed, delayMs: 120_000 }, "error"],
  ["unit-parked", { unit: "receivers/r", epoch: 2, error: failed }, "error"],
  ["unit-backing-off", { unit: "receivers/r", epoch: 2, delayMs: 187.5 }, "debug"],
  ["unit-late-result-ignored", { unit: "receivers/r", epoch: 1, error: failed }, "debug"],
  [
    "unit-message-dropped",
    { unit: "u", epoch: 1, why: "displaced", count: 1, messages: ["secret"] },
    "warn",
  ],
  ["unit-escalated", { unit: "receivers/r", epoch: 2, error: failed }, "error"],
  ["unit-recovered", { unit: "receivers/r", epoch: 2 }, "info"],
  ["unit-stopping", { unit: "receivers/r", epoch: 2 }, "debug"],
  ["unit-stopped", { unit: "receivers/r", epoch: 2 }, "debug"],
  ["log-recovered", { nextOffset: 5, isClean: false, gapRecords: 0 }, "info"],
  ["log-recovered", { nextOffset: 5, isClean: true, gapRecords: 2 }, "warn"],
  ["log-full", { bytes: 10, bytesMax: 10, fullBy: "bytesMax", holder: "p" }, "warn"],
  ["log-gap", { from: 1, to: 3, reason: "damaged" }, "error"],
  [
    "source-gap",
    { source: "s", pipeline: "p", partition: "0", from: 1, to: 3, reason: "dropped" },
    "error",
  ],
  ["log-quarantined", { file: "f", bytes: 10 }, "warn"],
  ["log-failed", { error: failed }, "error"],
  ["log-reserved", { bytes: 1, bytesTarget: 2, spareBytes: 1 }, "info"],
  ["log-reserved", { bytes: 2, bytesTarget: 2, spareBytes: 1 }, "info"],
  ["log-reserved", { bytes: 1, bytesTarget: 2, spareBytes: 1, error: failed }, "warn"],
  ["log-unsuitable", { directory: "/d", fileSystem: "tmpfs", reason: "is in memory" }, "warn"],
  ["batch-planned", { pipeline: "p", batchId: 1, recordCount: 1 }, ""],
  ["batch-started", { pipeline: "p", batchId: 1, replay: false }, ""],
  [
    "batch-completed",
    { pipeline: "p", batchId: 1, recordCount: 1, schedulingDelayMs: 0, processingMs: 0 },
    "",
  ],
  ["batch-failed", { pipeline: "p", batchId: 1, error: failed }, "warn"],
  ["pipeline-changed", { pipeline: "p", batchId: 1 }, "warn"],
  [
    "pipeline-started",
    { pipeline: "p", sinks: [{ sink: "s", guarantee: "exactly-once", by: "token" }] },
    "info",
  ],
  ["dead-letter", { pipeline: "p", stage: "decode", error: failed, offset: 4 }, "warn"],
  ["sink-written", { pipeline: "p", sink: "s", batchId: 1, seconds: 0, rowCount: 1 }, ""],
  ["sink-replayed", { pipeline: "p", sink: "s", batchId: 1 }, "info"],
  ["pool-down", { pool: "s", address: "a", error: failed, isParked: false }, "warn"],
  ["pool-down", { pool: "s", address: "a", error: failed, isParked: true }, "error"],
  ["pool-up", { pool: "s", address: "a" }, "info"],
  ["pool-leak", { pool: "s", address: "a", heldMs: 9, site: "x", isReclaimed: false }, "warn"],
  ["sink-conflict", { pipeline: "p", sink: "s", error: failed }, "error"],
];

for (const [kind, fields, level] of CASES) {
  test(`log lines: ${kind} makes ${level === "" ? "no line" : `one line of level ${level}`} (${Object.keys(fields).join(", ")})`, () => {
    const { events, lines } = watched();
    // The table's rows are of many kinds; each row holds the fields of its own.
    Reflect.apply(events.emit, undefined, [kind, fields]);
    assert.deepEqual(
      lines.map((line) => line.level),
      level === "" ? [] : [level],
    );
    if (level !== "") assert.equal(lines[0]?.fields["event"], kind);
  });
}

test("log lines: a full disk is not called a full log", () => {
  const { events, lines } = watched();
  for (const fullBy of ["bytesMax", "disk"] as const)
    events.emit("log-full", { bytes: 5, bytesMax: 10, fullBy, holder: undefined });
  assert.deepEqual(
    lines.map(({ message }) => message),
    ["log full, receivers wait", "disk of the log full, receivers wait"],
  );
});

test("log lines: an error shows its code, message and fix, and no stack when it is ours", () => {
  const { events, lines } = watched();
  events.emit("unit-parked", { unit: "u", epoch: 1, error: failed, delayMs: 120_000 });
  events.emit("unit-parked", {
    unit: "u",
    epoch: 1,
    error: new RangeError("bug"),
    delayMs: undefined,
  });
  const [ours, foreign] = lines;
  assert.deepEqual(ours?.fields, {
    event: "unit-parked",
    unit: "u",
    epoch: 1,
    delayMs: 120_000,
    code: "SINK_FAILED",
    error: "store: 3 of 5 rows",
    fix: "look at the store",
  });
  assert.equal(foreign?.fields["code"], "INTERNAL");
  assert.match(String(foreign?.fields["stack"]), /^RangeError: bug\n/);
});

test("log lines: a flood of dead letters is one line per interval, with how many were left out", () => {
  const { events, lines, clock } = watched();
  const letter = (offset: number): void =>
    events.emit("dead-letter", { pipeline: "p", stage: "decode", error: failed, offset });
  for (let offset = 0; offset < 1_000; offset++) letter(offset);
  assert.equal(lines.length, 1);
  clock.advance(REPEATED_LINE_MS - 1);
  letter(1_000);
  assert.equal(lines.length, 1);
  clock.advance(1);
  letter(1_001);
  assert.equal(lines.length, 2);
  assert.equal(lines[1]?.fields["leftOut"], 1_000);
});

test("log lines: a unit that fails again with the same words is one line a minute; other words are told", () => {
  const { events, lines, clock } = watched();
  const fail = (message: string, unit = "receivers/field"): void =>
    events.emit("unit-failed", {
      unit,
      epoch: 1,
      ...FAILURE,
      error: new HoldfastError("CONNECTION_FAILED", message),
    });
  for (let attempt = 0; attempt < 9; attempt++) fail("refused");
  fail("no such host");
  fail("refused", "receivers/other");
  assert.equal(lines.length, 3);
  clock.advance(REPEATED_FAILURE_MS);
  fail("refused");
  assert.deepEqual([lines.length, lines[3]?.fields["leftOut"]], [4, 8]);
});

test("log lines: another code or pipeline is not part of the flood", () => {
  const { events, lines } = watched();
  events.emit("dead-letter", { pipeline: "p", stage: "decode", error: failed, offset: 1 });
  events.emit("dead-letter", {
    pipeline: "p",
    stage: "map",
    error: new HoldfastError("OPERATOR_FAILED", "x"),
    offset: 2,
  });
  events.emit("dead-letter", { pipeline: "q", stage: "decode", error: failed, offset: 3 });
  assert.equal(lines.length, 3);
});

test("throttle: remembers a limited number of keys", () => {
  const throttle = createThrottle(manualClock(), 1_000);
  for (let key = 0; key <= THROTTLE_KEYS_MAX; key++)
    assert.deepEqual(throttle(`key ${key}`), { leftOut: 0 });
  assert.equal(throttle(`key ${THROTTLE_KEYS_MAX}`), undefined);
  assert.equal(throttle("key 1"), undefined);
  assert.deepEqual(throttle("key 0"), { leftOut: 0 }, "the first was forgotten");
});
