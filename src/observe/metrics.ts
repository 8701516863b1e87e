/**
 * Metrics of one ingest. Nothing is computed before somebody asks: the hot path counts in plain numbers, and the
 * rest is read from the snapshot at scrape time. Names begin with `holdfast_`, units are seconds, bytes and records.
 */
import type { Listener } from "../contract/events.ts";
import type { Snapshot } from "../contract/status.ts";
import type { UnitStatus } from "../contract/unit.ts";
import { HoldfastError } from "../errors.ts";
import { exposition, type Labels, type MetricFamily } from "./exposition.ts";
import { Histogram, RECORDS_BOUNDS, SECONDS_BOUNDS } from "./histogram.ts";

/** What a receiver has done since the process started. */
export interface ReceiverCounters {
  readonly records: number;
  readonly bytes: number;
  /** By reason. */
  readonly dropped: ReadonlyMap<string, number>;
  readonly connections: number;
}

/** Where the numbers come from. Each function is called once per scrape. */
export interface MetricsSources {
  readonly snapshot: () => Snapshot;
  /** By receiver name. */
  readonly intakes: () => ReadonlyMap<string, { status(): ReceiverCounters }>;
  readonly events: { addListener(listener: Listener): unknown };
}

/** The metrics of one ingest. */
export interface Metrics {
  /** A group commit of the log took this long. */
  committed(commit: { readonly seconds: number }): void;
  /** A block was on disk this long after it was handed to the log. */
  appended(seconds: number): void;
  /** The page for a scraper, in the text format. */
  text(): string;
}

/** Values of `holdfast_unit_state`. */
export const UNIT_STATE_VALUES: Readonly<Record<UnitStatus, number>> = {
  stopped: 0,
  starting: 1,
  running: 2,
  paused: 3,
  "backing-off": 4,
  parked: 5,
  stopping: 6,
};

/** Counts from now on. */
export function createMetrics({ snapshot, intakes, events }: MetricsSources): Metrics {
  const log: LogTimes = {
    appendSeconds: new Histogram(SECONDS_BOUNDS),
    fsyncSeconds: new Histogram(SECONDS_BOUNDS),
  };
  const totals = new EventTotals();
  events.addListener(totals.listener());
  return {
    committed: ({ seconds }) => log.fsyncSeconds.observe(seconds),
    appended: (seconds) => log.appendSeconds.observe(seconds),
    text() {
      const now = snapshot();
      return exposition([
        ...receiverFamilies(intakes()),
        ...unitFamilies(now, totals),
        ...logFamilies(now, log),
        ...pipelineFamilies(now, totals),
        ...poolFamilies(now),
      ]);
    },
  };
}

interface LogTimes {
  readonly appendSeconds: Histogram;
  readonly fsyncSeconds: Histogram;
}

/** One number or histogram per set of labels. The sets are bounded: by the configuration, and by the table of codes. */
class Series<Value> {
  readonly #byKey = new Map<string, { readonly labels: Labels; value: Value }>();
  readonly #initial: () => Value;

  constructor(initial: () => Value) {
    this.#initial = initial;
  }

  at(labels: Labels): { value: Value } {
    const key = Object.values(labels).join("\n");
    const found = this.#byKey.get(key) ?? { labels, value: this.#initial() };
    this.#byKey.set(key, found);
    return found;
  }

  samples(): readonly (readonly [Labels, Value])[] {
    return Array.from(this.#byKey.values(), ({ labels, value }) => [labels, value] as const);
  }
}

const zero = (): number => 0;
const seconds = (): Histogram => new Histogram(SECONDS_BOUNDS);

/** What only events tell. */
class EventTotals {
  readonly restarts = new Series<number>(zero);
  readonly deadLetters = new Series<number>(zero);
  readonly sinkRows = new Series<number>(zero);
  readonly sinkSeconds = new Series<Histogram>(seconds);
  readonly batchRecords = new Series<Histogram>(() => new Histogram(RECORDS_BOUNDS));
  readonly schedulingDelaySeconds = new Series<Histogram>(seconds);
  readonly processingSeconds = new Series<Histogram>(seconds);
  readonly failedBatches = new Series<number>(zero);
  readonly sourceGaps = new Series<number>(zero);

