import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Snapshot } from "../../src/contract/status.ts";
import type { UnitState } from "../../src/contract/unit.ts";
import { HoldfastError } from "../../src/errors.ts";
import { createEvents } from "../../src/observe/events.ts";
import { exposition } from "../../src/observe/exposition.ts";
import { Histogram, SECONDS_BOUNDS } from "../../src/observe/histogram.ts";
import { createMetrics, UNIT_STATE_VALUES } from "../../src/observe/metrics.ts";
import { silentLogger } from "../support/logger.ts";
import { manualClock } from "./manual-clock.ts";

const meters: UnitState = {
  unit: "receivers/meters",
  status: "running",
  epoch: 3,
  restarts: 2,
  maxRestarts: 10,
  sinceMs: 0,
  nextAttemptMs: undefined,
  lastError: undefined,
};
const SNAPSHOT: Snapshot = {
  units: [
    meters,
    { ...meters, unit: "pipelines/p", status: "parked", restarts: 12, maxRestarts: Infinity },
  ],
  log: {
    state: "running",
    oldestOffset: 0,
    nextOffset: 50,
    durableEnd: 40,
    bytes: 100,
    bytesMax: 1_000,
    unacknowledgedBytes: 7,
    gapRecords: 2,
    lastError: undefined,
  },
  pipelines: [
    { pipeline: "p", batchId: 4, lagRecords: 9, watermarkMs: undefined },
    { pipeline: "q", batchId: 0, lagRecords: 0, watermarkMs: 1_500 },
  ],
  pools: [
    {
      pool: "store",
      status: "open",
      connectionsMax: 9,
      total: 6,
      connecting: 0,
      idle: 1,
      checking: 0,
      leased: 5,
      closing: 0,
      waiting: 8,
      oldestLease: undefined,
      lastConnectError: undefined,
      endpoints: [],
      totals: {
        connects: 40,
        connectsFailed: 11,
        checksFailed: 12,
        leases: 900,
        refused: 13,
        lost: 14,
        leaks: 15,
      },
    },
  ],
};

function metered(snapshot: Snapshot = SNAPSHOT) {
  const events = createEvents({ clock: manualClock(), logger: silentLogger });
  const counters = {
    records: 40,
    bytes: 4_000,
    dropped: new Map([["pressure", 1]]),
    connections: 2,
  };
  const metrics = createMetrics({
    snapshot: () => snapshot,
    intakes: () => new Map([["meters", { status: () => counters }]]),
    events,
  });
  return { events, metrics, counters };
}

/** Series without comments. */
const series = (text: string): readonly string[] =>
  text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
const valueOf = (text: string, name: string): string | undefined =>
  series(text)
    .find((line) => line.startsWith(`${name} `))
    ?.slice(name.length + 1);

function assertValues(text: string, expected: Readonly<Record<string, string>>): void {
  const found = Object.keys(expected).map((name) => [name, valueOf(text, name)]);
  assert.deepEqual(Object.fromEntries(found), expected);
}

test("metrics: receivers, units, log and pipelines are read at the time of the scrape", () => {
  const { metrics, counters } = metered();
  const expected = {
    'holdfast_receiver_records_total{receiver="meters"}': "40",
    'holdfast_receiver_bytes_total{receiver="meters"}': "4000",
    'holdfast_receiver_connections{receiver="meters"}': "2",
    'holdfast_receiver_dropped_records_total{receiver="meters",reason="pressure"}': "1",
    'holdfast_unit_state{unit="receivers/meters"}': String(UNIT_STATE_VALUES.running),
    'holdfast_unit_state{unit="pipelines/p"}': String(UNIT_STATE_VALUES.parked),
    'holdfast_unit_restart_budget{unit="receivers/meters"}': "8",
    'holdfast_unit_restart_budget{unit="pipelines/p"}': "+Inf",
    holdfast_log_bytes: "100",
    holdfast_log_bytes_max: "1000",
    holdfast_log_unacknowledged_bytes: "7",
    holdfast_log_gap_records_total: "2",
    'holdfast_pipeline_lag_records{pipeline="p"}': "9",
    'holdfast_pipeline_watermark_seconds{pipeline="q"}': "1.5",
  };
  const text = metrics.text();
  assertValues(text, expected);
  assert.equal(valueOf(text, 'holdfast_pipeline_watermark_seconds{pipeline="p"}'), undefined);
  counters.records = 41;
  assert.equal(valueOf(metrics.text(), 'holdfast_receiver_records_total{receiver="meters"}'), "41");
});

