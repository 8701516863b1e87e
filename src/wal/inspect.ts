/**
 * What a log directory holds, as data for `holdfast log inspect` and `verify`. Reads only, takes no lock and works
 * beside a running writer.
 */
import { join } from "node:path";

import { codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";
import {
  decodeSegmentHeader,
  parseFileName,
  sameBytes,
  saltOf,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from "./format.ts";
import {
  type ChannelRange,
  inspectSegment,
  type SegmentContent,
  type SegmentLife,
} from "./inspect-segment.ts";
import { readBlock } from "./segment-scan.ts";

export type { ChannelRange, SegmentContent } from "./inspect-segment.ts";

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

/** A file that is no readable segment of this log, and why. */
export interface StrangeFile {
  readonly file: string;
  readonly kind: "foreign" | "unsupported" | "unreadable" | "unknown-header";
  readonly reason: string;
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
  readonly nextOffset: number;
  /** Per receiver and channel, over all segments. */
  readonly channels: readonly ChannelRange[];
}

/** One thing that is not as it was written. `isLoss`: records are gone; otherwise it costs nothing. */
export interface Finding {
  readonly kind:
    | "damaged-records"
    | "damaged-table"
    | "damaged-header"
    | "missing-records"
    | StrangeFile["kind"];
  readonly isLoss: boolean;
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
  /** No record is lost. */
  readonly isWhole: boolean;
  readonly findings: readonly Finding[];
  readonly lostRecords: number;
  readonly inspection: LogInspection;
}

interface Candidate {
  readonly file: string;
  readonly segmentId: number;
  readonly baseOffset: number;
  readonly header: SegmentHeader | undefined;
}

interface Scan {
  readonly candidates: readonly Candidate[];
  readonly strange: readonly StrangeFile[];
  readonly spareCount: number;
  readonly expiredCount: number;
}

/** Reads a log directory through. Rejects with ENOENT when there is none. */
export async function inspectLog(files: Files, directory: string): Promise<LogInspection> {
  const scan = await scanHeaders(files, directory);
  const logUuid = prevailingUuid(scan.candidates);
  const isOurs = ({ header }: Candidate): boolean =>
    logUuid !== undefined && (header === undefined || sameBytes(header.logUuid, logUuid));
  const ours = scan.candidates.filter(isOurs);
  const strange = [
    ...scan.strange,
    ...scan.candidates.filter((candidate) => !isOurs(candidate)).map(notOurs),
  ];
  const segments: SegmentInspection[] = [];
  let { expiredCount } = scan;
  for (const [index, candidate] of ours.entries()) {
    const life = lifeOf(
      candidate,
      logUuid ?? new Uint8Array(0),
      ours[index + 1]?.baseOffset ?? Infinity,
    );
    const inspected = await inspectSegment(files, join(directory, candidate.file), life);
    if (inspected.kind === "expired") expiredCount += 1;
    else if (inspected.kind === "unreadable")
      strange.push({ file: candidate.file, kind: "unreadable", reason: inspected.reason });
    else segments.push(inspectionOf(candidate, life, inspected));
  }
  return summary({ directory, segments, strange, spareCount: scan.spareCount, expiredCount });
}

/** The uuid that most segments have; of two the one of the newer segment. */
function prevailingUuid(candidates: readonly Candidate[]): Uint8Array | undefined {
  const uuids = candidates.flatMap(({ header }) => (header === undefined ? [] : [header.logUuid]));
  const countOf = (uuid: Uint8Array): number =>
    uuids.filter((other) => sameBytes(other, uuid)).length;
  return uuids.reduce<Uint8Array | undefined>(
    (best, uuid) => (best !== undefined && countOf(best) > countOf(uuid) ? best : uuid),
    undefined,
  );
}

function notOurs({ file, header }: Candidate): StrangeFile {
  if (header !== undefined) return { file, kind: "foreign", reason: "it belongs to another log" };
  return { file, kind: "unknown-header", reason: "no header in this directory is whole" };
}

/** Reads a log directory through and says what is not as it was written. Rejects with ENOENT when there is none. */
export async function verifyLog(files: Files, directory: string): Promise<LogVerification> {
  const inspection = await inspectLog(files, directory);
  const findings = [
    ...inspection.segments.flatMap(findingsIn),
    ...inspection.segments.flatMap((segment, index) =>
      missingBehind(segment, inspection.segments[index + 1]),
    ),
    ...inspection.strange.map(
      ({ file, kind, reason }): Finding => ({
        kind,
        isLoss: kind === "unreadable",
        file,
        positions: undefined,
        offsets: undefined,
        reason,
      }),
    ),
  ];
  const lostRecords = findings.reduce(
    (sum, { offsets }) => sum + (offsets === undefined ? 0 : offsets[1] - offsets[0]),
    0,
  );
  return {
    directory,
    isWhole: findings.every((finding) => !finding.isLoss),
    findings,
    lostRecords,
    inspection,
  };
}

async function scanHeaders(files: Files, directory: string): Promise<Scan> {
  const candidates: Candidate[] = [];
  const strange: StrangeFile[] = [];
  let spareCount = 0;
  let expiredCount = 0;
  for (const { name: file } of await files.list(directory)) {
    const parsed = parseFileName(file);
    if (parsed.kind === "spare") spareCount += 1;
    if (parsed.kind !== "segment") continue;
    const block = await readHeaderBlock(files, join(directory, file));
    if (block === undefined) {
      expiredCount += 1;
      continue;
    }
    const decoded = decodeSegmentHeader(block);
    if (decoded.kind === "unsupported")
      strange.push({ file, kind: "unsupported", reason: decoded.reason });
    else if (decoded.kind === "valid")
      candidates.push({
        file,
        segmentId: decoded.header.segmentId,
        baseOffset: decoded.header.baseOffset,
        header: decoded.header,
      });
    else
      candidates.push({
        file,
        segmentId: parsed.segmentId,
        baseOffset: parsed.baseOffset,
        header: undefined,
      });
  }
  const inOrder = candidates.toSorted((a, b) => a.segmentId - b.segmentId);
  return { candidates: inOrder, strange, spareCount, expiredCount };
}

/** The header block, or undefined when the file is gone. One that cannot be read is as good as damaged. */
async function readHeaderBlock(files: Files, path: string): Promise<Uint8Array | undefined> {
  try {
    return (await readBlock(files, path, 0)) ?? new Uint8Array(0);
  } catch (error) {
    return codeOf(error) === "ENOENT" ? undefined : new Uint8Array(0);
  }
}

/** How to read a segment; what its successor holds counts there. */
function lifeOf(
  { segmentId, baseOffset, header }: Candidate,
  logUuid: Uint8Array,
  offsetMax: number,
): SegmentLife {
  return {
    segmentId,
    baseOffset,
    offsetMax,
    epoch: header?.epoch ?? 0,
    salt: saltOf(segmentId, logUuid),
  };
}

function inspectionOf(
  { file, header }: Candidate,
  life: SegmentLife,
  inspected: { readonly content: SegmentContent; readonly fileBytes: number },
): SegmentInspection {
  const { segmentId, baseOffset } = life;
  const { content, fileBytes } = inspected;
  return {
    file,
    segmentId,
    baseOffset,
    fileBytes,
    epoch: header?.epoch,
    createdWallMs: header?.createdWallMs,
    content,
  };
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

function findingsIn({ file, epoch, content }: SegmentInspection): readonly Finding[] {
  const damaged = content.damaged.map(({ fromPosition, toPosition, from, to }): Finding => {
    const isLoss = to > from;
    return {
      kind: isLoss ? "damaged-records" : "damaged-table",
      isLoss,
      file,
      positions: [fromPosition, toPosition],
      offsets: isLoss ? [from, to] : undefined,
      reason: isLoss
        ? `${to - from} records cannot be read`
        : "an entry without records is damaged",
    };
  });
  const header: Finding = {
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
): readonly Finding[] {
  const [from, to] = [content.endOffset, next?.baseOffset ?? content.endOffset];
  if (to <= from) return [];
  const reason = `the next segment begins at ${to}, this one ends at ${from}`;
  return [
    {
      kind: "missing-records",
      isLoss: true,
      file,
      positions: undefined,
      offsets: [from, to],
      reason,
    },
  ];
}
