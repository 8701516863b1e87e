/**
 * What an instance tells of itself over its control socket: values that JSON can carry, and durations instead of its
 * own clock, which nobody else can read.
 */
import type { FullBy, LogState } from "./contract/log.ts";
import type { PipelineStatus, Snapshot } from "./contract/status.ts";
import type { UnitState, UnitStatus } from "./contract/unit.ts";
import { codeOf } from "./errors.ts";

/** An error without its stack. */
export interface ErrorReport {
  readonly code: string;
  readonly message: string;
}

/** A unit. */
export interface UnitReport {
  /** Path: `receivers/meters`. */
  readonly unit: string;
  readonly status: UnitStatus;
  readonly epoch: number;
  /** Restarts inside the current window. */
  readonly restarts: number;
  /** null: as many as it takes. */
  readonly maxRestarts: number | null;
  /** How long it has had this status, milliseconds. */
  readonly forMs: number;
  /** Until the next attempt, milliseconds; null when none is due. */
  readonly nextAttemptInMs: number | null;
  readonly lastError: ErrorReport | null;
}

/** Where the log stands. */
export interface LogReport {
  readonly state: LogState;
  readonly oldestOffset: number;
  readonly nextOffset: number;
  readonly bytes: number;
  readonly bytesMax: number;
  /** While the state is `full`. */
  readonly fullBy?: FullBy;
  readonly gapRecords: number;
  readonly lastError: ErrorReport | null;
}

/** Where a pipeline stands. */
export type PipelineReport = Pick<PipelineStatus, "pipeline" | "batchId" | "lagRecords">;

/** Everything that `holdfast status` shows. */
export interface StatusReport {
  readonly units: readonly UnitReport[];
  readonly log: LogReport;
  readonly pipelines: readonly PipelineReport[];
}

/** A snapshot as it is told; `nowMs` as for {@link reportUnit}. */
export function reportStatus({ units, log, pipelines }: Snapshot, nowMs: number): StatusReport {
  const { state, oldestOffset, nextOffset, bytes, bytesMax, fullBy, gapRecords, lastError } = log;
  return {
    units: units.map((unit) => reportUnit(unit, nowMs)),
    log: {
      state,
      oldestOffset,
      nextOffset,
      bytes,
      bytesMax,
      ...(fullBy === undefined ? {} : { fullBy }),
      gapRecords,
      lastError: reportError(lastError),
    },
    pipelines: pipelines.map(({ pipeline, batchId, lagRecords }) => ({
      pipeline,
      batchId,
      lagRecords,
    })),
  };
}

/** A unit as it is told; `nowMs` is the monotonic time of its clock. */
export function reportUnit(state: UnitState, nowMs: number): UnitReport {
  const { unit, status, epoch, restarts, maxRestarts, sinceMs, nextAttemptMs, lastError } = state;
  return {
    unit,
    status,
    epoch,
    restarts,
    maxRestarts: Number.isFinite(maxRestarts) ? maxRestarts : null,
    forMs: Math.max(0, Math.round(nowMs - sinceMs)),
    nextAttemptInMs:
      nextAttemptMs === undefined ? null : Math.max(0, Math.round(nextAttemptMs - nowMs)),
    lastError: reportError(lastError),
  };
}

function reportError(error: Error | undefined): ErrorReport | null {
  return error === undefined ? null : { code: codeOf(error), message: error.message };
}
