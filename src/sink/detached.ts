/**
 * Records that outlive the reader's buffer they came in.
 */
import { copyOf, type StoredBlock } from "../contract/record.ts";

/** A record as {@link RejectedRow} wants it, alone in a block of its own. */
export interface DetachedRecord {
  readonly block: StoredBlock;
  readonly recordIndex: 0;
}

/** A copy of this one record, with everything a dead letter says about it. */
export function detached(block: StoredBlock, recordIndex: number): DetachedRecord {
  const values = copyOf(block, recordIndex);
  const receivedAtMs = block.receivedAtMs(recordIndex);
  const { receiver, partition, firstOffset, channel } = block;
  return {
    recordIndex: 0,
    block: {
      receiver,
      partition,
      channel,
      values,
      firstOffset: firstOffset + recordIndex,
      count: 1,
      valuesStart: 0,
      valueEnds: Uint32Array.of(values.length),
      delimiterBytes: 0,
      receivedAtMs: () => receivedAtMs,
    },
  };
}
