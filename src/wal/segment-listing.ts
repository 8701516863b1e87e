/**
 * The segments in a log's directory as another process finds them: their headers, whose they are, and how
 * to read each. Reads only and takes no lock.
 */
import { join } from "node:path";

import type { LogFloor, LogGap } from "../contract/log.ts";
import { codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";
import {
  type DecodedSegmentHeader,
  parseFileName,
  sameBytes,
  saltOf,
  type SegmentHeader,
} from "./format.ts";
import { isOfEarlierLife, isSamePlace, readHeader } from "./header-reading.ts";
import type { SegmentLife } from "./inspect-segment.ts";
import type { FoundLedger } from "./ledger-recovery.ts";
import { logOf, nextOffsetMin } from "./ledger-state.ts";

/** What the ledger knows of a log that its files alone do not show. */
export interface KnownLog {
  /** Undefined where the ledger is lost: then the segments decide whose directory it is. */
  readonly logUuid: Uint8Array | undefined;
  readonly floor: LogFloor | undefined;
  /** Offsets below were durable when the ledger was read. */
  readonly provenEnd: number;
  /** Ranges that are lost and told already. */
  readonly gaps: readonly LogGap[];
}

/** Without a ledger. */
export const NOTHING_KNOWN: KnownLog = {
  logUuid: undefined,
  floor: undefined,
  provenEnd: 0,
  gaps: [],
};

/** What a ledger knows of one of its logs: `log` or `dead-letters`. */
export function knownLog({ logUuid, state }: FoundLedger, log: string): KnownLog {
  const { floor, gaps } = logOf(state, log);
  return { logUuid, floor, gaps, provenEnd: nextOffsetMin(state, log) };
}

/** A file that is no readable segment of this log, and why. */
export interface StrangeFile {
  readonly file: string;
  readonly kind: "foreign" | "unsupported" | "unreadable" | "unknown-header";
  readonly reason: string;
}

/** A segment before it is read. */
export interface ListedSegment {
  readonly file: string;
  /** Undefined when the header block is damaged: name and neighbours stand in for it. */
  readonly header: SegmentHeader | undefined;
  readonly life: SegmentLife;
  /**
   * An opening has begun to copy the segment before into this one, or had when it was killed. While both are
   * there the old one counts, unless it is empty.
   */
  readonly isCopy: boolean;
}

/** The directory. */
export interface Listing {
  /** In the order of their birth. */
  readonly segments: readonly ListedSegment[];
  readonly strange: readonly StrangeFile[];
  readonly spareCount: number;
  /** Files that were recycled or removed since the directory was read. */
  readonly expiredCount: number;
}

interface Candidate {
  readonly file: string;
  readonly segmentId: number;
  readonly baseOffset: number;
  readonly header: SegmentHeader | undefined;
}

/** Lists a log's directory. Rejects with ENOENT when there is none. */
export async function listSegments(
  files: Files,
  directory: string,
  known: KnownLog,
): Promise<Listing> {
  const { candidates, ...scan } = await scanHeaders(files, directory);
  const logUuid = known.logUuid ?? prevailingUuid(candidates);
  const isOurs = ({ header }: Candidate): boolean =>
    logUuid !== undefined && (header === undefined || sameBytes(header.logUuid, logUuid));
  // Below the floor everything is free: the file only waits to be used again.
  const live = candidates.filter(({ segmentId }) => segmentId >= (known.floor?.segmentId ?? 0));
  const ours = live.filter(isOurs);
  return {
    ...scan,
    segments: ours.map((candidate, index) =>
      listed(
        candidate,
        logUuid ?? new Uint8Array(0),
        ours.slice(Math.max(0, index - 1), index + 3),
      ),
    ),
    strange: [...scan.strange, ...live.filter((each) => !isOurs(each)).map(notOurs)],
  };
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

async function scanHeaders(
  files: Files,
  directory: string,
): Promise<Omit<Listing, "segments"> & { readonly candidates: readonly Candidate[] }> {
  const candidates: Candidate[] = [];
  const strange: StrangeFile[] = [];
  let spareCount = 0;
  let expiredCount = 0;
  for (const { name: file } of await files.list(directory)) {
    const parsed = parseFileName(file);
    if (parsed.kind === "spare") spareCount += 1;
    if (parsed.kind !== "segment") continue;
    const path = join(directory, file);
    const found = await readHeaderOr(files, path);
    if (found.kind === "gone") expiredCount += 1;
    else if (found.kind === "unsupported")
      strange.push({ file, kind: "unsupported", reason: found.reason });
    else candidates.push(await candidateOf(files, path, { file, ...parsed, found }));
  }
  const inOrder = candidates.toSorted((a, b) => a.segmentId - b.segmentId);
  return { candidates: inOrder, strange, spareCount, expiredCount };
}

/** As {@link readHeader}; a file that cannot be opened is as good as damaged: a tool goes on. */
async function readHeaderOr(files: Files, path: string): ReturnType<typeof readHeader> {
  try {
    return await readHeader(files, path);
  } catch (cause) {
    return { kind: "invalid", reason: codeOf(cause) };
  }
}

async function candidateOf(
  files: Files,
  path: string,
  {
    found,
    ...named
  }: Pick<Candidate, "file" | "segmentId" | "baseOffset"> & {
    readonly found: Exclude<DecodedSegmentHeader, { readonly kind: "unsupported" }>;
  },
): Promise<Candidate> {
  const { file, segmentId } = named;
  if (found.kind === "invalid") return { ...named, header: undefined };
  const { header } = found;
  const { logUuid } = header;
  if (await isOfEarlierLife(files, path, { header, segmentId, logUuid }))
    return { ...named, header: undefined };
  return { file, segmentId: header.segmentId, baseOffset: header.baseOffset, header };
}

/** How to read a segment, by what its neighbours say: what its successor holds counts there. */
function listed(
  candidate: Candidate,
  logUuid: Uint8Array,
  around: readonly Candidate[],
): ListedSegment {
  const { file, header, segmentId, baseOffset } = candidate;
  const index = around.indexOf(candidate);
  const before = around[index - 1];
  const behind = around.slice(index + 1).find((next) => !isSamePlace(header, next.header));
  const salt = saltOf(segmentId, logUuid);
  const life = {
    segmentId,
    baseOffset,
    salt,
    epoch: header?.epoch ?? 0,
    capacityBytes: header?.capacityBytes,
    offsetMax: behind === undefined ? Infinity : endBefore(behind, salt),
  };
  return { file, header, life, isCopy: isSamePlace(before?.header, header) };
}

/** Where the segment with this salt ends at most. */
function endBefore({ header, baseOffset }: Candidate, salt: number): number {
  return header?.previousSalt === salt ? header.previousEnd : baseOffset;
}
