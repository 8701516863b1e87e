/**
 * Moves a little used tail to a new segment at opening, so that a series of power cuts does not eat
 * the budget: a file that ended uncleanly is never appended to, and without this each one would
 * cost a whole segment.
 *
 * The order makes it safe. The copy has the base and the predecessor of the old segment, which
 * marks it as one. While both files are there the old one counts, and nothing is acknowledged from
 * the copy. Only when the copy is durable the old file goes, and only when that is durable the copy
 * is appended to.
 */
import { HoldfastError } from "../errors.ts";
import { closeQuietly } from "./close-quietly.ts";
import type { ChannelTable } from "./channels.ts";
import { ENTRY_HEADER_BYTES, ENTRY_TYPE, type EntryHeader } from "./entry.ts";
import { ALIGNMENT_BYTES, alignUp, SEGMENT_HEADER_BYTES } from "./format.ts";
import type { ResolvedLogOptions } from "./log-options.ts";
import { KEYS_SHARE, type KeyTable } from "./keys.ts";
import { encodeHead, type HeadTables, writeHead } from "./segment-head.ts";
import type { SegmentPool } from "./segment-pool.ts";
import type { SegmentWriter } from "./segment-writer.ts";
import { SegmentWindow, type WindowRoom } from "./segment-window.ts";
import type { FoundSegment } from "./survey.ts";
import { decodeNames } from "./tables.ts";

/** A tail that uses more than this share of its segment stays where it is. */
const TAIL_SHARE_MAX = 1 / 4;

/** What copying needs. */
export interface TailCopyParts {
  readonly options: ResolvedLogOptions;
  readonly pool: SegmentPool;
  readonly channels: ChannelTable;
  readonly keys: KeyTable;
  readonly epoch: number;
  readonly room: WindowRoom;
}

/** Whether a segment that ended uncleanly is small and whole enough to be moved. One without records has its tables. */
export function isCopyWorthIt({ header, scan, segment }: FoundSegment): boolean {
  if (
    header === undefined ||
    scan === undefined ||
    scan.damages.length > 0 ||
    scan.verdict.lostTail !== undefined
  )
    return false;
  const usedBytes = segment.end.position - SEGMENT_HEADER_BYTES;
  return usedBytes <= segment.identity.capacityBytes * TAIL_SHARE_MAX;
}

/**
 * Moves the tail and returns the writer of its new segment; undefined when there was no room or it
 * could not be written: then the old file is as it was. Rejects when the old file may or may not be
 * gone: the next opening sees which.
 */
export async function copyTail(
  parts: TailCopyParts,
  found: FoundSegment,
): Promise<SegmentWriter | undefined> {
  const { channels, epoch, keys, options, pool } = parts;
  const { header, segment } = found;
  if (header === undefined) return undefined;
  const keyRows = keys.rows(options.clock.wallMs(), options.segmentBytes * KEYS_SHARE);
  const tables = encodeHead(channels, keyRows);
  const usedBytes = tables.diskBytes + segment.end.position;
  const { baseOffset, previousEnd, previousSalt } = header;
  let copy: SegmentWriter | "full";
  try {
    copy = await pool.take({
      baseOffset,
      epoch,
      previousEnd,
      previousSalt,
      capacityBytesMin: alignUp(usedBytes + SEGMENT_HEADER_BYTES + ALIGNMENT_BYTES),
    });
  } catch {
    // The writer will meet what is wrong when it needs a segment itself, and tell it.
    return undefined;
  }
  if (copy === "full") return undefined;
  if (!(await tryCopy(parts, found, { copy, tables, usedBytes }))) return undefined;
  try {
    // As long as a power cut may bring the old file back, nothing may be acknowledged from the
    // copy.
    if ((await pool.free(segment)) === "freed") return copy;
    throw new HoldfastError("LOG_FAILED", `${parts.options.directory} cannot be synced`);
  } catch (cause) {
    await closeQuietly(copy);
    throw cause;
  }
}

interface Copying {
  readonly copy: SegmentWriter;
  readonly tables: HeadTables;
  readonly usedBytes: number;
}

async function tryCopy(
  parts: TailCopyParts,
  found: FoundSegment,
  { copy, tables, usedBytes }: Copying,
): Promise<boolean> {
  try {
    if ((await copy.makeRoom(usedBytes)) === "ok") {
      await writeHead(copy, tables, stampOf(parts));
      await copyEntries(parts, found, {
        copy,
        named: new Set(tables.channels.map((channel) => channel.id)),
      });
      if (copy.segment.end.offset === found.segment.end.offset) return true;
    }
  } catch {
    // The old file is untouched and is closed like any other that ended uncleanly.
  }
  await closeQuietly(copy);
  await parts.pool.free(copy.segment).catch(() => undefined);
  return false;
}

/** Records, and names that the new head does not hold; other entries say nothing more. */
async function copyEntries(
  parts: TailCopyParts,
  { segment }: FoundSegment,
  { copy, named }: { readonly copy: SegmentWriter; readonly named: ReadonlySet<number> },
): Promise<void> {
  const { directory, files } = parts.options;
  const { fileName, salt } = segment.identity;
  const window = new SegmentWindow(files, `${directory}/${fileName}`, {
    salt,
    limit: segment.end.position,
    ...parts.room,
  });
  try {
    let position = SEGMENT_HEADER_BYTES;
    while (position < segment.end.position) {
      const sighting = await window.look(position, () => true);
      if (sighting.kind === "nothing" || !sighting.isBodyValid) return;
      const { header } = sighting;
      const at = window.indexOf(position);
      if (
        header.type === ENTRY_TYPE.data ||
        (header.type === ENTRY_TYPE.names && addsNames(window.buffer, at, header, named))
      ) {
        await copy.writeCopy(window.buffer, at, header, stampOf(parts));
      }
      position += alignUp(header.entryBytes);
    }
  } finally {
    await window.close();
  }
  for (const [channelId, name] of segment.names) copy.segment.names.set(channelId, name);
}

function addsNames(
  bytes: Uint8Array,
  at: number,
  header: EntryHeader,
  named: ReadonlySet<number>,
): boolean {
  const table = decodeNames(bytes.subarray(at + ENTRY_HEADER_BYTES, at + header.entryBytes));
  return table?.rows.some((row) => !named.has(row.channelId)) ?? false;
}

function stampOf({ epoch, options }: TailCopyParts): {
  readonly epoch: number;
  readonly wallMs: number;
} {
  return { epoch, wallMs: Math.floor(options.clock.wallMs()) };
}