  listener(): Listener {
    return {
      onUnitRestarted: ({ unit }) => void this.restarts.at({ unit }).value++,
      onSourceGap: ({ source, pipeline, from, to }) => {
        this.sourceGaps.at({ source, pipeline }).value += to - from;
      },
      onDeadLetter: ({ pipeline, error }) =>
        void this.deadLetters.at({ pipeline, reason: reasonOf(error) }).value++,
      onBatchFailed: ({ pipeline, error }) =>
        void this.failedBatches.at({ pipeline, reason: reasonOf(error) }).value++,
      onBatchCompleted: ({ pipeline, recordCount, schedulingDelayMs, processingMs }) => {
        this.batchRecords.at({ pipeline }).value.observe(recordCount);
        this.schedulingDelaySeconds.at({ pipeline }).value.observe(schedulingDelayMs / 1_000);
        this.processingSeconds.at({ pipeline }).value.observe(processingMs / 1_000);
      },
      onSinkWritten: (event) => {
        const labels = { pipeline: event.pipeline, sink: event.sink };
        this.sinkRows.at(labels).value += event.rowCount;
        this.sinkSeconds.at(labels).value.observe(event.seconds);
      },
    };
  }
}

/** Codes of others are not a bounded set, so they share one label value. */
function reasonOf(error: Error): string {
  return error instanceof HoldfastError ? error.code : "INTERNAL";
}

function receiverFamilies(intakes: ReturnType<MetricsSources["intakes"]>): readonly MetricFamily[] {
  const all = Array.from(intakes, ([receiver, intake]) => [{ receiver }, intake.status()] as const);
  const pick = (of: (counters: ReceiverCounters) => number) =>
    all.map(([labels, counters]) => [labels, of(counters)] as const);
  return [
    {
      kind: "counter",
      name: "holdfast_receiver_records_total",
      help: "Records stored durably.",
      samples: pick(({ records }) => records),
    },
    {
      kind: "counter",
      name: "holdfast_receiver_bytes_total",
      help: "Bytes of records stored durably.",
      samples: pick(({ bytes }) => bytes),
    },
    {
      kind: "gauge",
      name: "holdfast_receiver_connections",
      help: "Open connections.",
      samples: pick(({ connections }) => connections),
    },
    {
      kind: "counter",
      name: "holdfast_receiver_dropped_records_total",
      help: "Records that were neither stored nor set aside, by reason.",
      samples: all.flatMap(([labels, { dropped }]) =>
        Array.from(dropped, ([reason, count]) => [{ ...labels, reason }, count] as const),
      ),
    },
  ];
}

function unitFamilies({ units }: Snapshot, totals: EventTotals): readonly MetricFamily[] {
  const values = Object.entries(UNIT_STATE_VALUES).map(([name, value]) => `${value} ${name}`);
  return [
    {
      kind: "gauge",
      name: "holdfast_unit_state",
      help: `State: ${values.join(", ")}.`,
      samples: units.map(({ unit, status }) => [{ unit }, UNIT_STATE_VALUES[status]]),
    },
    {
      kind: "counter",
      name: "holdfast_unit_restarts_total",
      help: "Restarts.",
      samples: totals.restarts.samples(),
    },
    {
      kind: "gauge",
      name: "holdfast_unit_restart_budget",
      help: "Restarts left in the window.",
      samples: units.map(({ unit, maxRestarts, restarts }) => [
        { unit },
        Math.max(0, maxRestarts - restarts),
      ]),
    },
  ];
}

function logFamilies(
  { log }: Snapshot,
  { appendSeconds, fsyncSeconds }: LogTimes,
): readonly MetricFamily[] {
  return [
    {
      kind: "gauge",
      name: "holdfast_log_bytes",
      help: "Disk space of the log.",
      samples: [[{}, log.bytes]],
    },
    {
      kind: "gauge",
      name: "holdfast_log_bytes_max",
      help: "Limit of the disk space.",
      samples: [[{}, log.bytesMax]],
    },
    {
      kind: "gauge",
      name: "holdfast_log_reserved_bytes",
      help: "Disk space that is allocated in advance, with log.reserve full.",
      samples: log.reserve === undefined ? [] : [[{}, log.reserve.bytes]],
    },
    {
      kind: "gauge",
      name: "holdfast_log_spare_bytes",
      help: "Disk space of the log that holds no records, with log.reserve full.",
      samples: log.reserve === undefined ? [] : [[{}, log.reserve.spareBytes]],
    },
    {
      kind: "gauge",
      name: "holdfast_log_unacknowledged_bytes",
      help: "Accepted and not yet on disk.",
      samples: [[{}, log.unacknowledgedBytes]],
    },
    {
      kind: "counter",
      name: "holdfast_log_gap_records_total",
      help: "Records that cannot be read any more.",
      samples: [[{}, log.gapRecords]],
    },
    {
      kind: "histogram",
      name: "holdfast_log_append_seconds",
      help: "From taking a block to its being on disk.",
      samples: [[{}, appendSeconds]],
    },
    {
      kind: "histogram",
      name: "holdfast_log_fsync_seconds",
      help: "Durable write of one group commit.",
      samples: [[{}, fsyncSeconds]],
    },
  ];
}

function poolFamilies({ pools }: Snapshot): readonly MetricFamily[] {
  return [
    {
      kind: "gauge",
      name: "holdfast_pool_connections",
      help: "Connections by what they are doing.",
      samples: pools.flatMap(({ pool, connecting, idle, checking, leased, closing }) =>
        Object.entries({ connecting, idle, checking, leased, closing }).map(
          ([state, count]) => [{ pool, state }, count] as const,
        ),
      ),
    },
    {
      kind: "gauge",
      name: "holdfast_pool_waiting",
      help: "Callers that wait for a connection.",
      samples: pools.map(({ pool, waiting }) => [{ pool }, waiting]),
    },
    {
      kind: "counter",
      name: "holdfast_pool_errors_total",
      help: "Connects and checks that failed, connections lost in use, callers refused, leases held for long.",
      samples: pools.flatMap(({ pool, totals }) =>
        Object.entries({
          connect: totals.connectsFailed,
          check: totals.checksFailed,
          lost: totals.lost,
          refused: totals.refused,
          leak: totals.leaks,
        }).map(([reason, count]) => [{ pool, reason }, count] as const),
      ),
    },
  ];
}

function pipelineFamilies({ pipelines }: Snapshot, totals: EventTotals): readonly MetricFamily[] {
  const watermarks = pipelines.flatMap(({ pipeline, watermarkMs }) =>
    watermarkMs === undefined ? [] : [[{ pipeline }, watermarkMs / 1_000] as const],
  );
  return [
    {
      kind: "gauge",
      name: "holdfast_pipeline_lag_records",
      help: "Durable records not yet committed.",
      samples: pipelines.map(({ pipeline, lagRecords }) => [{ pipeline }, lagRecords]),
    },
    {
      kind: "gauge",
      name: "holdfast_pipeline_watermark_seconds",
      help: "Event time, Unix seconds, below which no more is expected.",
      samples: watermarks,
    },
    {
      kind: "histogram",
      name: "holdfast_batch_records",
      help: "Records per batch.",
      samples: totals.batchRecords.samples(),
    },
    {
      kind: "histogram",
      name: "holdfast_batch_scheduling_delay_seconds",
      help: "From due to begun.",
      samples: totals.schedulingDelaySeconds.samples(),
    },
    {
      kind: "histogram",
      name: "holdfast_batch_processing_seconds",
      help: "From begun to committed.",
      samples: totals.processingSeconds.samples(),
    },
    {
      kind: "counter",
      name: "holdfast_batch_failed_total",
      help: "Attempts at a batch that failed, by code.",
      samples: totals.failedBatches.samples(),
    },
    {
      kind: "counter",
      name: "holdfast_source_gap_records_total",
      help: "Records that a source could not give any more.",
      samples: totals.sourceGaps.samples(),
    },
    {
      kind: "counter",
      name: "holdfast_dead_letters_total",
      help: "Records set aside, by code.",
      samples: totals.deadLetters.samples(),
    },
    {
      kind: "histogram",
      name: "holdfast_sink_write_seconds",
      help: "Durable write of one batch.",
      samples: totals.sinkSeconds.samples(),
    },
    {
      kind: "counter",
      name: "holdfast_sink_rows_total",
      help: "Rows written.",
      samples: totals.sinkRows.samples(),
    },
  ];
}
