/**
 * What an ingest says about itself: frozen data, never live objects.
 */
import type { LogStatus } from "./log.ts";
import type { PoolStats } from "./pool.ts";
import type { UnitState } from "./unit.ts";

/** Why an ingest is not ready: one unit, and the code and message of its error; its status where it has none. */
export interface HealthReason {
  /** Path of the unit: `receivers/meters`, `log`. */
  readonly unit: string;
  readonly code: string;
  readonly message: string;
}

/** Whether every unit does its work. `warnings`, where there are any, do not change that: an unsuitable file system. */
export type Health = { readonly warnings?: readonly HealthReason[] } & (
  | { readonly kind: "ready" }
  | { readonly kind: "not-ready"; readonly reasons: readonly HealthReason[] }
);

/** Where a pipeline stands. */
export interface PipelineStatus {
  readonly pipeline: string;
  /** Newest committed batch, 0 before the first. */
  readonly batchId: number;
  /** Records that are durable and not yet committed by this pipeline. */
  readonly lagRecords: number;
  /** Event-time bound of the newest plan; undefined without event time. */
  readonly watermarkMs: number | undefined;
}

/** Everything at one moment. */
export interface Snapshot {
  /** Depth first, in start order. */
  readonly units: readonly UnitState[];
  readonly log: LogStatus;
  readonly pipelines: readonly PipelineStatus[];
  readonly pools: readonly PoolStats[];
}
