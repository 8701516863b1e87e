/**
 * What the log's directory holds when it is opened: every file looked at, segments in the order of their birth with
 * their ends, and the ranges that are lost. Reads only; changing anything is the caller's.
 */
import type { LogFacts, LogGap } from "../contract/log.ts";
import { HoldfastError } from "../errors.ts";
import type { Files } from "../host/files.ts";
import { ALIGNMENT_BYTES, decodeSegmentHeader, parseFileName, sameBytes, SEGMENT_HEADER_BYTES, type SegmentHeader, SEGMENT_KIND, saltOf } from "./format.ts";
import { Segment, type SegmentIdentity } from "./segment.ts";
import { readBlock, readSeal, scanSegment, type SegmentScan } from "./segment-scan.ts";
import type { Seal } from "./tables.ts";

/** A segment as it was found. */
export interface FoundSegment {
  readonly segment: Segment;
  readonly sizeBytes: number;
  /** Undefined when it was not read (a SEAL said enough) or is damaged. */
  readonly header: SegmentHeader | undefined;
  readonly seal: Seal | undefined;
  /** Undefined when a SEAL or CUT told its end. */
  readonly scan: SegmentScan | undefined;
}

/** A lost range, and the damaged bytes where there are some. */
export interface FoundGap extends LogGap {
  readonly bytes: { readonly segment: Segment; readonly fromPosition: number; readonly toPosition: number } | undefined;
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
export interface SurveyOptions {
  readonly files: Files;
  readonly directory: string;
  readonly logUuid: Uint8Array;
  readonly facts: LogFacts;
}

/** The uuid of the newest readable segment, for a log whose ledger is lost; undefined when there is none. */
export async function adoptUuid(files: Files, directory: string): Promise<Uint8Array | undefined> {
  const names = (await files.list(directory)).map((entry) => entry.name).filter((name) => parseFileName(name).kind === "segment");
  for (const name of names.toReversed()) {
    const header = await readHeader(files, `${directory}/${name}`);
    if (header.kind === "valid") return header.header.logUuid;
  }
  return undefined;
}

/** Looks at everything. Throws LOG_VERSION when a segment is of a format that this program does not read. */
export async function surveyDirectory(options: SurveyOptions): Promise<Survey> {
  const { directory, facts, files } = options;
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
      if (header.kind === "valid") highestSegmentId = Math.max(highestSegmentId, header.header.segmentId);
      continue;
    }
    const candidate = await identify(options, { name, parsed, sizeBytes }, notes);
    if (candidate === undefined) continue;
    highestSegmentId = Math.max(highestSegmentId, candidate.identity.segmentId);
    candidates.push(candidate);
  }
  const found = await settleEnds(options, inOrder(candidates, notes), notes);
  return { ...found, spares, highestSegmentId, notes };
}

interface Candidate {
  readonly identity: SegmentIdentity;
  readonly sizeBytes: number;
  readonly header: SegmentHeader | undefined;
  readonly seal: Seal | undefined;
  readonly sealEpoch: number;
}

interface NamedFile {
  readonly name: string;
  readonly parsed: { readonly baseOffset: number; readonly segmentId: number };
  readonly sizeBytes: number;
}

/** Who a file is. A SEAL proves name and uuid by its checksum; else the header decides, and wins over the name. */
async function identify({ directory, files, logUuid }: SurveyOptions, file: NamedFile, notes: string[]): Promise<Candidate | undefined> {
  const path = `${directory}/${file.name}`;
  const { baseOffset, segmentId } = file.parsed;
  const salt = saltOf(segmentId, logUuid);
  const sealed = await readSeal(files, path, { segmentId, salt, sizeBytes: file.sizeBytes });
  if (sealed !== undefined && sealed.seal.baseOffset === baseOffset) {
    const identity = { segmentId, baseOffset, salt, epoch: 0, capacityBytes: file.sizeBytes, fileName: file.name };
    return { identity, sizeBytes: file.sizeBytes, header: undefined, seal: sealed.seal, sealEpoch: sealed.header.epoch };
  }
  const decoded = await readHeader(files, path);
  if (decoded.kind === "unsupported") throw new HoldfastError("LOG_VERSION", `${path}: ${decoded.reason}`, { fix: "run the version of Holdfast that wrote it, or a newer one" });
  if (decoded.kind === "invalid") {
    notes.push(`${file.name}: the header is damaged (${decoded.reason}); the name tells what its entries are`);
    const identity = { segmentId, baseOffset, salt, epoch: 0, capacityBytes: file.sizeBytes, fileName: file.name };
    return { identity, sizeBytes: file.sizeBytes, header: undefined, seal: undefined, sealEpoch: 0 };
  }
  const { header } = decoded;
  if (header.kind !== SEGMENT_KIND.data || !sameBytes(header.logUuid, logUuid)) {
    notes.push(`${file.name} belongs to another log; it is left alone`);
    return undefined;
  }
  const again = await readSeal(files, path, { segmentId: header.segmentId, salt: header.salt, sizeBytes: file.sizeBytes });
  const { capacityBytes, epoch } = header;
  const identity = { segmentId: header.segmentId, baseOffset: header.baseOffset, salt: header.salt, epoch, capacityBytes, fileName: file.name };
  return { identity, sizeBytes: file.sizeBytes, header, seal: again?.seal, sealEpoch: epoch };
}

