/**
 * A running ingest, as its users hold it.
 */
import type { Endpoint } from "../host/sockets.ts";
import type { Listener } from "./events.ts";
import type { Receiver } from "./receiver.ts";
import type { Health, Snapshot } from "./status.ts";

/** How a stop ended. */
export interface StopReport {
  /** Records that were processed between the call and the end. */
  readonly flushedRecords: number;
  /** Units that did not stop within their deadline. */
  readonly notStopped: readonly string[];
  /** Next offset of the log. */
  readonly nextOffset: number;
  readonly pipelines: readonly {
    readonly pipeline: string;
    readonly batchId: number;
    readonly lagRecords: number;
    readonly finishedParts: number;
  }[];
}

/** How a drain ended. */
export type DrainResult =
  | { readonly kind: "drained" }
  | { readonly kind: "timed-out"; readonly lagRecords: number };

/** What ends a run from outside. */
export interface RunOptions {
  readonly stopOn?: readonly ("SIGINT" | "SIGTERM")[];
  readonly signal?: AbortSignal;
}

/** A running ingest. All methods may be called at any time. */
export interface Ingest extends AsyncDisposable {
  /**
   * Resolves when every receiver listens; sinks may still be down, their pipelines try on.
   *
   * @throws PORT_IN_USE, ADDRESS_UNAVAILABLE, DATA_LOCKED, DIRECTORY_UNWRITABLE, LOG_MOVED, LOG_VERSION, and the signal's reason.
   */
  start(signal?: AbortSignal): Promise<void>;
  /** `start`, then resolves after a clean stop: by signal, by `stop`, or when every pipeline is done. Rejects when the tree gives up. */
  run(options?: RunOptions): Promise<void>;
  /** Closes the receivers and processes what is stored, without waiting for triggers. */
  drain(options: { readonly timeoutMs: number }): Promise<DrainResult>;
  /** Ends between batches, after at most `timeoutMs` of processing what is stored. May be called twice. @defaultValue timeoutMs 10,000 */
  stop(options?: { readonly timeoutMs?: number }): Promise<StopReport>;
  /** Settles with the end: resolves after a stop, rejects when the tree gave up. */
  readonly stopped: Promise<StopReport>;
  health(): Health;
  snapshot(): Snapshot;
  /** Prometheus text. */
  metricsText(): string;
  /** Where a receiver listens. @throws UNIT_UNKNOWN when it does not */
  address(receiver: Receiver): Endpoint;
  addListener(listener: Listener): Disposable;
}
