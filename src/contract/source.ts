/**
 * Sources: what a pipeline reads by planned ranges. The log is one; a broker read directly is another.
 */
import type { LogItem, Offsets } from "./log.ts";

/** Limits of one batch of one source. */
export interface BatchBounds {
  readonly recordsMax: number;
  readonly bytesMax: number;
}

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
  ): AsyncIterable<LogItem>;
  /** Committed by every pipeline: may be deleted. */
  release(upTo: Offsets): Promise<void>;
}
