/**
 * What the header block of a segment's file says, and whether it is to be believed: the same for an opening, for
 * tools, and for readers in other processes.
 */
import { codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";
import { decodeEntryHeader } from "./entry.ts";
import {
  ALIGNMENT_BYTES,
  type DecodedSegmentHeader,
  decodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  saltOf,
} from "./format.ts";
import { readBlock } from "./segment-scan.ts";

/** Blocks behind the header in which a segment's first tables lie, if it has any. */
const HEAD_BLOCKS = 4;

/**
 * The header block of a file; one that cannot be read counts as damaged. `gone`: there is no such file. Rejects when it
 * cannot be opened for another reason.
 */
export async function readHeader(
  files: Files,
  path: string,
): Promise<DecodedSegmentHeader | { readonly kind: "gone" }> {
  try {
    const block = await readBlock(files, path, 0);
    return block === undefined
      ? { kind: "invalid", reason: "it cannot be read" }
      : decodeSegmentHeader(block);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return { kind: "gone" };
    throw cause;
  }
}

/**
 * Whether a header is of an earlier life than the file's name and first entries: then the write of its own was lost,
 * and the name tells what the file holds. In any other case the header wins over the name.
 */
export async function isOfEarlierLife(
  files: Files,
  path: string,
  {
    header,
    segmentId,
    logUuid,
  }: {
    readonly header: SegmentHeader;
    readonly segmentId: number;
    readonly logUuid: Uint8Array;
  },
): Promise<boolean> {
  if (header.segmentId === segmentId) return false;
  const salt = saltOf(segmentId, logUuid);
  for (let block = 0; block < HEAD_BLOCKS; block += 1) {
    const bytes = await readBlock(files, path, SEGMENT_HEADER_BYTES + block * ALIGNMENT_BYTES);
    const entry = bytes && decodeEntryHeader(bytes, 0, salt);
    if (entry?.segmentIdLow === segmentId % 2 ** 32) return true;
  }
  return false;
}

/**
 * Whether the file of a segment has begun a later life or is gone: then what it held was freed, and what looks damaged
 * was overwritten by right. Ids ascend, so the header of an earlier life says nothing.
 */
export async function hasExpired(
  files: Files,
  path: string,
  { segmentId }: { readonly segmentId: number },
): Promise<boolean> {
  const found = await readHeader(files, path);
  return found.kind === "gone" || (found.kind === "valid" && found.header.segmentId > segmentId);
}

/**
 * Whether a segment begins where another one does, behind the same predecessor: one is a copy of the other. False where
 * a header is not known.
 */
export function isSamePlace(
  one: SegmentHeader | undefined,
  other: SegmentHeader | undefined,
): boolean {
  return (
    one !== undefined &&
    one.baseOffset === other?.baseOffset &&
    one.previousSalt === other.previousSalt
  );
}
