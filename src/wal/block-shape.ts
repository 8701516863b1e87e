/**
 * Sizes of a block and whether its numbers fit together, before it enters the log.
 */
import type { Idempotency, RecordBlock } from "../contract/record.ts";
import { HoldfastError } from "../errors.ts";
import {
  BLOCK_HEADER_BYTES,
  COLUMN,
  IDEMPOTENCY_BYTES,
  RECORD_OVERHEAD_BYTES,
} from "./block-codec.ts";
import { padTo8 } from "./format.ts";

/** Longest position of a block. */
export const POSITION_BYTES_MAX = 4096;
/** Bytes that a block adds to an entry. */
export function blockBytes(block: RecordBlock): number {
  const payloadBytes = (block.valueEnds[block.count - 1] ?? block.valuesStart) - block.valuesStart;
  return (
    payloadBytes + block.count * RECORD_OVERHEAD_BYTES + BLOCK_HEADER_BYTES + extraBytes(block)
  );
}

/** Bytes of a block's position and columns with their padding. */
export function extraBytes(block: RecordBlock): number {
  if (
    block.position === undefined &&
    block.idempotency === undefined &&
    block.keys === undefined &&
    block.timestampsMs === undefined &&
    block.headers === undefined
  )
    return 0;
  const lists = [block.keys, block.headers].map((column) =>
    column === undefined ? 0 : padTo8(block.count * 4 + (column.ends[block.count - 1] ?? 0)),
  );
  const timestampBytes = block.timestampsMs === undefined ? 0 : block.count * 8;
  return (
    padTo8(block.position?.length ?? 0) +
    (block.idempotency === undefined ? 0 : IDEMPOTENCY_BYTES) +
    timestampBytes +
    lists.reduce((sum, bytes) => sum + bytes, 0)
  );
}

/** The columns byte of a block. */
export function columnsOf(block: RecordBlock): number {
  return (
    (block.keys ? COLUMN.keys : 0) |
    (block.timestampsMs ? COLUMN.timestamps : 0) |
    (block.headers ? COLUMN.headers : 0) |
    (block.idempotency ? COLUMN.idempotency : 0)
  );
}

/**
 * Throws BLOCK_INVALID where counts and sizes contradict each other; the value ends are checked
 * while they are copied.
 */
export function checkShape(block: RecordBlock): void {
  const { count, valuesStart, delimiterBytes } = block;
  if (!(Number.isSafeInteger(count) && count >= 0)) throw invalidBlock(`${count} records`);
  if (count === 0) checkEmpty(block);
  if (block.valueEnds.length < count)
    throw invalidBlock(`${block.valueEnds.length} value ends for ${count} records`);
  if (!(valuesStart >= 0 && valuesStart <= block.values.length))
    throw invalidBlock(`values begin at ${valuesStart} of ${block.values.length} bytes`);
  if (!(delimiterBytes >= 0 && delimiterBytes <= 255))
    throw invalidBlock(`${delimiterBytes} delimiter bytes, at most 255`);
  if (block.position !== undefined || columnsOf(block) !== 0) checkExtras(block);
}

/** A position may come without records, and nothing else may. */
function checkEmpty(block: RecordBlock): void {
  const positionBytes = block.position?.length ?? 0;
  if (positionBytes === 0 || columnsOf(block) !== 0)
    throw invalidBlock(
      `0 records with ${positionBytes} bytes of position: 1 record is needed, or a position and nothing else`,
    );
}

function checkExtras(block: RecordBlock): void {
  const { count, headers, idempotency, keys, position, timestampsMs } = block;
  const positionBytes = position?.length ?? 0;
  if (idempotency !== undefined) checkIdempotency(idempotency);
  if (positionBytes > POSITION_BYTES_MAX)
    throw invalidBlock(`position of ${positionBytes} bytes, at most ${POSITION_BYTES_MAX}`);
  if (timestampsMs !== undefined && timestampsMs.length < count)
    throw invalidBlock(`${timestampsMs.length} timestamps for ${count} records`);
  if (keys !== undefined) checkColumn("key", keys, count);
  if (headers !== undefined) checkColumn("header", headers, count);
}

function checkIdempotency({ keyHash, bodyHash }: Idempotency): void {
  for (const { length } of [keyHash, bodyHash])
    if (length * 2 !== IDEMPOTENCY_BYTES)
      throw invalidBlock(`hash of ${length} bytes, wanted ${IDEMPOTENCY_BYTES / 2}`);
}

function checkColumn(
  word: string,
  column: { readonly bytes: Uint8Array; readonly ends: Uint32Array },
  count: number,
): void {
  if (column.ends.length < count)
    throw invalidBlock(`${column.ends.length} ${word} ends for ${count} records`);
  let previous = 0;
  for (let index = 0; index < count; index += 1) {
    const end = column.ends[index] ?? 0;
    if (end < previous)
      throw invalidBlock(`${word} ${index} ends at ${end}, before its start ${previous}`);
    previous = end;
  }
  if (previous > column.bytes.length)
    throw invalidBlock(`${word}s end at ${previous}, ${column.bytes.length} bytes were given`);
}

/** The refusal of a block that contradicts itself. */
export function invalidBlock(message: string): HoldfastError {
  return new HoldfastError("BLOCK_INVALID", `block: ${message}`, {
    fix: "this is a fault of the receiver: report it to its author",
  });
}