async function readHeader(files: Files, path: string): Promise<ReturnType<typeof decodeSegmentHeader>> {
  const block = await readBlock(files, path, 0);
  return block === undefined ? { kind: "invalid", reason: "it cannot be read" } : decodeSegmentHeader(block);
}

/** By id, which is by birth. Of two files with one id the one whose name is right counts. */
function inOrder(candidates: readonly Candidate[], notes: string[]): Candidate[] {
  const byId = new Map<number, Candidate>();
  for (const candidate of candidates) {
    const { fileName, segmentId } = candidate.identity;
    const rival = byId.get(segmentId);
    const isNamed = parseFileName(fileName);
    if (rival === undefined || (isNamed.kind === "segment" && isNamed.segmentId === segmentId)) byId.set(segmentId, candidate);
    if (rival !== undefined) notes.push(`${fileName} and ${rival.identity.fileName} are both segment ${segmentId}; one of them is left alone`);
  }
  return [...byId.values()].sort((left, right) => left.identity.segmentId - right.identity.segmentId);
}

type Settled = Pick<Survey, "segments" | "empty" | "gaps" | "nextOffset" | "highestEpoch">;

async function settleEnds(options: SurveyOptions, candidates: readonly Candidate[], notes: string[]): Promise<Settled> {
  const { facts } = options;
  const segments: FoundSegment[] = [];
  const empty: Segment[] = [];
  let highestEpoch = 0;
  const live = candidates.filter(({ identity }) => identity.segmentId >= (facts.floor?.segmentId ?? 0));
  for (const candidate of candidates) if (!live.includes(candidate)) empty.push(new Segment(candidate.identity, { position: SEGMENT_HEADER_BYTES, offset: candidate.identity.baseOffset }));
  for (let index = 0; index < live.length; index += 1) {
    const candidate = live[index];
    if (candidate === undefined) continue;
    const found = await settleEnd(options, candidate, await withHeader(options, candidate, live[index + 1]));
    highestEpoch = Math.max(highestEpoch, candidate.sealEpoch, candidate.identity.epoch, found.scan?.highestEpoch ?? 0);
    if (isUnfinishedCopy(segments.at(-1), found)) {
      notes.push(`${candidate.identity.fileName} is an unfinished copy of the segment before it`);
      empty.push(found.segment);
    } else if (found.segment.end.offset > candidate.identity.baseOffset || found.scan?.verdict.lostTail !== undefined || isUnreadable(found)) segments.push(found);
    else empty.push(found.segment);
  }
  await rescanNewest(options, segments);
  return { segments, empty, highestEpoch, ...findGaps(options, segments) };
}

/** A header that is damaged and no entry either: nothing says whose file it is, so nobody overwrites it. */
function isUnreadable(found: FoundSegment): boolean {
  return found.header === undefined && found.seal === undefined && found.scan !== undefined;
}

/** The successor with its header, which tells where its predecessor must end. */
async function withHeader({ directory, files, logUuid }: SurveyOptions, candidate: Candidate, next: Candidate | undefined): Promise<Candidate | undefined> {
  if (next === undefined || next.header !== undefined || candidate.seal !== undefined) return next;
  const decoded = await readHeader(files, `${directory}/${next.identity.fileName}`);
  const isOurs = decoded.kind === "valid" && sameBytes(decoded.header.logUuid, logUuid) && decoded.header.segmentId === next.identity.segmentId;
  return isOurs ? { ...next, header: decoded.header } : next;
}

