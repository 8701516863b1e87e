/**
 * The recovery rule of the log twice: as the program has it, and in its barest form with the place where it could be
 * wrong as a switch.
 */
import {
  bodyIsValid,
  decodeEntryHeader,
  entryDiskBytes,
  type EntryHeader,
} from "../../../src/wal/entry.ts";
import { ALIGNMENT_BYTES } from "../../../src/wal/format.ts";
import { judgeWalk, startWalk, stepWalk, type Walk } from "../../../src/wal/recovery.ts";
import { FIRST_ENTRY, type RecoveryRule } from "./segment-model.ts";

/** Whether a valid entry found behind an invalid block continues the log. */
export type Continues = (firstOffset: number, expected: number) => boolean;

/** Entries that hold no records repeat the offset of what follows, so a damaged one leaves `expected` where it was. */
export const atOrBehind: Continues = (firstOffset, expected) => firstOffset >= expected;
/** What one would write at first; a flipped bit in a table then cuts acknowledged records. */
export const behindOnly: Continues = (firstOffset, expected) => firstOffset > expected;

/** Opens by walking: at an invalid block it takes the first valid entry behind it that continues the log. */
export function ruleWith(continues: Continues): RecoveryRule {
  return (image, { salt, segmentId }, { firstOffset }) => {
    const accepted: number[] = [];
    const gaps: { from: number; to: number }[] = [];
    let expected = firstOffset;
    for (let at: number | undefined = FIRST_ENTRY; at !== undefined; ) {
      const header: EntryHeader | undefined = entryAt(image, at, { salt, segmentId });
      if (header?.firstOffset !== expected) {
        at = nextValid(image, at + ALIGNMENT_BYTES, { salt, segmentId }, (found) =>
          continues(found, expected),
        );
        const found = at === undefined ? undefined : entryAt(image, at, { salt, segmentId });
        if (found === undefined) break;
        if (found.firstOffset > expected) gaps.push({ from: expected, to: found.firstOffset });
        expected = found.firstOffset;
        continue;
      }
      accepted.push(at);
      expected += header.recordCount;
      at += entryDiskBytes(header.entryBytes);
    }
    return { accepted, gaps, end: expected };
  };
}

interface Life {
  readonly salt: number;
  readonly segmentId: number;
}

function entryAt(image: Uint8Array, at: number, life: Life): EntryHeader | undefined {
  const header = decodeEntryHeader(image, at, life.salt);
  return header?.segmentIdLow === life.segmentId && bodyIsValid(image, at, header, life.salt)
    ? header
    : undefined;
}

function nextValid(
  image: Uint8Array,
  from: number,
  life: Life,
  continues: (firstOffset: number) => boolean,
): number | undefined {
  for (let at = from; at < image.length; at += ALIGNMENT_BYTES) {
    const header = entryAt(image, at, life);
    if (header !== undefined && continues(header.firstOffset)) return at;
  }
  return undefined;
}

/** The rule as opening, reading and inspection use it. */
export const walkRule: RecoveryRule = (
  image,
  { salt, segmentId },
  { firstOffset, provenOffset },
) => {
  const accepted: number[] = [];
  const gaps: { from: number; to: number }[] = [];
  let walk: Walk = startWalk(
    { segmentId, epoch: 1 },
    { position: FIRST_ENTRY, offset: firstOffset },
  );
  while (walk.position < image.length) {
    const header = decodeEntryHeader(image, walk.position, salt);
    const isBodyValid = header !== undefined && bodyIsValid(image, walk.position, header, salt);
    const step = stepWalk(
      walk,
      header === undefined ? { kind: "nothing" } : { kind: "entry", header, isBodyValid },
    );
    if (step.kind === "accepted") {
      accepted.push(walk.position);
      if (step.damage !== undefined && step.damage.to > step.damage.from)
        gaps.push({ from: step.damage.from, to: step.damage.to });
    }
    walk = step.walk;
  }
  const { lostTail, endOffset } = judgeWalk(walk, { provenOffset });
  return {
    accepted,
    gaps: lostTail === undefined ? gaps : [...gaps, lostTail],
    end: lostTail?.to ?? endOffset,
  };
};
