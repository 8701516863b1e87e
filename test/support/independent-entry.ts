/**
 * Entries and what is in them, read as docs/format.md says it and with no line of src/wal.
 */
import { crc32 } from "node:zlib";

/** One record, as plain values. */
export interface ReadRecord {
  readonly offset: number;
  readonly receiver: string;
  readonly channel: string;
  readonly value: string;
  readonly receivedAtMs: number;
  readonly key: string;
  readonly timestampMs: number;
  readonly headers: string;
}

/** Entries begin at multiples of this. */
export const BLOCK = 4096;

/** Bytes with the numbers in them. */
export class Bytes {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(at: number): number {
    return this.#view.getUint8(at);
  }

  u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  u64(at: number): number {
    return Number(this.#view.getBigUint64(at, true));
  }

  f64(at: number): number {
    return this.#view.getFloat64(at, true);
  }

  crc(from: number, to: number, seed: number): number {
    return crc32(this.bytes.subarray(from, to), seed);
  }

  text(from: number, to: number): string {
    return Buffer.from(this.bytes.subarray(from, to)).toString();
  }

  hex(from: number, to: number): string {
    return Buffer.from(this.bytes.subarray(from, to)).toString("hex");
  }
}

/** An entry's header. */
export interface Entry {
  readonly type: number;
  readonly bytes: number;
  readonly count: number;
  readonly first: number;
  readonly baseMs: number;
  readonly epoch: number;
  readonly link: number;
  readonly payloadBytes: number;
  readonly blocks: number;
  readonly crc: number;
  readonly isWhole: boolean;
}

/** An entry and where it is in its file. */
export interface PlacedEntry extends Entry {
  readonly at: number;
}

// Checksums and salts, Entry

/** The seed of every checksum in a segment. */
export function saltOf(id: number, uuid: Uint8Array): number {
  return (Math.imul(id, 0x9e3779b1) ^ crc32(uuid, 0)) >>> 0;
}

/** Rounds up. */
export function padded(bytes: number, to: number): number {
  return Math.ceil(bytes / to) * to;
}

/** The entry at a position when its header is right. */
export function entryAt(
  file: Bytes,
  at: number,
  segment: { readonly id: number; readonly salt: number },
): Entry | undefined {
  if (at + BLOCK > file.bytes.length || file.u32(at) !== 0x00314648) return undefined;
  if (file.crc(at, at + 68, segment.salt) !== file.u32(at + 68)) return undefined;
  const entry: Entry = {
    type: file.u8(at + 4),
    bytes: file.u32(at + 8),
    count: file.u32(at + 12),
    first: file.u64(at + 16),
    baseMs: file.u64(at + 32),
    epoch: file.u32(at + 40),
    link: file.u32(at + 56),
    payloadBytes: file.u32(at + 60),
    blocks: file.u32(at + 64),
    crc: file.u32(at + 68),
    isWhole: isBodyWhole(file, at, segment.salt),
  };
  const isKnown = entry.type !== 0 && entry.type !== 255 && file.u8(at + 5) === 0;
  const isInBounds = entry.bytes >= 72 && entry.bytes <= 72 + 8 * 2 ** 20;
  const isOurs = file.u32(at + 44) === segment.id % 2 ** 32;
  return isKnown && isInBounds && isOurs && file.u64(at + 24) <= entry.first ? entry : undefined;
}

function isBodyWhole(file: Bytes, at: number, salt: number): boolean {
  const end = at + file.u32(at + 8);
  return end <= file.bytes.length && file.crc(at + 72, end, salt) === file.u32(at + 52);
}

// Tables and DATA

/** What tables and blocks say about channels, by id. */
export interface Channels {
  readonly names: Map<number, { readonly receiver: string; readonly channel: string }>;
  readonly positions: Map<number, string>;
  /** What stands under an idempotency key, by the hash of the key. */
  readonly keys: Map<string, KeyedRecords>;
}

/** Where the records of a key are. */
export interface KeyedRecords {
  readonly body: string;
  readonly first: number;
  readonly count: number;
}

function readKeys(file: Bytes, entry: PlacedEntry, { keys }: Channels): void {
  const rows = entry.at + 72 + 8;
  for (let at = rows; at < rows + 56 * file.u32(entry.at + 72); at += 56) {
    const body = file.hex(at + 16, at + 32);
    keys.set(file.hex(at, at + 16), { body, first: file.u64(at + 32), count: file.u32(at + 40) });
  }
}

/** Takes the rows of NAMES or POSITIONS. */
function readTable(file: Bytes, entry: PlacedEntry, channels: Channels): void {
  let at = entry.at + 72 + 8;
  for (let row = file.u32(entry.at + 72); row > 0; row -= 1) {
    const [id, text] = [file.u32(at), at + 8];
    if (entry.type === 4) {
      const [middle, end] = [text + file.u16(at + 4), text + file.u16(at + 4) + file.u16(at + 6)];
      const [receiver, channel] = [file.text(text, middle), file.text(middle, end)];
      channels.names.set(id, { receiver, channel });
      at += padded(end - at, 8);
    } else {
      const end = text + file.u32(at + 4);
      channels.positions.set(id, file.hex(text, end));
      at += padded(end - at, 8);
    }
  }
}

/** A column of texts: each with its place, and how far the column reaches. */
function listAt(file: Bytes, at: number, count: number): { texts: string[]; end: number } {
  const start = at + 4 * count;
  const texts: string[] = [];
  let from = start;
  for (let index = 0; index < count; index += 1) {
    const to = start + file.u32(at + 4 * index);
    texts.push(file.text(from, to));
    from = to;
  }
  return { texts, end: at + padded(from - at, 8) };
}

interface Columns {
  readonly keys: readonly string[] | undefined;
  readonly timestampsAt: number | undefined;
  readonly headers: readonly string[] | undefined;
}

function columnsAt(file: Bytes, start: number, has: number, count: number): Columns {
  let at = (has & 8) === 0 ? start : start + 32;
  const keys = (has & 1) === 0 ? undefined : listAt(file, at, count);
  at = keys?.end ?? at;
  const timestampsAt = (has & 2) === 0 ? undefined : at;
  if (timestampsAt !== undefined) at += 8 * count;
  const headers = (has & 4) === 0 ? undefined : listAt(file, at, count);
  return { keys: keys?.texts, timestampsAt, headers: headers?.texts };
}

function readData(file: Bytes, entry: PlacedEntry, channels: Channels): ReadRecord[] {
  const payloads = entry.at + 72;
  const ends = payloads + padded(entry.payloadBytes, 8);
  const times = ends + 4 * entry.count;
  const heads = times + 4 * entry.count;
  const records: ReadRecord[] = [];
  let extras = heads + 32 * entry.blocks;
  for (let head = heads; head < heads + 32 * entry.blocks; head += 32) {
    const [id, count, positionBytes] = [file.u32(head), file.u32(head + 8), file.u32(head + 12)];
    if (positionBytes > 0) channels.positions.set(id, file.hex(extras, extras + positionBytes));
    const columnsStart = extras + padded(positionBytes, 8);
    const columns = columnsAt(file, columnsStart, file.u8(head + 17), count);
    if ((file.u8(head + 17) & 8) !== 0) {
      const [middle, first] = [columnsStart + 16, entry.first + records.length];
      const body = file.hex(middle, middle + 16);
      channels.keys.set(file.hex(columnsStart, middle), { body, first, count });
    }
    const { receiver, channel } = channels.names.get(id) ?? { receiver: "", channel: "" };
    for (let inBlock = 0; inBlock < count; inBlock += 1) {
      const index = records.length;
      const from = index === 0 ? 0 : file.u32(ends + 4 * (index - 1));
      const to = file.u32(ends + 4 * index) - file.u8(head + 16);
      const value = file.hex(payloads + from, payloads + to);
      const receivedAtMs = entry.baseMs + file.u32(times + 4 * index) / 1000;
      const named = { offset: entry.first + index, receiver, channel, value, receivedAtMs };
      records.push({ ...named, ...inColumns(file, columns, inBlock) });
    }
    extras = columnsStart + file.u32(head + 20);
  }
  return records;
}

function inColumns(
  file: Bytes,
  { headers, keys, timestampsAt }: Columns,
  index: number,
): Pick<ReadRecord, "key" | "timestampMs" | "headers"> {
  const timestampMs = timestampsAt === undefined ? Number.NaN : file.f64(timestampsAt + 8 * index);
  return { key: keys?.[index] ?? "", timestampMs, headers: headers?.[index] ?? "" };
}

/** The records of an entry, if it has some; what it says of channels goes to `channels`. */
export function readEntry(file: Bytes, entry: PlacedEntry, channels: Channels): ReadRecord[] {
  if (entry.type === 4 || entry.type === 6) readTable(file, entry, channels);
  if (entry.type === 7) readKeys(file, entry, channels);
  return entry.type === 1 ? readData(file, entry, channels) : [];
}
