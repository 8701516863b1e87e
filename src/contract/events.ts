/**
 * Typed events: one stream, one listener method per kind. Event `x-y` is listener `onXY`, log field `event`
 * and metric label.
 */
import type { FullBy, GapReason, ReserveProgress } from "./log.ts";
import type { SourceGapReason } from "./source.ts";
import type { Directive, DropReason } from "./unit.ts";

/** What each event carries. */
export interface Events {
  "receiver-started": {
    readonly receiver: string;
    readonly epoch: number;
    readonly address: string | undefined;
  };
  "receiver-stopped": { readonly receiver: string; readonly epoch: number };
  "receiver-failed": {
    readonly receiver: string;
    readonly epoch: number;
    readonly error: Error;
    readonly directive: Directive;
    readonly restarts: number;
    readonly maxRestarts: number;
  };
  "receiver-paused": { readonly receiver: string; readonly reason: string };
  "receiver-resumed": { readonly receiver: string };
  "receiver-dropped": {
    readonly receiver: string;
    readonly recordCount: number;
    readonly reason: string;
  };
  "unit-failed": {
    readonly unit: string;
    readonly epoch: number;
    readonly error: Error;
    readonly directive: Directive;
    readonly restarts: number;
    readonly maxRestarts: number;
  };
  "unit-starting": { readonly unit: string; readonly epoch: number };
  "unit-started": { readonly unit: string; readonly epoch: number };
  "unit-restarted": {
    readonly unit: string;
    readonly epoch: number;
    readonly restarts: number;
    readonly maxRestarts: number;
  };
  "unit-backing-off": { readonly unit: string; readonly epoch: number; readonly delayMs: number };
  "unit-parked": {
    readonly unit: string;
    readonly epoch: number;
    readonly error: Error;
    readonly delayMs: number | undefined;
  };
  "unit-escalated": { readonly unit: string; readonly epoch: number; readonly error: Error };
  "unit-recovered": { readonly unit: string; readonly epoch: number };
  "unit-stopping": { readonly unit: string; readonly epoch: number };
  "unit-stopped": { readonly unit: string; readonly epoch: number };
  "unit-late-result-ignored": {
    readonly unit: string;
    readonly epoch: number;
    readonly error: Error;
  };
  "unit-message-dropped": {
    readonly unit: string;
    readonly epoch: number;
    readonly why: DropReason;
    readonly count: number;
    readonly messages: readonly unknown[];
  };
  "log-recovered": {
    readonly nextOffset: number;
    readonly isClean: boolean;
    readonly gapRecords: number;
  };
  "log-full": {
    readonly bytes: number;
    readonly bytesMax: number;
    readonly fullBy: FullBy | undefined;
    readonly holder: string | undefined;
  };
  "log-gap": { readonly from: number; readonly to: number; readonly reason: GapReason };
  /** A source that is read directly does not have these offsets any more, or never had them. */
  "source-gap": {
    readonly source: string;
    readonly pipeline: string;
    readonly partition: string;
    readonly from: number;
    readonly to: number;
    readonly reason: Exclude<SourceGapReason, "absent">;
  };
  "log-quarantined": { readonly file: string; readonly bytes: number };
  "log-failed": { readonly error: Error };
  "log-reserved": ReserveProgress;
  "log-unsuitable": {
    readonly directory: string;
    readonly fileSystem: string;
    readonly reason: string;
  };
  "batch-planned": {
    readonly pipeline: string;
    readonly batchId: number;
    readonly recordCount: number;
  };
  "batch-started": {
    readonly pipeline: string;
    readonly batchId: number;
    readonly replay: boolean;
  };
  "batch-completed": {
    readonly pipeline: string;
    readonly batchId: number;
    readonly recordCount: number;
    readonly schedulingDelayMs: number;
    readonly processingMs: number;
  };
  "batch-failed": { readonly pipeline: string; readonly batchId: number; readonly error: Error };
  "pipeline-changed": { readonly pipeline: string; readonly batchId: number };
  "pipeline-started": {
    readonly pipeline: string;
    readonly sinks: readonly {
      readonly sink: string;
      readonly guarantee: string;
      readonly by: string;
    }[];
  };
  "dead-letter": {
    readonly pipeline: string;
    readonly stage: string;
    readonly error: Error;
    readonly offset: number;
  };
  "sink-written": {
    readonly pipeline: string;
    readonly sink: string;
    readonly batchId: number;
    readonly seconds: number;
    readonly rowCount: number;
  };
  "sink-replayed": { readonly pipeline: string; readonly sink: string; readonly batchId: number };
  /** An endpoint cannot be reached: told once until it is up. `isParked`: it refused for good and is not tried again. */
  "pool-down": {
    readonly pool: string;
    readonly address: string;
    readonly error: Error;
    readonly isParked: boolean;
  };
  "pool-up": { readonly pool: string; readonly address: string };
  /** A lease is held for long, or (`isReclaimed`) was forgotten. `site`: where it was asked for. */
  "pool-leak": {
    readonly pool: string;
    readonly address: string;
    readonly heldMs: number;
    readonly site: string;
    readonly isReclaimed: boolean;
  };
  "sink-conflict": { readonly pipeline: string; readonly sink: string; readonly error: Error };
}

type Pascal<S extends string> = S extends `${infer A}-${infer B}`
  ? `${Capitalize<A>}${Pascal<B>}`
  : Capitalize<S>;

/** One event as `onEvent` gets it; `atMs` is wall time. */
export type AnyEvent = {
  readonly [K in keyof Events]: { readonly kind: K; readonly atMs: number } & Events[K];
}[keyof Events];

/** Methods for the events one cares about. A throw inside is reported and changes nothing. */
export type Listener = {
  readonly [K in keyof Events as `on${Pascal<K>}`]?: (
    event: Events[K] & { readonly kind: K; readonly atMs: number },
  ) => void;
} & { readonly onEvent?: (event: AnyEvent) => void };

/** Sends an event to every listener. Never throws. */
export type Emit = <K extends keyof Events>(kind: K, event: Events[K]) => void;
