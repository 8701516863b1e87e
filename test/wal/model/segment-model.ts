/**
 * A model of one segment under power cuts: what was written in which order, what of it is on the platter,
 * and what an owner was promised. Small enough to try every case; its entries are real bytes.
 */
import { encodeEntry, ENTRY_TYPE } from "../../../src/wal/entry.ts";
import { ALIGNMENT_BYTES } from "../../../src/wal/format.ts";

/** Where entries begin. */
export const FIRST_ENTRY: number = ALIGNMENT_BYTES;

/** An entry of a history: its type, its records and how many blocks of 4 KiB it takes. */
export interface EntryShape {
  readonly type: number;
  readonly recordCount: number;
  readonly blocks: number;
}

/** An entry as it was written. */
export interface WrittenEntry extends EntryShape {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly entryBytes: number;
  readonly firstOffset: number;
}

/** Writes in the order in which they were begun; each was begun when all before it were durable. */
export interface History {
  readonly salt: number;
  readonly segmentId: number;
  readonly entries: readonly WrittenEntry[];
  readonly capacityBytes: number;
}

function shape(type: number, recordCount: number, blocks: number): EntryShape {
  return { type, recordCount, blocks };
}

/** Shapes by name: what a segment holds. */
export const NAMES: EntryShape = shape(ENTRY_TYPE.names, 0, 1);
export const LONG_NAMES: EntryShape = shape(ENTRY_TYPE.names, 0, 2);
export const POSITIONS: EntryShape = shape(ENTRY_TYPE.positions, 0, 1);
export const WITNESS: EntryShape = shape(ENTRY_TYPE.witness, 0, 1);
export const CLOSE: EntryShape = shape(ENTRY_TYPE.close, 0, 1);
export const DATA: EntryShape = shape(ENTRY_TYPE.data, 3, 1);
export const LONG_DATA: EntryShape = shape(ENTRY_TYPE.data, 5, 3);

/** Entries of these shapes, one behind the other. */
export function historyOf(shapes: readonly EntryShape[], salt: number, segmentId = 1): History {
  const entries: WrittenEntry[] = [];
  let at = FIRST_ENTRY;
  let firstOffset = 100;
  let previousHeaderCrc = 0;
  for (const [index, written] of shapes.entries()) {
    const body = new Uint8Array(written.blocks * ALIGNMENT_BYTES - 200).fill(index + 1);
    const fields = {
      type: written.type,
      recordCount: written.recordCount,
      firstOffset,
      durableEnd: firstOffset,
      baseTimeMs: 1,
      epoch: 1,
      segmentId,
      previousHeaderCrc,
      payloadBytes: 0,
      blockCount: 0,
    };
    const { bytes, headerCrc } = encodeEntry(body, fields, salt);
    entries.push({ ...written, at, bytes, entryBytes: body.length + 72, firstOffset });
    at += bytes.length;
    firstOffset += written.recordCount;
    previousHeaderCrc = headerCrc;
  }
  return { salt, segmentId, entries, capacityBytes: at + 4 * ALIGNMENT_BYTES };
}

/** What a power cut leaves: the writes before `inFlight` whole, of that one these blocks, of later ones nothing. */
export interface Cut {
  /** Index of the first entry whose write had not returned; as long as the list when none was in flight. */
  readonly inFlight: number;
  /** Bit i: block i of the writes in flight, counted through, is kept. */
  readonly keptBlocks: number;
  /** Writes in flight at once. The log has one; more are here to show why. */
  readonly depth: number;
  /** An entry of which one bit is flipped, or undefined. */
  readonly flip:
    | { readonly entry: number; readonly byteInEntry: number; readonly bit: number }
    | undefined;
}

/** Number of blocks that are in flight at a cut. */
export function blocksInFlight(history: History, inFlight: number, depth: number): number {
  return history.entries
    .slice(inFlight, inFlight + depth)
    .reduce((sum, entry) => sum + entry.blocks, 0);
}