async function settleEnd(options: SurveyOptions, candidate: Candidate, next: Candidate | undefined): Promise<FoundSegment> {
  const { identity, seal, sizeBytes, header } = candidate;
  const cut = options.facts.cuts.find((known) => known.segmentId === identity.segmentId);
  const known = seal ?? cut;
  const nextBase = next?.identity.baseOffset ?? Infinity;
  if (known !== undefined) {
    const segment = new Segment(identity, { position: known.endPosition, offset: Math.min(known.endOffset, nextBase) });
    segment.lastTimeMs = seal?.lastTimeMs ?? 0;
    return { segment, sizeBytes, header, seal, scan: undefined };
  }
  // A segment that follows this one says where this one ends; one that repeats it (a copy) says nothing about it.
  const previousEnd = next?.header?.previousSalt === identity.salt ? next.header.previousEnd : undefined;
  const isRepeated = next?.header !== undefined && next.header.previousSalt === header?.previousSalt && nextBase === identity.baseOffset;
  const bounds = {
    endPosition: Math.min(identity.capacityBytes - ALIGNMENT_BYTES, Math.max(sizeBytes, SEGMENT_HEADER_BYTES)),
    offsetMax: previousEnd ?? (isRepeated ? Infinity : nextBase),
    provenOffset: previousEnd ?? (next === undefined ? options.facts.nextOffsetMin : 0),
  };
  const segment = new Segment(identity, { position: SEGMENT_HEADER_BYTES, offset: identity.baseOffset });
  const scan = await scanSegment(options.files, `${options.directory}/${identity.fileName}`, segment, bounds);
  segment.end = { position: scan.verdict.endPosition, offset: scan.verdict.endOffset };
  segment.lastTimeMs = scan.lastTimeMs;
  return { segment, sizeBytes, header, seal, scan };
}

/**
 * A small tail is copied into a new segment at opening, and the old file goes only when the copy is durable. While both
 * are there the old one counts, and nothing was ever acknowledged from the copy. A rescue segment differs: it
 * names the one before as its predecessor. So does one behind an empty segment: that one has no records.
 */
function isUnfinishedCopy(before: FoundSegment | undefined, found: FoundSegment): boolean {
  if (before?.header === undefined || found.header === undefined || before.seal !== undefined) return false;
  const isSamePlace = before.header.baseOffset === found.header.baseOffset && before.header.previousSalt === found.header.previousSalt;
  return isSamePlace && before.segment.end.offset > before.header.baseOffset;
}

/**
 * Channels and positions come from the head of the newest segment and everything behind it, so that one is walked whole;
 * when its head is damaged the one before serves too.
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

async function scanKnown({ directory, files }: SurveyOptions, segment: Segment): Promise<SegmentScan> {
  const { end, identity } = segment;
  const bounds = { endPosition: end.position, offsetMax: end.offset, provenOffset: end.offset };
  return await scanSegment(files, `${directory}/${identity.fileName}`, segment, bounds);
}

/** Lost ranges inside, between and behind the segments. */
function findGaps({ facts }: SurveyOptions, segments: readonly FoundSegment[]): { readonly gaps: readonly FoundGap[]; readonly nextOffset: number } {
  const gaps: FoundGap[] = [];
  let expected = facts.floor?.offset ?? segments[0]?.segment.identity.baseOffset ?? facts.nextOffsetMin;
  for (const { scan, segment } of segments) {
    const { baseOffset } = segment.identity;
    if (baseOffset > expected) gaps.push({ from: expected, to: baseOffset, reason: "missing-segment", bytes: undefined });
    for (const damage of scan?.damages ?? []) {
      if (damage.to > damage.from) gaps.push({ from: damage.from, to: damage.to, reason: "damaged", bytes: { segment, fromPosition: damage.fromPosition, toPosition: damage.toPosition } });
    }
    expected = Math.max(expected, segment.end.offset);
    const lost = scan?.verdict.lostTail;
    if (lost === undefined || lost.to <= expected) continue;
    // What is left of the tail may be anywhere behind; a copy of one window of it is kept.
    const toPosition = Math.min(segment.end.position + 1024 * 1024, segment.identity.capacityBytes);
    gaps.push({ from: expected, to: lost.to, reason: "lost-tail", bytes: { segment, fromPosition: segment.end.position, toPosition } });
    expected = lost.to;
  }
  if (facts.nextOffsetMin > expected) gaps.push({ from: expected, to: facts.nextOffsetMin, reason: "lost-tail", bytes: undefined });
  return { gaps, nextOffset: Math.max(expected, facts.nextOffsetMin) };
}
