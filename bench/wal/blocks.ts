/**
 * Blocks of records of one size, as a receiver of lines hands them over.
 */
import type { RecordBlock } from "../../src/contract/record.ts";
import { BLOCK_HEADER_BYTES, RECORD_OVERHEAD_BYTES } from "../../src/wal/block-codec.ts";
import { ENTRY_HEADER_BYTES } from "../../src/wal/entry.ts";

/** Length of a record in the benches of the log. */
export const walRecordBytes = 100;

const filler = 0x61;
const lineFeed = 0x0a;
/** Blocks of one channel share a header in the entry; a limit counts one for each. */
const blocksPerGroup = 2;

/** One block of `count` lines, each of `recordBytes` bytes with its line feed. */
export function linesBlock(count: number, recordBytes: number = walRecordBytes): RecordBlock {
  const values = Buffer.alloc(count * recordBytes, filler);
  const valueEnds = new Uint32Array(count);
  for (let index = 0; index < count; index += 1) {
    valueEnds[index] = (index + 1) * recordBytes;
    values[(index + 1) * recordBytes - 1] = lineFeed;
  }
  return { count, values, valuesStart: 0, valueEnds, delimiterBytes: 1, channel: "" };
}

/**
 * The blocks that make one entry of exactly `entryDiskBytes` on disk (a multiple of 4 KiB): two, because
 * a block may not be as long as an entry.
 */
export function groupBlocks(entryDiskBytes: number): readonly RecordBlock[] {
  const room = entryDiskBytes - ENTRY_HEADER_BYTES - blocksPerGroup * BLOCK_HEADER_BYTES - 8;
  const count = Math.floor(room / (walRecordBytes + RECORD_OVERHEAD_BYTES));
  const half = Math.floor(count / 2);
  return [linesBlock(half), linesBlock(count - half)];
}
