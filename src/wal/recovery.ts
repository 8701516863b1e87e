/**
 * What is in a segment, decided without any IO: a walk that is told what lies at a position and
 * says where to look next. Opening, reading and inspection all use this one.
 *
 * It leans on one write in flight per segment, and on no place being written twice in one life of a
 * file:
 *
 * | at X no valid entry, and behind it | means | result |
 * | --- | --- | --- |
 * | nothing, nobody knows an offset >= expected | torn tail, never acknowledged | the end is X |
 * | nothing, but someone knows one | an acknowledged tail is lost | gap up to that offset |
 * | an entry Y with firstOffset = expected | an entry without records was damaged | go on at Y |
 * | an entry Y with firstOffset > expected | X was on disk when Y was built: damage | gap, go on at Y |
 */
import { ENTRY_TYPE, type EntryHeader, entryDiskBytes } from "./entry.ts";
import { ALIGNMENT_BYTES, SEGMENT_HEADER_BYTES } from "./format.ts";

/** The segment that is walked. */
export interface WalkTarget {
  readonly segmentId: number;
  readonly epoch: number;
}

/** What lies at a position: an entry with a valid header, or nothing that is one. */
export type Sighting =
  | { readonly kind: "entry"; readonly header: EntryHeader; readonly isBodyValid: boolean }
  | { readonly kind: "nothing" };

/** A place where no valid entry is, while the walk looks for the next one. */
interface Hole {
  readonly position: number;
  readonly expected: number;
}

/** Damage between two valid entries. `from === to`: only an entry without records was hit. */
export interface WalkDamage {
  readonly fromPosition: number;
  readonly toPosition: number;
  readonly from: number;
  readonly to: number;
}

/** Where a walk stands. A value: a step makes the next one. */
export interface Walk {
  readonly target: WalkTarget;
  /** Where to look next. */
  readonly position: number;
  /** The offset that the next record has. */
  readonly expected: number;
  /** Undefined where the entry before is unknown, so that the link cannot be checked. */
  readonly previousHeaderCrc: number | undefined;
  readonly epoch: number;
  readonly hole: Hole | undefined;
  readonly last: EntryHeader | undefined;
  readonly entryCount: number;
}

/** What a step found. */
export type Step =
  | { readonly kind: "accepted"; readonly walk: Walk; readonly damage: WalkDamage | undefined }
  | { readonly kind: "nothing"; readonly walk: Walk };

/** A walk that begins at the first entry of a segment, or at a later one whose offset is known. */
export function startWalk(
  target: WalkTarget,
  place: { readonly position: number; readonly offset: number },
): Walk {
  return {
    target,
    position: place.position,
    expected: place.offset,
    previousHeaderCrc: place.position === SEGMENT_HEADER_BYTES ? 0 : undefined,
    epoch: target.epoch,
    hole: undefined,
    last: undefined,
    entryCount: 0,
  };
}

/** Takes what lies at `walk.position`. */
export function stepWalk(walk: Walk, sighting: Sighting): Step {
  if (sighting.kind === "entry" && sighting.isBodyValid && continues(walk, sighting.header))
    return accept(walk, sighting.header);
  const hole = walk.hole ?? { position: walk.position, expected: walk.expected };
  return {
    kind: "nothing",
    walk: {
      ...walk,
      hole,
      position: walk.position + skippedBytes(walk, sighting),
      previousHeaderCrc: undefined,
    },
  };
}

/**
 * Whether an entry goes on where the walk stands. Behind a hole the first one with `firstOffset >=
 * expected` counts, not only `>`: behind a damaged table the next entry has exactly the expected
 * offset.
 */
function continues(walk: Walk, header: EntryHeader): boolean {
  if (header.segmentIdLow !== walk.target.segmentId % 2 ** 32 || header.epoch < walk.epoch)
    return false;
  if (walk.hole !== undefined) return header.firstOffset >= walk.expected;
  return (
    header.firstOffset === walk.expected &&
    (walk.previousHeaderCrc ?? header.previousHeaderCrc) === header.previousHeaderCrc
  );
}

function accept(walk: Walk, header: EntryHeader): Step {
  const { hole } = walk;
  const damage = hole && {
    fromPosition: hole.position,
    toPosition: walk.position,
    from: hole.expected,
    to: header.firstOffset,
  };
  const next: Walk = {
    ...walk,
    position: walk.position + entryDiskBytes(header.entryBytes),
    expected: header.firstOffset + header.recordCount,
    previousHeaderCrc: header.headerCrc,
    epoch: header.epoch,
    hole: undefined,
    last: header,
    entryCount: walk.entryCount + 1,
  };
  return { kind: "accepted", walk: next, damage };
}

/**
 * A valid header in its right place tells how far its damaged body reaches: nothing inside can be
 * an entry, though a payload may well look like one.
 */
function skippedBytes(walk: Walk, sighting: Sighting): number {
  if (sighting.kind === "nothing" || walk.hole !== undefined || !continues(walk, sighting.header))
    return ALIGNMENT_BYTES;
  return entryDiskBytes(sighting.header.entryBytes);
}

/** What is known about a segment's end from elsewhere. */
export interface KnownEnd {
  /** Offsets below were durable: from a SEAL, a CUT, the segment behind or the ledger. */
  readonly provenOffset: number;
}

/** How a walk through a whole segment ended. */
export interface SegmentVerdict {
  /** Behind the last valid entry. */
  readonly endPosition: number;
  /** Behind the last record that can be read. */
  readonly endOffset: number;
  /** The lost records behind it, when they were acknowledged. */
  readonly lostTail: { readonly from: number; readonly to: number } | undefined;
  /** The last entry is a CLOSE: nothing was in flight when the log ended. */
  readonly isClosed: boolean;
  readonly lastHeaderCrc: number;
  readonly entryCount: number;
}

/** Judges a walk that reached the end of what may hold entries. */
export function judgeWalk(walk: Walk, known: KnownEnd): SegmentVerdict {
  const endOffset = walk.expected;
  return {
    endPosition: walk.hole?.position ?? walk.position,
    endOffset,
    lostTail:
      known.provenOffset > endOffset ? { from: endOffset, to: known.provenOffset } : undefined,
    isClosed: walk.last?.type === ENTRY_TYPE.close,
    lastHeaderCrc: walk.last?.headerCrc ?? 0,
    entryCount: walk.entryCount,
  };
}