test("metrics: pools are read at the time of the scrape", () => {
  assertValues(metered().metrics.text(), {
    'holdfast_pool_connections{pool="store",state="leased"}': "5",
    'holdfast_pool_connections{pool="store",state="idle"}': "1",
    'holdfast_pool_waiting{pool="store"}': "8",
    'holdfast_pool_errors_total{pool="store",reason="connect"}': "11",
    'holdfast_pool_errors_total{pool="store",reason="check"}': "12",
    'holdfast_pool_errors_total{pool="store",reason="refused"}': "13",
    'holdfast_pool_errors_total{pool="store",reason="lost"}': "14",
    'holdfast_pool_errors_total{pool="store",reason="leak"}': "15",
  });
});

const restarted = { unit: "receivers/meters", epoch: 2, restarts: 1, maxRestarts: 3 };
const completed = { pipeline: "p", batchId: 1, recordCount: 250, schedulingDelayMs: 3 };

test("metrics: restarts, dead letters and failed batches are counted by unit and code", () => {
  const { events, metrics } = metered();
  const letter = (offset: number, error: Error): void =>
    events.emit("dead-letter", { pipeline: "p", stage: "decode", error, offset });
  events.emit("unit-restarted", restarted);
  events.emit("unit-restarted", { ...restarted, epoch: 3, restarts: 2 });
  letter(1, new HoldfastError("DECODE_FAILED", "m"));
  letter(2, new HoldfastError("DECODE_FAILED", "m"));
  letter(3, Object.assign(new Error("m"), { code: "E_THEIRS" }));
  const busy = new HoldfastError("SINK_BUSY", "m");
  events.emit("batch-failed", { pipeline: "p", batchId: 1, error: busy });
  assertValues(metrics.text(), {
    'holdfast_unit_restarts_total{unit="receivers/meters"}': "2",
    'holdfast_dead_letters_total{pipeline="p",reason="DECODE_FAILED"}': "2",
    'holdfast_dead_letters_total{pipeline="p",reason="INTERNAL"}': "1",
    'holdfast_batch_failed_total{pipeline="p",reason="SINK_BUSY"}': "1",
  });
});

test("metrics: batches and writes are histograms per pipeline and sink, in seconds", () => {
  const { events, metrics } = metered();
  events.emit("batch-completed", { ...completed, processingMs: 2_000 });
  const written = { pipeline: "p", batchId: 1 };
  events.emit("sink-written", { ...written, sink: "store", seconds: 0.5, rowCount: 240 });
  events.emit("sink-written", { ...written, sink: "kept", seconds: 0.25, rowCount: 250 });
  assertValues(metrics.text(), {
    'holdfast_batch_records_sum{pipeline="p"}': "250",
    'holdfast_batch_records_bucket{pipeline="p",le="100"}': "0",
    'holdfast_batch_records_bucket{pipeline="p",le="1000"}': "1",
    'holdfast_batch_scheduling_delay_seconds_sum{pipeline="p"}': "0.003",
    'holdfast_batch_processing_seconds_bucket{pipeline="p",le="1"}': "0",
    'holdfast_batch_processing_seconds_bucket{pipeline="p",le="2.5"}': "1",
    'holdfast_sink_rows_total{pipeline="p",sink="store"}': "240",
    'holdfast_sink_rows_total{pipeline="p",sink="kept"}': "250",
    'holdfast_sink_write_seconds_sum{pipeline="p",sink="kept"}': "0.25",
  });
});

