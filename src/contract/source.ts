/**
 * Sources: what a pipeline reads by planned ranges. The log is one; a broker read directly is another.
 */
import type { Clock } from "../host/clock.ts";
import type { Files } from "../host/files.ts";
import type { Random } from "../host/random.ts";
import type { NamesFiles } from "./file-look.ts";
import type { GapReason, LogItem, Offsets } from "./log.ts";
import type { Logger } from "./logger.ts";

/** Limits of one batch of one source. */
export interface BatchBounds {
  readonly recordsMax: number;
  readonly bytesMax: number;
}

/**
 * Why a source has no records at some offsets. Beside the reasons that a log has: `partition-gone`, the whole partition is
 * no more, and whatever bears its name now is another one; `absent`, there never was a record to read, or its owner took it
 * out on purpose (compaction, marks of transactions, aborted transactions). The last is no loss: nobody is told.
 */
export type SourceGapReason = GapReason | "partition-gone" | "absent";

/** What reading a source gives, in offset order and without overlap. */
export type SourceItem =
  | Extract<LogItem, { readonly kind: "records" }>
  | {
      readonly kind: "gap";
      readonly from: number;
      readonly to: number;
      readonly reason: SourceGapReason;
    };

/** Replayable: reading the same range again gives the same records. */
export interface Source {
  readonly name: string;
  /** Partition -> next offset: everything below can be read. The local log has one partition, "0". */
  latest(signal: AbortSignal): Promise<Offsets>;
  /** Partition -> oldest offset that can still be read. */
  oldest(signal: AbortSignal): Promise<Offsets>;
  /** Ends of a batch that starts at `from`, within the bounds but at least one record where there is one. */
  bounded(from: Offsets, bounds: BatchBounds, signal: AbortSignal): Promise<Offsets>;
  /** Resolves when something lies beyond `from`; rejects when the signal aborts. */
  waitFor(from: Offsets, signal: AbortSignal): Promise<void>;
  /** Every offset of the range comes in exactly one item, in order. */
  read(
    range: { readonly partition: string; readonly from: number; readonly to: number },
    signal: AbortSignal,
  ): AsyncIterable<SourceItem>;
  /** Committed by every pipeline: may be deleted. */
  release(upTo: Offsets): Promise<void>;
  /** Records beyond these offsets, as far as is known without asking anybody. */
  lag(ends: Offsets): number;
  /** Ends what was opened for this pipeline. May be called twice. */
  close?(): Promise<void>;
}

/** What a direct source gets when a pipeline opens it. Its functions may be taken apart. */
export interface SourceContext<Options> {
  readonly name: string;
  readonly options: Options;
  /** The pipeline that reads it, and what the pipeline is known by to its sinks. */
  readonly pipeline: string;
  /** Aborts when this incarnation of the pipeline is over. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly logger: Logger;
  /**
   * Runs `connect` when it is time to, over all incarnations: at once while the endpoint (`host:port`) is up.
   *
   * @throws CONNECTION_STALLED, and what `connect` throws
   */
  readonly dial: <C>(address: string, connect: () => Promise<C>) => Promise<C>;
  /** Fails the pipeline's incarnation: the supervisor decides. */
  readonly fail: (cause: unknown) => void;
}

/**
 * A source that a pipeline reads without the log in between: it keeps its records itself and gives the same ones again
 * for the same offsets. A value until a pipeline opens it. Blocks bear its name as their receiver.
 */
export interface DirectSource<Name extends string = string> extends NamesFiles {
  readonly kind: "source";
  readonly name: Name;
  readonly type: string;
  /** Its own options, checked. */
  readonly options: unknown;
  /** Connects; rejects when that fails. One for each incarnation of a pipeline. */
  open(context: SourceContext<unknown>): Promise<Source>;
}