/** The platter after the cut, over what a former life of the file left. */
export function imageAfter(history: History, cut: Cut, former: Uint8Array | undefined): Uint8Array {
  const image = new Uint8Array(history.capacityBytes);
  if (former !== undefined) image.set(former.subarray(0, image.length));
  let blockIndex = 0;
  for (const [index, entry] of history.entries.slice(0, cut.inFlight + cut.depth).entries()) {
    for (let block = 0; block < entry.blocks; block += 1) {
      const isKept = index < cut.inFlight || (cut.keptBlocks & (1 << blockIndex)) !== 0;
      if (index >= cut.inFlight) blockIndex += 1;
      const from = block * ALIGNMENT_BYTES;
      if (isKept) image.set(entry.bytes.subarray(from, from + ALIGNMENT_BYTES), entry.at + from);
    }
  }
  const flipped = cut.flip === undefined ? undefined : history.entries[cut.flip.entry];
  if (cut.flip !== undefined && flipped !== undefined) {
    const at = flipped.at + cut.flip.byteInEntry;
    image[at] = (image[at] ?? 0) ^ (1 << cut.flip.bit);
  }
  return image;
}

/** What a recovery made of an image. */
export interface Recovered {
  /** Positions of the entries it accepts, in order. */
  readonly accepted: readonly number[];
  readonly gaps: readonly { readonly from: number; readonly to: number }[];
  /** Next offset. */
  readonly end: number;
}

/** A rule for opening: decides from the bytes alone. */
export type RecoveryRule = (
  image: Uint8Array,
  history: Pick<History, "salt" | "segmentId">,
  known: Known,
) => Recovered;

/** What is known beside the bytes: where the segment begins, and an offset that was durable for certain (0: none). */
export interface Known {
  readonly firstOffset: number;
  readonly provenOffset: number;
}

/** Behind the last record that was acknowledged. */
export function acknowledgedEnd(history: History, inFlight: number): number {
  const last = history.entries[inFlight - 1];
  return last === undefined ? 0 : last.firstOffset + last.recordCount;
}

/**
 * What is wrong with a recovery, in words; undefined when it keeps its promises:
 * every acknowledged record is accepted or in a gap, gaps are exactly what a flip destroyed, and nothing
 * is accepted that was not written. The one loss that may be silent: the flipped entry was the last with
 * nothing valid behind it and nobody else knows of it, so no byte on the disk tells it from a torn write.
 */
export function violation(
  history: History,
  cut: Cut,
  found: Recovered,
  provenOffset = 0,
): string | undefined {
  const strange = found.accepted.find((at) => !history.entries.some((entry) => entry.at === at));
  if (strange !== undefined) return `accepts something at ${strange} that this life never wrote`;
  const acknowledged = history.entries.slice(0, cut.inFlight);
  for (const [index, entry] of acknowledged.entries()) {
    if (found.accepted.includes(entry.at)) continue;
    if (cut.flip?.entry !== index) return `entry ${index} was acknowledged and is not there`;
    const isReported =
      entry.recordCount === 0 ||
      found.gaps.some(
        (gap) => gap.from <= entry.firstOffset && gap.to >= entry.firstOffset + entry.recordCount,
      );
    const hasSuccessor =
      found.accepted.some((at) => at > entry.at) ||
      index < acknowledged.length - 1 ||
      provenOffset > entry.firstOffset;
    if (!isReported && hasSuccessor) return `entry ${index} is damaged and nobody was told`;
  }
  return gapViolation(history, cut, found);
}

function gapViolation(history: History, cut: Cut, found: Recovered): string | undefined {
  const damaged = cut.flip === undefined ? undefined : history.entries[cut.flip.entry];
  for (const gap of found.gaps) {
    const isExact =
      damaged !== undefined &&
      gap.from === damaged.firstOffset &&
      gap.to === damaged.firstOffset + damaged.recordCount;
    if (!isExact) return `gap ${gap.from}..${gap.to} where nothing of the kind was destroyed`;
  }
  return undefined;
}
