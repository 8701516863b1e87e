/**
 * The tables at the head of a segment, and names that come later. Each is written twice:
 * a single damaged block must not cost the records that the tables name.
 */
import { type Channel, type ChannelTable, nameRow } from "./channels.ts";
import { ENTRY_TYPE } from "./entry.ts";
import type { Segment } from "./segment.ts";
import { type EntryStamp, type SegmentWriter, tablesDiskBytes } from "./segment-writer.ts";
import { encodeKeys, encodeNames, encodePositions, type KeyRow } from "./tables.ts";

/** Bodies of the head's entries, and the channels they name. */
export interface HeadTables {
  readonly channels: readonly Channel[];
  readonly names: readonly Uint8Array[];
  readonly positions: readonly Uint8Array[];
  /** None without keys. */
  readonly keys: readonly Uint8Array[];
  readonly diskBytes: number;
}

/** The tables as they are now. */
export function encodeHead(table: ChannelTable, keyRows: readonly KeyRow[]): HeadTables {
  const { channels, names: nameRows, positions: positionRows } = table.tables();
  const names = encodeNames(nameRows);
  const positions = encodePositions(positionRows);
  const keys = keyRows.length === 0 ? [] : encodeKeys(keyRows);
  const diskBytes = 2 * tablesDiskBytes([...names, ...positions, ...keys]);
  return { channels, names, positions, keys, diskBytes };
}

/**
 * Writes the tables as the first entries of a segment: durable before its first record, so that it
 * reads alone.
 */
export async function writeHead(
  writer: SegmentWriter,
  tables: HeadTables,
  stamp: EntryStamp,
): Promise<void> {
  const names = tables.names.map((body) => ({ type: ENTRY_TYPE.names, body }));
  const positions = tables.positions.map((body) => ({ type: ENTRY_TYPE.positions, body }));
  const keys = tables.keys.map((body) => ({ type: ENTRY_TYPE.keys, body }));
  await writeTwice(writer, [...names, ...positions, ...keys], stamp);
  announce(writer.segment, tables.channels);
}

/** What {@link writeNames} takes on disk. */
export function namesDiskBytes(channels: readonly Channel[]): number {
  return channels.length === 0 ? 0 : 2 * tablesDiskBytes(encodeNames(channels.map(nameRow)));
}

/**
 * Names channels in a write of its own before their first records. In one write with them a torn
 * one could leave the records and lose the names; then the records would prove the names durable by
 * the rule of recovery.
 */
export async function writeNames(
  writer: SegmentWriter,
  channels: readonly Channel[],
  stamp: EntryStamp,
): Promise<void> {
  const names = encodeNames(channels.map(nameRow)).map((body) => ({
    type: ENTRY_TYPE.names,
    body,
  }));
  await writeTwice(writer, names, stamp);
  announce(writer.segment, channels);
}

/** In two writes: one that is lost or lands elsewhere must not take both copies with it. */
async function writeTwice(
  writer: SegmentWriter,
  tables: Parameters<SegmentWriter["writeTables"]>[0],
  stamp: EntryStamp,
): Promise<void> {
  await writer.writeTables(tables, stamp);
  await writer.writeTables(tables, stamp);
}

/** Notes that a segment names these channels. */
function announce(segment: Segment, channels: readonly Channel[]): void {
  for (const channel of channels) {
    channel.announcedIn = segment.identity.segmentId;
    segment.names.set(channel.id, { receiver: channel.receiver, channel: channel.name });
  }
}
