/**
 * What lies in the segment files, by their bytes alone: what damage may destroy, and what proves that it was there.
 */
import type { SimulatedDisk } from "../../../src/testing/disk.ts";
import {
  bodyIsValid,
  decodeEntryHeader,
  ENTRY_TYPE,
  entryDiskBytes,
  type EntryHeader,
} from "../../../src/wal/entry.ts";
import { ALIGNMENT_BYTES, parseFileName, saltOf } from "../../../src/wal/format.ts";
import { DIRECTORY, UUID } from "../log-scene.ts";

/** An entry whose checksums are right. */
export interface EntryOnDisk {
  readonly path: string;
  readonly position: number;
  readonly diskBytes: number;
  readonly header: EntryHeader;
}

/** A half-open range of offsets. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export function isIn(offset: number, spans: readonly Span[]): boolean {
  return spans.some(({ from, to }) => offset >= from && offset < to);
}

/** All entries of the segments' present lives. */
export function entriesOnDisk(disk: SimulatedDisk): readonly EntryOnDisk[] {
  return disk
    .paths()
    .filter((path) => path.startsWith(`${DIRECTORY}/seg-`))
    .flatMap((path) => entriesIn(disk, path));
}

function entriesIn(disk: SimulatedDisk, path: string): readonly EntryOnDisk[] {
  const name = parseFileName(path.slice(DIRECTORY.length + 1));
  if (name.kind !== "segment") return [];
  const salt = saltOf(name.segmentId, UUID);
  const bytes = disk.contents(path);
  const found: EntryOnDisk[] = [];
  for (let position = ALIGNMENT_BYTES; position < bytes.length; ) {
    const header = decodeEntryHeader(bytes, position, salt);
    if (header === undefined || !bodyIsValid(bytes, position, header, salt)) {
      position += ALIGNMENT_BYTES;
      continue;
    }
    const diskBytes = entryDiskBytes(header.entryBytes);
    found.push({ path, position, diskBytes, header });
    position += diskBytes;
  }
  return found;
}

/** Offsets of the records in these entries. */
export function recordsOf(entries: readonly EntryOnDisk[]): readonly Span[] {
  return entries
    .filter(({ header }) => header.type === ENTRY_TYPE.data)
    .map(({ header }) => ({
      from: header.firstOffset,
      to: header.firstOffset + header.recordCount,
    }));
}

/** Offsets of the records whose entries these bytes are part of. */
export function offsetsAt(
  entries: readonly EntryOnDisk[],
  {
    path,
    position,
    bytes,
  }: { readonly path: string; readonly position: number; readonly bytes: number },
): readonly Span[] {
  return recordsOf(
    entries.filter(
      (entry) =>
        entry.path === path &&
        position < entry.position + entry.header.entryBytes &&
        position + bytes > entry.position,
    ),
  );
}

/** Everything below was on disk for certain: some entry that is whole says so, or lies behind it. */
export function provenEnd(entries: readonly EntryOnDisk[]): number {
  return Math.max(
    0,
    ...entries.map(({ header }) => Math.max(header.durableEnd, header.firstOffset)),
  );
}
