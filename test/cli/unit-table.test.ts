import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { showApproximateSize, showSpan } from "../../src/cli/render.ts";
import { statusRows, unitRows } from "../../src/cli/unit-table.ts";
import type { StatusReport, UnitReport } from "../../src/status-report.ts";

const unit: UnitReport = {
  unit: "receivers/meters",
  status: "running",
  epoch: 1,
  restarts: 0,
  maxRestarts: 10,
  forMs: 7_440_000,
  nextAttemptInMs: null,
  lastError: null,
};
const error = { code: "HTTP_STATUS", message: "10.0.0.7 answered 503" };
const heads = ["UNIT", "STATE", "RESTARTS", "SINCE", "DETAIL"];

/** Cells of one unit behind its name. */
function cells(more: Partial<UnitReport>): readonly string[] {
  return unitRows([{ ...unit, ...more }])[1]?.slice(1) ?? [];
}

test("unit table: a unit that runs says how long", () => {
  deepEqual(unitRows([unit]), [heads, ["receivers/meters", "running", "0/10", "2h 4m", ""]]);
});

test("unit table: one that waits says why, and when it is tried again", () => {
  deepEqual(
    cells({
      status: "backing-off",
      restarts: 3,
      forMs: 4_000,
      nextAttemptInMs: 2_140,
      lastError: error,
    }),
    ["backing-off", "3/10", "4.0s", "HTTP_STATUS: 10.0.0.7 answered 503; next try in 2.1s"],
  );
});

test("unit table: a parked unit shows its error, on one line", () => {
  const lastError = { code: "SINK_CONFLICT", message: "two lines\n  of text" };
  deepEqual(cells({ status: "parked", lastError }).at(-1), "SINK_CONFLICT: two lines of text");
});

test("unit table: an error is history once its restart has left the window", () => {
  equal(cells({ restarts: 1, lastError: error }).at(-1), "last HTTP_STATUS: 10.0.0.7 answered 503");
  equal(cells({ restarts: 0, lastError: error }).at(-1), "");
});

test("unit table: without a limit only the restarts are shown", () => {
  equal(cells({ restarts: 1_204, maxRestarts: null })[1], "1,204");
});

const status: StatusReport = {
  units: [
    { ...unit, unit: "log" },
    { ...unit, unit: "pipelines/minutely" },
    unit,
    { ...unit, unit: "pipelines/gone", status: "parked", lastError: error },
  ],
  log: {
    state: "running",
    oldestOffset: 0,
    nextOffset: 88_120,
    bytes: 212 * 2 ** 20,
    bytesMax: 2 ** 30,
    gapRecords: 0,
    lastError: null,
  },
  pipelines: [
    { pipeline: "minutely", batchId: 97, lagRecords: 1_204 },
    { pipeline: "gone", batchId: 0, lagRecords: 5 },
  ],
};

test("unit table: status adds how far the log and the pipelines are", () => {
  deepEqual(
    statusRows(status).map((row) => row.at(-1)),
    [
      "DETAIL",
      "212 MiB of 1 GiB, offset 88,120",
      "lag 1,204, batch 97",
      "",
      "lag 5, batch 0; HTTP_STATUS: 10.0.0.7 answered 503",
    ],
  );
});

test("unit table: a log that is not well says so", () => {
  const rows = statusRows({ ...status, log: { ...status.log, state: "full", gapRecords: 12 } });
  equal(rows[1]?.at(-1), "full, 212 MiB of 1 GiB, offset 88,120, 12 records lost");
  const byDisk = { ...status.log, state: "full", fullBy: "disk" } as const;
  match(
    String(statusRows({ ...status, log: byDisk })[1]?.at(-1)),
    /^disk full, 212 MiB of 1 GiB, offset/,
  );
});

test("render: spans are cut to their two largest units", () => {
  deepEqual(
    [0, 99, 340, 9_999, 10_000, 59_999, 60_000, 3_599_999, 7_440_000, 86_400_000, 90_061_000].map(
      showSpan,
    ),
    ["0.0s", "0.0s", "0.3s", "9.9s", "10s", "59s", "1m", "59m 59s", "2h 4m", "1d", "1d 1h"],
  );
});

test("render: sizes for reading have about three digits", () => {
  deepEqual([0, 1023, 1024, 1536, 20_000, 2 ** 30, 3 * 2 ** 50].map(showApproximateSize), [
    "0 B",
    "1,023 B",
    "1 KiB",
    "1.5 KiB",
    "20 KiB",
    "1 GiB",
    "3,072 TiB",
  ]);
});
