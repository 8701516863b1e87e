/**
 * Records and blocks: what receivers hand over and what the log gives back.
 *
 * A block is a struct of arrays. On the hot path no object is made per record: a receiver passes the
 * bytes as they came, delimiters included, and one number per record that says where it ends.
 */

/** One record as a receiver's author writes it; strings are stored as UTF-8. */
export interface RecordInput {
  readonly value: Uint8Array | string;
  /** Absent and empty are the same. */
  readonly key?: string;
  /** When the device says it happened, milliseconds since 1970. */
  readonly timestampMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What `store` resolves with: the records are on disk and have these offsets, in order. */
export interface Stored {
  readonly firstOffset: number;
  readonly recordCount: number;
  /** They were stored before, under the same idempotency key. */
  readonly isRepeat?: true;
}

/**
 * Values of variable length, back to back: value i is `bytes[ends[i-1], ends[i])`, the first one from
 * 0. A value of no length means absent.
 */
export interface Column {
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
}

/**
 * The records that one receiver hands over at once.
 *
 * Value i is `values[i === 0 ? valuesStart : valueEnds[i-1], valueEnds[i] - delimiterBytes)`. Only the
 * first `count` elements of `valueEnds` count, so that a receiver can reuse one array.
 */
export interface RecordBlock {
  /** 1 or more; 0 for a position without records. */
  readonly count: number;
  /** Payloads back to back, delimiters included. */
  readonly values: Uint8Array;
  /** Index in `values` of the first value's first byte. */
  readonly valuesStart: number;
  /** Exclusive end of each value in `values`, its delimiter included; never falls. */
  readonly valueEnds: Uint32Array;
  /** How many bytes at the end of each value are the delimiter: 0 .. 255. */
  readonly delimiterBytes: number;
  /** Keys as UTF-8; its `ends` count from 0. */
  readonly keys?: Column;
  /** NaN where a record has none. */
  readonly timestampsMs?: Float64Array;
  /** A JSON object of strings per record, UTF-8; its `ends` count from 0. */
  readonly headers?: Column;
  /** The ordered stream inside the receiver that this block belongs to; "" is the shared one. */
  readonly channel: string;
  /** Where to resume this channel after this block: opaque, at most 4 KiB. */
  readonly position?: Uint8Array;
  /** Remembered by the log with where the block is; not read back. */
  readonly idempotency?: Idempotency;
}

/** Hashes of 16 bytes each: of a key that stands for one request, and of what the request brought. */
export interface Idempotency {
  readonly keyHash: Uint8Array;
  readonly bodyHash: Uint8Array;
}

/**
 * A block read back from the log. Its arrays are views of a reader's buffer: they are valid until the
 * reader is asked for the next item; copy what has to live longer.
 */
export interface StoredBlock extends RecordBlock {
  readonly receiver: string;
  /** Always 0 for the local log. */
  readonly partition: number;
  /** Offset of record 0; record i has `firstOffset + i`. */
  readonly firstOffset: number;
  /** When record i was received, milliseconds since 1970 (microseconds as fraction). */
  receivedAtMs(recordIndex: number): number;
}

/** Index in `block.values` of the first byte of record `recordIndex`. */
export function valueStart(block: RecordBlock, recordIndex: number): number {
  return recordIndex === 0 ? block.valuesStart : (block.valueEnds[recordIndex - 1] ?? 0);
}

/** Index in `block.values` behind the last byte of record `recordIndex`, without its delimiter. */
export function valueEnd(block: RecordBlock, recordIndex: number): number {
  return (block.valueEnds[recordIndex] ?? 0) - block.delimiterBytes;
}

/** The bytes of record `recordIndex` without its delimiter: a view, not a copy. */
export function valueOf(block: RecordBlock, recordIndex: number): Uint8Array {
  return block.values.subarray(valueStart(block, recordIndex), valueEnd(block, recordIndex));
}

/** A copy of the bytes of record `recordIndex`, which outlives the block. (`slice` of a Buffer would be a view.) */
export function copyOf(block: RecordBlock, recordIndex: number): Uint8Array {
  return new Uint8Array(valueOf(block, recordIndex));
}
