/**
 * Dead letters as they lie on disk, newest first. Reads only and takes no lock: an instance may run
 * meanwhile.
 */
import { basename, dirname, join } from "node:path";
import { lettersOf, type StoredLetter } from "../dead-letters.ts";
import { codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";
import { decodeData, storedBlock } from "../wal/block-codec.ts";
import { bodyIsValid, decodeEntryHeader, ENTRY_TYPE, entryDiskBytes } from "../wal/entry.ts";
import {
  ALIGNMENT_BYTES,
  decodeSegmentHeader,
  saltOf,
  SEGMENT_HEADER_BYTES,
} from "../wal/format.ts";
import { readKnownLog } from "./log-ledger.ts";
import { inspectLog, type SegmentInspection } from "../wal/inspect.ts";

const LETTERS = { receiver: "dead-letters", channel: "" };

/** Which letters are wanted. */
export interface LetterQuery {
  /** Pipeline or receiver that set them aside; undefined for all. */
  readonly unit: string | undefined;
  readonly countMax: number;
}

/** The newest letters of a dead-letter log; none when there is no such log. */
export async function newestLetters(
  files: Files,
  directory: string,
  query: LetterQuery,
): Promise<readonly StoredLetter[]> {
  const found: StoredLetter[] = [];
  for (const { file, content } of (await segments(files, directory)).toReversed()) {
    const letters = await segmentLetters(files, join(directory, file), content.endPosition);
    const wanted = letters.filter(({ unit }) => query.unit === undefined || unit === query.unit);
    found.push(...wanted.toReversed());
    if (found.length >= query.countMax) break;
  }
  return found.slice(0, query.countMax);
}

/** Segments in offset order. */
async function segments(files: Files, directory: string): Promise<readonly SegmentInspection[]> {
  try {
    const known = await readKnownLog(files, dirname(directory), basename(directory));
    return (await inspectLog(files, directory, known)).segments;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** What lies behind `endPosition` is not known to be durable. */
async function segmentLetters(
  files: Files,
  path: string,
  endPosition: number,
): Promise<readonly StoredLetter[]> {
  const bytes = (await readOrNothing(files, path)).subarray(0, endPosition);
  const segment = decodeSegmentHeader(bytes.subarray(0, SEGMENT_HEADER_BYTES));
  if (segment.kind !== "valid") return [];
  const salt = saltOf(segment.header.segmentId, segment.header.logUuid);
  const letters: StoredLetter[] = [];
  for (let position = SEGMENT_HEADER_BYTES; position < bytes.length; ) {
    const header = decodeEntryHeader(bytes, position, salt);
    const isWhole = header !== undefined && bodyIsValid(bytes, position, header, salt);
    if (isWhole && header.type === ENTRY_TYPE.data)
      letters.push(...entryLetters(bytes, position, header));
    // Behind damage, and behind the end, the next aligned block may begin an entry.
    position += isWhole ? entryDiskBytes(header.entryBytes) : ALIGNMENT_BYTES;
  }
  return letters;
}

function entryLetters(
  bytes: Uint8Array,
  position: number,
  header: NonNullable<ReturnType<typeof decodeEntryHeader>>,
): readonly StoredLetter[] {
  const body = decodeData(bytes, position, header);
  const blocks = body?.blocks ?? [];
  return body === undefined
    ? []
    : blocks.flatMap((head) =>
        lettersOf(storedBlock(body, head, LETTERS, { from: 0, to: head.count })),
      );
}

/** A segment may be recycled between listing and reading: then its letters are gone by right. */
async function readOrNothing(files: Files, path: string): Promise<Uint8Array> {
  try {
    return await files.readFile(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return new Uint8Array(0);
    throw error;
  }
}
