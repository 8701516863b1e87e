/**
 * What the log's directory holds when it is opened: every file looked at, segments in the order of
 * their birth with their ends, and the ranges that are lost. Reads only; changing anything is the
 * caller's.
 */
import type { LogFacts, LogFloor, LogGap } from "../contract/log.ts";
import type { Files } from "../host/files.ts";
import {
  ALIGNMENT_BYTES,
  parseFileName,
  sameBytes,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from "./format.ts";
import { isSamePlace, readHeader } from "./header-reading.ts";
import { Segment } from "./segment.ts";
import { type Candidate, identify, inOrder } from "./segment-candidate.ts";
import { type ScanBounds, type ScanHost, scanSegment, type SegmentScan } from "./segment-scan.ts";
import type { Seal } from "./tables.ts";

/** Bytes behind a lost tail that are copied aside. */
const LOST_TAIL_COPY_BYTES: number = 1024 * 1024;

/** A segment as it was found. */
export interface FoundSegment {
  readonly segment: Segment;
  readonly sizeBytes: number;
  /** Undefined when it was not read (a SEAL said enough) or is damaged. */
  readonly header: SegmentHeader | undefined;
  readonly seal: Seal | undefined;
  /** Undefined when a SEAL or CUT told its end. */
  readonly scan: SegmentScan | undefined;
  /** Nothing in it counts: its file may be reused. */
  readonly isEmpty: boolean;
}

/** A lost range, and the damaged bytes where there are some. */
export interface FoundGap extends LogGap {
  readonly bytes:
    | { readonly segment: Segment; readonly fromPosition: number; readonly toPosition: number }
    | undefined;
}

/** The directory. */
export interface Survey {
  /** Live segments, by id. */
  readonly segments: readonly FoundSegment[];
  /** Segments without anything that counts: their files may be reused. */
  readonly empty: readonly Segment[];
  readonly spares: readonly { readonly fileName: string; readonly sizeBytes: number }[];
  readonly gaps: readonly FoundGap[];
  /** The first offset that is free. */
  readonly nextOffset: number;
  readonly highestSegmentId: number;
  readonly highestEpoch: number;
  /** What was odd, as sentences for the log. */
  readonly notes: readonly string[];
}

/** What a survey needs. */
export interface SurveyOptions extends ScanHost {
  readonly directory: string;
  readonly logUuid: Uint8Array;
  readonly facts: LogFacts;
}

/**
 * Looks at everything. Throws LOG_VERSION when a segment is of a format that this program does not
 * read.
 */
export async function surveyDirectory(options: SurveyOptions): Promise<Survey> {
  const { directory, facts, files } = options;
  // A process that was killed may have left names that only the system's memory knows. What is
  // decided here is built upon, so it must be what a power cut would leave.
  await files.syncDirectory(directory);
  const notes: string[] = [];
  const spares: { fileName: string; sizeBytes: number }[] = [];
  const candidates: Candidate[] = [];
  let highestSegmentId = facts.segmentIdMax;
  for (const { name } of await files.list(directory)) {
    const parsed = parseFileName(name);
    if (parsed.kind === "other") continue;
    const sizeBytes = (await files.stat(`${directory}/${name}`))?.bytes ?? 0;
    highestSegmentId = Math.max(highestSegmentId, parsed.segmentId);
    if (parsed.kind === "spare") {
      spares.push({ fileName: name, sizeBytes });
      // A spare may have got its next id just before a crash: that one is used up too.
      const header = await readHeader(files, `${directory}/${name}`);
      if (header.kind === "valid")
        highestSegmentId = Math.max(highestSegmentId, header.header.segmentId);
      continue;
    }
    const candidate = await identify(options, { name, ...parsed, sizeBytes }, notes);
    if (candidate === undefined) continue;
    highestSegmentId = Math.max(highestSegmentId, candidate.identity.segmentId);
    candidates.push(candidate);
  }
  const found = await settleEnds(options, inOrder(candidates, notes), notes);
  return { ...found, spares, highestSegmentId, notes };
}

type Settled = Pick<Survey, "segments" | "empty" | "gaps" | "nextOffset" | "highestEpoch">;

async function settleEnds(
  options: SurveyOptions,
  candidates: readonly Candidate[],
  notes: string[],
): Promise<Settled> {
  const { facts } = options;
  const isLive = ({ identity }: Candidate): boolean =>
    identity.segmentId >= (facts.floor?.segmentId ?? 0);
  const freed = candidates.filter((candidate) => !isLive(candidate)).map(freedSegment);
  const found = await findEnds(options, candidates.filter(isLive));
  const { segments, surplus, trailing } = sortFound(found, notes);
  const keeper = await newestTables(options, trailing);
  if (keeper !== undefined) segments.push(keeper);
  await rescanNewest(options, segments);
  const unused = trailing.map(({ segment }) => segment).filter((each) => each !== keeper?.segment);
  const empty = [...freed, ...surplus, ...unused];
  // A segment begins where everything before it was on disk: an empty one proves that too.
  const proven = Math.max(facts.nextOffsetMin, ...empty.map(({ identity }) => identity.baseOffset));
  const highestEpoch = Math.max(0, ...found.map(({ highestEpoch: each }) => each));
  return { segments, empty, highestEpoch, ...findGaps(facts.floor, segments, proven) };
}

/** One that the floor has passed: its file is free. */
function freedSegment({ identity }: Candidate): Segment {
  return new Segment(identity, { position: SEGMENT_HEADER_BYTES, offset: identity.baseOffset });
}

type FoundEnd = FoundSegment & { readonly highestEpoch: number };

async function findEnds(
  options: SurveyOptions,
  live: readonly Candidate[],
): Promise<readonly FoundEnd[]> {
  const ends: FoundEnd[] = [];
  for (const [index, candidate] of live.entries()) {
    const next = await withHeader(options, candidate, live[index + 1]);
    const found = await settleEnd(options, candidate, next);
    const { epoch, identity } = candidate;
    const highestEpoch = Math.max(epoch, identity.epoch, found.scan?.highestEpoch ?? 0);
    ends.push({ ...found, highestEpoch });
  }
  return ends;
}

/** Segments with records; `surplus`: nobody needs them; `trailing`: without records, behind the last that has some. */
function sortFound(
  found: readonly FoundSegment[],
  notes: string[],
): {
  readonly segments: FoundSegment[];
  readonly surplus: readonly Segment[];
  readonly trailing: readonly FoundSegment[];
} {
  const segments: FoundSegment[] = [];
  const surplus: Segment[] = [];
  let trailing: FoundSegment[] = [];
  for (const each of found) {
    const { fileName } = each.segment.identity;
    if (isUnfinishedCopy(segments.at(-1), each)) {
      notes.push(`${fileName} is an unfinished copy of the segment before it`);
      surplus.push(each.segment);
    } else if (each.isEmpty) {
      trailing.push(each);
    } else {
      surplus.push(...trailing.map(({ segment }) => segment));
      trailing = [];
      segments.push(each);
    }
  }
  return { segments, surplus, trailing };
}

/** The successor with its header, which tells where its predecessor must end. */
async function withHeader(
  { directory, files, logUuid }: SurveyOptions,
  candidate: Candidate,
  next: Candidate | undefined,
): Promise<Candidate | undefined> {
  if (next === undefined || next.header !== undefined || candidate.seal !== undefined) return next;
  const decoded = await readHeader(files, `${directory}/${next.identity.fileName}`);
  const isOurs =
    decoded.kind === "valid" &&
    sameBytes(decoded.header.logUuid, logUuid) &&
    decoded.header.segmentId === next.identity.segmentId;
  return isOurs ? { ...next, header: decoded.header } : next;
}

async function settleEnd(
  options: SurveyOptions,
  candidate: Candidate,
  next: Candidate | undefined,
): Promise<FoundSegment> {
  const { header, identity, seal, sizeBytes } = candidate;
  const { baseOffset, segmentId } = identity;
  const known = seal ?? options.facts.cuts.find((cut) => cut.segmentId === segmentId);
  const bounds = scanBounds(options, candidate, next);
  if (known !== undefined) {
    const offset = Math.min(known.endOffset, bounds.offsetMax);
    const segment = new Segment(identity, { position: known.endPosition, offset });
    segment.lastTimeMs = seal?.lastTimeMs ?? 0;
    const isEmpty = known.endOffset === baseOffset;
    return { segment, sizeBytes, header, seal, scan: undefined, isEmpty };
  }
  const segment = new Segment(identity, { position: SEGMENT_HEADER_BYTES, offset: baseOffset });
  const path = `${options.directory}/${identity.fileName}`;
  await syncFile(options.files, path);
  const scan = await scanSegment(options, path, segment, bounds);
  const { endOffset, endPosition, lostTail } = scan.verdict;
  segment.end = { position: endPosition, offset: endOffset };
  segment.lastTimeMs = scan.lastTimeMs;
  const hasNothing = endOffset === baseOffset && lostTail === undefined;
  // Records that a successor declares void are nothing. Otherwise nobody overwrites what may be
  // records, nor a file whose header is damaged and says nothing about it.
  const isKnownVoid = !scan.isClipped || bounds.isLinked;
  const isEmpty = hasNothing && isKnownVoid && header !== undefined;
  return { segment, sizeBytes, header, seal, scan, isEmpty };
}

/**
 * Makes durable what a killed process left in the system's memory: its last entry may be whole
 * there and torn on the disk, and whoever reads it must be able to rely on it.
 */
async function syncFile(files: Files, path: string): Promise<void> {
  const handle = await files.open(path, "write");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

interface EndBounds extends ScanBounds {
  /** The segment behind names this one as its predecessor. */
  readonly isLinked: boolean;
}

/**
 * Where the entries of a segment may lie, and what the one behind it and the ledger know of its
 * end.
 */
function scanBounds(
  { facts }: SurveyOptions,
  { header, identity, sizeBytes }: Candidate,
  next: Candidate | undefined,
): EndBounds {
  const endPosition = Math.min(
    identity.capacityBytes - ALIGNMENT_BYTES,
    Math.max(sizeBytes, SEGMENT_HEADER_BYTES),
  );
  const free = { endPosition, isLinked: false, offsetMax: Infinity };
  if (next === undefined) return { ...free, provenOffset: facts.nextOffsetMin };
  const after = next.header;
  if (after?.previousSalt === identity.salt) {
    const { previousEnd } = after;
    return { endPosition, isLinked: true, offsetMax: previousEnd, provenOffset: previousEnd };
  }
  // A copy says nothing about the end of what it repeats.
  if (isSamePlace(header, after)) return { ...free, provenOffset: 0 };
  return { ...free, offsetMax: next.identity.baseOffset, provenOffset: 0 };
}

/**
 * A small tail is copied into a new segment at opening, and the old file goes only when the copy is
 * durable. While both are there the old one counts, and nothing was ever acknowledged from the
 * copy. A rescue segment differs: it names the one before as its predecessor. So does one behind an
 * empty segment: that one has no records.
 */
function isUnfinishedCopy(before: FoundSegment | undefined, found: FoundSegment): boolean {
  if (before?.header === undefined || found.header === undefined || before.seal !== undefined)
    return false;
  return (
    isSamePlace(before.header, found.header) && before.segment.end.offset > before.header.baseOffset
  );
}

/**
 * The newest segment that has whole tables of channels, although no records: when the ones before it are freed or
 * damaged, nothing else knows where the channels stand.
 */
async function newestTables(
  options: SurveyOptions,
  trailing: readonly FoundSegment[],
): Promise<FoundSegment | undefined> {
  for (const found of trailing.toReversed()) {
    const scan = found.scan ?? (await scanKnown(options, found.segment));
    if (scan.isHeadWhole && scan.names.length > 0) return { ...found, scan };
  }
  return undefined;
}

/**
 * Channels and positions come from the head of the newest segment and everything behind it, so that
 * one is walked whole; when its head is damaged the one before serves too.
 */
async function rescanNewest(options: SurveyOptions, segments: FoundSegment[]): Promise<void> {
  for (let index = segments.length - 1; index >= Math.max(0, segments.length - 2); index -= 1) {
    const found = segments[index];
    if (found === undefined) return;
    const scan = found.scan ?? (await scanKnown(options, found.segment));
    segments[index] = { ...found, scan };
    if (scan.isHeadWhole) return;
  }
}

/** Walks a segment whose end is known. */
export async function scanKnown(
  options: ScanHost & Pick<SurveyOptions, "directory">,
  segment: Segment,
): Promise<SegmentScan> {
  const { end, identity } = segment;
  const bounds = { endPosition: end.position, offsetMax: end.offset, provenOffset: end.offset };
  return await scanSegment(options, `${options.directory}/${identity.fileName}`, segment, bounds);
}

/** Lost ranges inside, between and behind the segments; all offsets below `proven` were used. */
function findGaps(
  floor: LogFloor | undefined,
  segments: readonly FoundSegment[],
  proven: number,
): { readonly gaps: readonly FoundGap[]; readonly nextOffset: number } {
  const gaps: FoundGap[] = [];
  let expected = floor?.offset ?? segments[0]?.segment.identity.baseOffset ?? proven;
  for (const found of segments) {
    const { baseOffset } = found.segment.identity;
    if (baseOffset > expected)
      gaps.push({ from: expected, to: baseOffset, reason: "missing-segment", bytes: undefined });
    gaps.push(...damagesIn(found));
    expected = Math.max(expected, found.segment.end.offset);
    const tail = lostTailOf(found, expected);
    if (tail === undefined) continue;
    gaps.push(tail);
    expected = tail.to;
  }
  if (proven > expected)
    gaps.push({ from: expected, to: proven, reason: "lost-tail", bytes: undefined });
  return { gaps, nextOffset: Math.max(expected, proven) };
}

/** Lost ranges between valid entries of a segment that was walked. */
export function damagesIn({ scan, segment }: Pick<FoundSegment, "scan" | "segment">): FoundGap[] {
  const damages = scan?.damages.filter((damage) => damage.to > damage.from) ?? [];
  return damages.map(({ from, fromPosition, to, toPosition }) => ({
    from,
    to,
    reason: "damaged",
    bytes: { segment, fromPosition, toPosition },
  }));
}

/** What is left of a lost tail may be anywhere behind; a copy of a part of it is kept. */
function lostTailOf({ scan, segment }: FoundSegment, expected: number): FoundGap | undefined {
  const lost = scan?.verdict.lostTail;
  if (lost === undefined || lost.to <= expected) return undefined;
  const fromPosition = segment.end.position;
  const toPosition = Math.min(fromPosition + LOST_TAIL_COPY_BYTES, segment.identity.capacityBytes);
  return {
    from: expected,
    to: lost.to,
    reason: "lost-tail",
    bytes: { segment, fromPosition, toPosition },
  };
}