test("metrics: group commits and appends of the log are histograms", () => {
  const { metrics } = metered();
  metrics.committed({ seconds: 0.002 });
  metrics.committed({ seconds: 60 });
  metrics.appended(0.004);
  const text = metrics.text();
  assert.equal(valueOf(text, 'holdfast_log_fsync_seconds_bucket{le="0.001"}'), "0");
  assert.equal(valueOf(text, 'holdfast_log_fsync_seconds_bucket{le="0.0025"}'), "1");
  assert.equal(valueOf(text, 'holdfast_log_fsync_seconds_bucket{le="10"}'), "1");
  assert.equal(valueOf(text, 'holdfast_log_fsync_seconds_bucket{le="+Inf"}'), "2");
  assert.equal(valueOf(text, "holdfast_log_fsync_seconds_count"), "2");
  assert.equal(valueOf(text, "holdfast_log_append_seconds_sum"), "0.004");
});

test("metrics: every family has help and type, the prefix, a base unit, and _total only as a counter", () => {
  const { events, metrics } = metered();
  events.emit("sink-written", { pipeline: "p", sink: "s", batchId: 1, seconds: 1, rowCount: 1 });
  const lines = metrics
    .text()
    .split("\n")
    .filter((line) => line.startsWith("#"));
  for (let index = 0; index < lines.length; index += 2) {
    const [, , name = ""] = lines[index]?.split(" ") ?? [];
    const [, keyword, typed, kind] = lines[index + 1]?.split(" ") ?? [];
    assert.match(name, /^holdfast_[a-z_]+$/);
    assert.doesNotMatch(name, /_(ms|millis|milliseconds|kb|mb)(_|$)/);
    assert.deepEqual([keyword, typed], ["TYPE", name]);
    assert.equal(kind === "counter", name.endsWith("_total"), name);
  }
});

test("exposition: labels and help are escaped, families without samples are left out", () => {
  const text = exposition([
    {
      kind: "gauge",
      name: "a",
      help: "one\ntwo \\",
      samples: [
        [{ x: 'q"\n\\' }, -Infinity],
        [{}, Number.NaN],
      ],
    },
    { kind: "counter", name: "b_total", help: "none", samples: [] },
  ]);
  assert.equal(text, '# HELP a one\\ntwo \\\\\n# TYPE a gauge\na{x="q\\"\\n\\\\"} -Inf\na NaN\n');
});

test("exposition: no label can break out of its line", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (value) => {
      const [, , sample = "", end] = exposition([
        { kind: "gauge", name: "a", help: "h", samples: [[{ x: value }, 1]] },
      ]).split("\n");
      assert.equal(end, "");
      const quoted = /^a\{x="((?:[^"\\\n]|\\[\\n"])*)"\} 1$/su.exec(sample)?.[1];
      const back = quoted?.replaceAll(/\\(.)/g, (_, character: string) =>
        character === "n" ? "\n" : character,
      );
      assert.equal(back, value);
    }),
    { numRuns: 300 },
  );
});

test("histogram: counts every value in the lowest bucket that holds it, bounds included", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(fc.double({ min: 0, max: 20, noNaN: true }), fc.constantFrom(...SECONDS_BOUNDS)),
      ),
      (values) => {
        const histogram = new Histogram(SECONDS_BOUNDS);
        for (const value of values) histogram.observe(value);
        const expected = [...SECONDS_BOUNDS, Infinity].map(
          (bound) => values.filter((value) => value <= bound).length,
        );
        assert.deepEqual(histogram.cumulative(), expected);
        assert.equal(
          histogram.sum,
          values.reduce((sum, value) => sum + value, 0),
        );
      },
    ),
    { numRuns: 200 },
  );
});
