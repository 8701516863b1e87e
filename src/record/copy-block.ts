/**
 * A block that lives longer than the read buffer.
 */
import type { Column, RecordBlock } from "../contract/record.ts";
import { valueStart } from "../contract/record.ts";

/** A copy of the values, keys and headers, and of their ends: for a block that the log cannot take yet. */
export function copyBlock(block: RecordBlock): RecordBlock {
  const start = valueStart(block, 0);
  const ends = block.valueEnds.slice(0, block.count);
  const values = Uint8Array.prototype.slice.call(block.values, start, ends[block.count - 1]);
  for (let i = 0; i < ends.length; i++) ends[i] = (ends[i] ?? 0) - start;
  return {
    ...block,
    values,
    valuesStart: 0,
    valueEnds: ends,
    ...(block.keys === undefined ? {} : { keys: copyColumn(block.keys, block.count) }),
    ...(block.headers === undefined ? {} : { headers: copyColumn(block.headers, block.count) }),
  };
}

function copyColumn({ bytes, ends }: Column, count: number): Column {
  return {
    bytes: Uint8Array.prototype.slice.call(bytes, 0, ends[count - 1] ?? 0),
    ends: ends.slice(0, count),
  };
}
