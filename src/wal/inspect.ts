/**
 * What a log directory holds, as data for `holdfast log inspect` and `verify`. Reads only, takes no lock and works
 * beside a running writer.
 */
import { join } from "node:path";

import type { LogGap, OffsetSpan } from "../contract/log.ts";
import type { Files } from "../host/files.ts";
import { SEGMENT_HEADER_BYTES } from "./format.ts";
import { uncovered } from "./gaps.ts";
import { type ChannelRange, inspectSegment, type SegmentContent } from "./inspect-segment.ts";
import {
  type KnownLog,
  type ListedSegment,
  listSegments,
  NOTHING_KNOWN,
  type StrangeFile,
} from "./segment-listing.ts";

export type { ChannelRange, SegmentContent } from "./inspect-segment.ts";
export type { StrangeFile } from "./segment-listing.ts";

/** One segment file. */
export interface SegmentInspection {
  readonly file: string;
  readonly segmentId: number;
  readonly baseOffset: number;
  readonly fileBytes: number;
  /** Undefined when the header block is damaged: name and neighbours stand in for it. */
  readonly epoch: number | undefined;
  readonly createdWallMs: number | undefined;
  readonly content: SegmentContent;
}

/** What a log directory holds. */
export interface LogInspection {
  readonly directory: string;
  /** In the order of their birth. */
  readonly segments: readonly SegmentInspection[];
  readonly spareCount: number;
  /** Files that were recycled or removed while they were being read. */
  readonly expiredCount: number;
  readonly strange: readonly StrangeFile[];
  readonly fileBytes: number;
  readonly entryCount: number;
  readonly recordCount: number;
  readonly payloadBytes: number;
  readonly oldestOffset: number;
  /** Behind the last record that is known to be durable. */
  readonly nextOffset: number;
  /** Records behind it that are written and may be lost by a power cut: they are not counted. */
  readonly unprovenRecords: number;
  /** Per receiver and channel, over all segments. */
  readonly channels: readonly ChannelRange[];
}

/**
 * One thing that is not as it was written. `isLoss`: records are gone, or a file cannot be read; otherwise it
 * costs nothing.
 */
export interface Finding {
  readonly kind:
    | "damaged-records"
    | "damaged-table"
    | "damaged-header"
    | "missing-records"
    | StrangeFile["kind"];
  readonly isLoss: boolean;
  /** The ledger has its whole range as a gap: it was told, and readers are told again. */
  readonly isKnown: boolean;
  readonly file: string;
  /** Bytes in the file, where it is about some. */
  readonly positions: readonly [from: number, to: number] | undefined;
  /** Offsets of the records that are gone. */
  readonly offsets: readonly [from: number, to: number] | undefined;
  readonly reason: string;
}

/** Result of reading everything. */
export interface LogVerification {
  readonly directory: string;
  /** No record is lost but those that the ledger has as gaps. */
  readonly isWhole: boolean;
  readonly findings: readonly Finding[];
  /** Records that are lost and that the ledger does not know to be. */
  readonly lostRecords: number;
  readonly inspection: LogInspection;
}

/**
 * Reads a log directory through. Rejects with ENOENT when there is none.
 *
 * The newest segment is read first: what it says proves the older ones, and a writer that frees segments
 * meanwhile takes the oldest, so what is left when the reading arrives there has no hole.
 */
export async function inspectLog(
  files: Files,
  directory: string,
  known: KnownLog = NOTHING_KNOWN,
): Promise<LogInspection> {
  const listing = await listSegments(files, directory, known);
  const segments: SegmentInspection[] = [];
  const strange = [...listing.strange];
  let { expiredCount } = listing;
  let { provenEnd } = known;
  for (const listed of listing.segments.toReversed()) {
    const { file, life } = listed;
    const inspected = await inspectSegment(files, join(directory, file), { life, provenEnd });
    if (inspected.kind === "expired") expiredCount += 1;
    else if (inspected.kind === "unreadable")
      strange.push({ file, kind: "unreadable", reason: inspected.reason });
    else {
      segments.unshift(inspectionOf(listed, inspected));
      provenEnd = Math.max(provenEnd, inspected.content.provenEnd);
    }
  }
  const { spareCount } = listing;
  const live = withoutCopies(segments, listing.segments);
  return summary({ directory, segments: live, strange, spareCount, expiredCount });
}

function withoutCopies(
  segments: readonly SegmentInspection[],
  listed: readonly ListedSegment[],
): readonly SegmentInspection[] {
  const copies = new Set(listed.filter(({ isCopy }) => isCopy).map(({ file }) => file));
  return segments.filter(({ file, baseOffset }, index) => {
    const before = segments[index - 1];
    const isOldGood = before?.baseOffset === baseOffset && before.content.endOffset > baseOffset;
    return !copies.has(file) || !isOldGood;
  });
}

/**
 * Reads a log directory through and says what is not as it was written. Rejects with ENOENT when there is none.
 * `readKnown` is called before and after: what the ledger said before must be in the log, and what it says
 * afterwards may have been freed meanwhile.
 */
