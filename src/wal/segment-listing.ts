/**
 * The segments in a log's directory as another process finds them: their headers, whose they are, and how
 * to read each. Reads only and takes no lock.
 */
import { join } from "node:path";

import type { LogFloor, LogGap } from "../contract/log.ts";
import { codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";
import {
  decodeSegmentHeader,
  parseFileName,
  sameBytes,
  saltOf,
  type SegmentHeader,
} from "./format.ts";
import type { SegmentLife } from "./inspect-segment.ts";
import type { FoundLedger } from "./ledger-recovery.ts";
import { logOf, nextOffsetMin } from "./ledger-state.ts";
import { hasEntriesOf } from "./segment-candidate.ts";
import { readBlock } from "./segment-scan.ts";

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
    const block = await readHeaderBlock(files, join(directory, file));
    if (block === undefined) {
      expiredCount += 1;
      continue;
    }
    const decoded = decodeSegmentHeader(block);
    if (decoded.kind === "unsupported")
      strange.push({ file, kind: "unsupported", reason: decoded.reason });
    else
      candidates.push(
        await candidateOf(files, join(directory, file), { file, ...parsed, decoded }),
      );
  }
  const inOrder = candidates.toSorted((a, b) => a.segmentId - b.segmentId);
  return { candidates: inOrder, strange, spareCount, expiredCount };
}

async function candidateOf(
  files: Files,
  path: string,
  {
    file,
    segmentId,
    baseOffset,
    decoded,
  }: Pick<Candidate, "file" | "segmentId" | "baseOffset"> & {
    readonly decoded:
      | { readonly kind: "valid"; readonly header: SegmentHeader }
      | { readonly kind: "invalid" };
  },
): Promise<Candidate> {
  const named = { file, segmentId, baseOffset, header: undefined };
  if (decoded.kind === "invalid") return named;
  const { header } = decoded;
  const life = { segmentId, salt: saltOf(segmentId, header.logUuid) };
  // A recycled file whose new header never arrived is what its first entries say.
  if (header.segmentId !== segmentId && (await hasEntriesOf(files, path, life))) return named;
  return { file, segmentId: header.segmentId, baseOffset: header.baseOffset, header };
}

/** The header block, or undefined when the file is gone. One that cannot be read is as good as damaged. */
async function readHeaderBlock(files: Files, path: string): Promise<Uint8Array | undefined> {
  try {
    return (await readBlock(files, path, 0)) ?? new Uint8Array(0);
  } catch (error) {
    return codeOf(error) === "ENOENT" ? undefined : new Uint8Array(0);
  }
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
  const behind = around.slice(index + 1).find((next) => !isSamePlace(candidate, next));
  const salt = saltOf(segmentId, logUuid);
  const life = {
    segmentId,
    baseOffset,
    salt,
    epoch: header?.epoch ?? 0,
    capacityBytes: header?.capacityBytes,
    offsetMax: behind === undefined ? Infinity : endBefore(behind, salt),
  };
  return { file, header, life, isCopy: before !== undefined && isSamePlace(before, candidate) };
}

/** Whether both begin at one offset behind the same segment: then one is a copy of the other. */
function isSamePlace({ header: one }: Candidate, { header: other }: Candidate): boolean {
  return (
    one !== undefined &&
    one.baseOffset === other?.baseOffset &&
    one.previousSalt === other.previousSalt
  );
}

/** Where the segment with this salt ends at most. */
function endBefore({ header, baseOffset }: Candidate, salt: number): number {
  return header?.previousSalt === salt ? header.previousEnd : baseOffset;
}
