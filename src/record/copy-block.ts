/**
 * A block that lives longer than the read buffer.
 */
import type { RecordBlock } from "../contract/record.ts";
import { valueStart } from "../contract/record.ts";

/** A copy of the values and their ends: for a block that the log cannot take yet. */
export function copyBlock(block: RecordBlock): RecordBlock {
  const start = valueStart(block, 0);
  const ends = block.valueEnds.slice(0, block.count);
  const values = Uint8Array.prototype.slice.call(block.values, start, ends[block.count - 1]);
  for (let i = 0; i < ends.length; i++) ends[i] = (ends[i] ?? 0) - start;
  return { ...block, values, valuesStart: 0, valueEnds: ends };
}