export async function verifyLog(
  files: Files,
  directory: string,
  readKnown: () => Promise<KnownLog> = () => Promise.resolve(NOTHING_KNOWN),
): Promise<LogVerification> {
  const before = await readKnown();
  const inspection = await inspectLog(files, directory, before);
  const after = await readKnown();
  const { segments, strange } = inspection;
  const found: readonly Found[] = [
    ...missingInFront(segments[0], after),
    ...segments.flatMap(findingsIn),
    ...segments.flatMap((segment, index) => missingBehind(segment, segments[index + 1])),
    ...missingAtEnd(segments.at(-1), before),
    ...strange.map(strangeFinding),
  ];
  const findings = found.map((finding) => ({
    ...finding,
    isKnown: isCovered(finding, after.gaps),
  }));
  const lostRecords = findings
    .flatMap(({ offsets }) => (offsets === undefined ? [] : [asSpan(offsets)]))
    .flatMap((span) => uncovered(after.gaps, span))
    .reduce((sum, { from, to }) => sum + to - from, 0);
  const isWhole = findings.every(({ isLoss, isKnown }) => !isLoss || isKnown);
  return { directory, isWhole, findings, lostRecords, inspection };
}

type Found = Omit<Finding, "isKnown">;

function asSpan([from, to]: readonly [number, number]): OffsetSpan {
  return { from, to };
}

function isCovered({ offsets }: Found, gaps: readonly LogGap[]): boolean {
  return offsets !== undefined && uncovered(gaps, asSpan(offsets)).length === 0;
}

function strangeFinding({ file, kind, reason }: StrangeFile): Found {
  return {
    kind,
    isLoss: kind === "unreadable",
    file,
    positions: undefined,
    offsets: undefined,
    reason,
  };
}

function inspectionOf(
  { file, header, life }: ListedSegment,
  { content, fileBytes }: { readonly content: SegmentContent; readonly fileBytes: number },
): SegmentInspection {
  const { segmentId, baseOffset } = life;
  const { epoch, createdWallMs } = header ?? { epoch: undefined, createdWallMs: undefined };
  return { file, segmentId, baseOffset, fileBytes, epoch, createdWallMs, content };
}

function summary(
  parts: Pick<LogInspection, "directory" | "segments" | "strange" | "spareCount" | "expiredCount">,
): LogInspection {
  const sum = (pick: (segment: SegmentInspection) => number): number =>
    parts.segments.reduce((total, segment) => total + pick(segment), 0);
  return {
    ...parts,
    fileBytes: sum((segment) => segment.fileBytes),
    entryCount: sum((segment) => segment.content.entryCount),
    recordCount: sum((segment) => segment.content.recordCount),
    payloadBytes: sum((segment) => segment.content.payloadBytes),
    oldestOffset: parts.segments[0]?.baseOffset ?? 0,
    nextOffset: Math.max(0, ...parts.segments.map((segment) => segment.content.endOffset)),
    unprovenRecords: sum((segment) => segment.content.unprovenRecords),
    channels: mergedChannels(parts.segments),
  };
}

function mergedChannels(segments: readonly SegmentInspection[]): readonly ChannelRange[] {
  const merged = new Map<string, ChannelRange>();
  for (const range of segments.flatMap((segment) => segment.content.channels)) {
    const key = JSON.stringify([range.receiver, range.channel]);
    const known = merged.get(key);
    const total = known && {
      ...known,
      recordCount: known.recordCount + range.recordCount,
      payloadBytes: known.payloadBytes + range.payloadBytes,
      firstOffset: Math.min(known.firstOffset, range.firstOffset),
      endOffset: Math.max(known.endOffset, range.endOffset),
    };
    merged.set(key, total ?? range);
  }
  return [...merged.values()].toSorted((a, b) => a.firstOffset - b.firstOffset);
}

function findingsIn({ file, epoch, content }: SegmentInspection): readonly Found[] {
  const damaged = content.damaged.map(({ fromPosition, toPosition, from, to }): Found => {
    const isLoss = to > from;
    return {
      kind: isLoss ? "damaged-records" : "damaged-table",
      isLoss,
      file,
      positions: [fromPosition, toPosition],
      offsets: isLoss ? [from, to] : undefined,
      reason: isLoss
        ? `${to - from} ${to - from === 1 ? "record" : "records"} cannot be read`
        : "an entry without records is damaged",
    };
  });
  const header: Found = {
    kind: "damaged-header",
    isLoss: false,
    file,
    positions: [0, SEGMENT_HEADER_BYTES],
    offsets: undefined,
    reason: "read by its name and its neighbours' identity",
  };
  return epoch === undefined ? [header, ...damaged] : damaged;
}

/** Records between the end of a segment and the begin of the next one. */
function missingBehind(
  { file, content }: SegmentInspection,
  next: SegmentInspection | undefined,
): readonly Found[] {
  const [from, to] = [content.endOffset, next?.baseOffset ?? content.endOffset];
  return missing(file, [from, to], `the next segment begins at ${to}, this one ends at ${from}`);
}

/** Records between the floor and the oldest segment. */
function missingInFront(
  oldest: SegmentInspection | undefined,
  { floor }: KnownLog,
): readonly Found[] {
  if (oldest === undefined || floor === undefined) return [];
  const [from, to] = [floor.offset, oldest.baseOffset];
  return missing(oldest.file, [from, to], `the log begins at ${from}, this segment at ${to}`);
}

/** Records that the ledger knows and no segment has. */
function missingAtEnd(
  newest: SegmentInspection | undefined,
  { provenEnd, floor }: KnownLog,
): readonly Found[] {
  const file = newest?.file ?? ".";
  const from = newest?.content.endOffset ?? floor?.offset ?? 0;
  const reason = `the ledger knows records up to ${provenEnd}, the log ends at ${from}`;
  return missing(file, [from, provenEnd], reason);
}

function missing(
  file: string,
  offsets: readonly [from: number, to: number],
  reason: string,
): readonly Found[] {
  if (offsets[1] <= offsets[0]) return [];
  return [{ kind: "missing-records", isLoss: true, file, positions: undefined, offsets, reason }];
}
