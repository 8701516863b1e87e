/**
 * Bodies of the entries that hold no records. Each segment begins with its tables, durable before
 * its first DATA entry, so that it reads alone and opening the log needs no scan of the backlog.
 *
 * ```
 * every table: u32 count, u32 more (1: the table goes on in the next entry), then per row, padded to 8:
 *   NAMES      u32 channel id, u16 receiver bytes, u16 channel bytes, receiver, channel (UTF-8)
 *   POSITIONS  u32 channel id, u32 position bytes, position
 *   KEYS       key hash 16, body hash 16, u64 first offset, u32 record count, u32 0, u64 wall ms
 * SEAL: u64 base offset, u64 end offset, u64 end position, u64 entry count, u64 first time, u64 last time
 * ```
 */
import { padTo8, readU64, viewOf, writeU64 } from "./format.ts";

/** A table is split into entries whose bodies are about this long at most. */
export const TABLE_BODY_BYTES: number = 256 * 1024;
/** Longest receiver or channel name in UTF-8. */
export const NAME_BYTES_MAX = 1024;
export const SEAL_BODY_BYTES = 48;
const TABLE_HEADER_BYTES = 8;
const KEY_ROW_BYTES = 56;
const HASH_BYTES = 16;

/** A row of NAMES. Ids are never given to another channel. */
export interface NameRow {
  readonly channelId: number;
  readonly receiver: string;
  readonly channel: string;
}

/** A row of POSITIONS: the newest position of a channel that was durable when the segment began. */
export interface PositionRow {
  readonly channelId: number;
  readonly position: Uint8Array;
}

/** A row of KEYS: what was stored under an idempotency key. */
export interface KeyRow {
  readonly keyHash: Uint8Array;
  readonly bodyHash: Uint8Array;
  readonly firstOffset: number;
  readonly recordCount: number;
  readonly wallMs: number;
}

/** A decoded table, or a part of one. */
export interface Table<Row> {
  readonly rows: readonly Row[];
  /** The next entry of this type goes on with it. */
  readonly more: boolean;
}

/** What a SEAL says about its segment. */
export interface Seal {
  readonly baseOffset: number;
  readonly endOffset: number;
  /** Behind the last entry, in bytes from the start of the file. */
  readonly endPosition: number;
  readonly entryCount: number;
  readonly firstTimeMs: number;
  readonly lastTimeMs: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Bodies of the NAMES entries: at least one, also for no rows. */
export function encodeNames(rows: readonly NameRow[]): Uint8Array[] {
  return encodeTable(
    rows.map((row) => {
      const receiver = encoder.encode(row.receiver);
      const channel = encoder.encode(row.channel);
      const bytes = new Uint8Array(padTo8(8 + receiver.length + channel.length));
      const view = viewOf(bytes);
      view.setUint32(0, row.channelId, true);
      view.setUint16(4, receiver.length, true);
      view.setUint16(6, channel.length, true);
      bytes.set(receiver, 8);
      bytes.set(channel, 8 + receiver.length);
      return bytes;
    }),
  );
}

/** Bodies of the POSITIONS entries: at least one, also for no rows. */
export function encodePositions(rows: readonly PositionRow[]): Uint8Array[] {
  return encodeTable(
    rows.map((row) => {
      const bytes = new Uint8Array(padTo8(8 + row.position.length));
      const view = viewOf(bytes);
      view.setUint32(0, row.channelId, true);
      view.setUint32(4, row.position.length, true);
      bytes.set(row.position, 8);
      return bytes;
    }),
  );
}

/** Bodies of the KEYS entries: at least one, also for no rows. */
export function encodeKeys(rows: readonly KeyRow[]): Uint8Array[] {
  return encodeTable(
    rows.map((row) => {
      const bytes = new Uint8Array(KEY_ROW_BYTES);
      const view = viewOf(bytes);
      bytes.set(row.keyHash, 0);
      bytes.set(row.bodyHash, HASH_BYTES);
      writeU64(view, 32, row.firstOffset);
      view.setUint32(40, row.recordCount, true);
      writeU64(view, 48, row.wallMs);
      return bytes;
    }),
  );
}

/** How many rows of KEYS fit in so many bytes. */
export function keyRowsIn(bytes: number): number {
  return Math.max(1, Math.floor((bytes - TABLE_HEADER_BYTES) / KEY_ROW_BYTES));
}

/** Bytes that a row of NAMES takes. */
export function nameRowBytes(receiver: string, channel: string): number {
  return padTo8(8 + encoder.encode(receiver).length + encoder.encode(channel).length);
}

function encodeTable(rows: readonly Uint8Array[]): Uint8Array[] {
  const parts: Uint8Array[][] = [[]];
  let partBytes = 0;
  for (const row of rows) {
    if (partBytes > 0 && partBytes + row.length > TABLE_BODY_BYTES) {
      parts.push([]);
      partBytes = 0;
    }
    parts.at(-1)?.push(row);
    partBytes += row.length;
  }
  return parts.map((part, index) => encodePart(part, index < parts.length - 1));
}

function encodePart(rows: readonly Uint8Array[], more: boolean): Uint8Array {
  const bytes = new Uint8Array(rows.reduce((sum, row) => sum + row.length, TABLE_HEADER_BYTES));
  const view = viewOf(bytes);
  view.setUint32(0, rows.length, true);
  view.setUint32(4, more ? 1 : 0, true);
  let at = TABLE_HEADER_BYTES;
  for (const row of rows) {
    bytes.set(row, at);
    at += row.length;
  }
  return bytes;
}

/** Reads a NAMES body; undefined when its sizes do not add up. */
export function decodeNames(body: Uint8Array): Table<NameRow> | undefined {
  return decodeTable(body, (view, at) => {
    const receiverBytes = view.getUint16(at + 4, true);
    const channelBytes = view.getUint16(at + 6, true);
    const end = at + 8 + receiverBytes + channelBytes;
    if (end > body.length) return undefined;
    const receiver = textOf(body.subarray(at + 8, at + 8 + receiverBytes));
    const channel = textOf(body.subarray(at + 8 + receiverBytes, end));
    if (receiver === undefined || channel === undefined) return undefined;
    return {
      row: { channelId: view.getUint32(at, true), receiver, channel },
      next: at + padTo8(end - at),
    };
  });
}

/** Reads a POSITIONS body; undefined when its sizes do not add up. */
export function decodePositions(body: Uint8Array): Table<PositionRow> | undefined {
  return decodeTable(body, (view, at) => {
    const end = at + 8 + view.getUint32(at + 4, true);
    if (end > body.length) return undefined;
    return {
      row: { channelId: view.getUint32(at, true), position: body.slice(at + 8, end) },
      next: at + padTo8(end - at),
    };
  });
}

/** Reads a KEYS body; undefined when its sizes do not add up. */
export function decodeKeys(body: Uint8Array): Table<KeyRow> | undefined {
  return decodeTable(body, (view, at) => {
    if (at + KEY_ROW_BYTES > body.length) return undefined;
    const row = {
      keyHash: body.slice(at, at + HASH_BYTES),
      bodyHash: body.slice(at + HASH_BYTES, at + 2 * HASH_BYTES),
      firstOffset: readU64(view, at + 32),
      recordCount: view.getUint32(at + 40, true),
      wallMs: readU64(view, at + 48),
    };
    return { row, next: at + KEY_ROW_BYTES };
  });
}

function decodeTable<Row>(
  body: Uint8Array,
  decodeRow: (
    view: DataView,
    at: number,
  ) => { readonly row: Row; readonly next: number } | undefined,
): Table<Row> | undefined {
  if (body.length < TABLE_HEADER_BYTES) return undefined;
  const view = viewOf(body);
  const count = view.getUint32(0, true);
  const rows: Row[] = [];
  let at = TABLE_HEADER_BYTES;
  while (rows.length < count) {
    // A row has at least 8 bytes, so a count that lies ends the loop at the end of the body.
    const decoded = at + 8 <= body.length ? decodeRow(view, at) : undefined;
    if (decoded === undefined) return undefined;
    rows.push(decoded.row);
    at = decoded.next;
  }
  return at === body.length ? { rows, more: view.getUint32(4, true) === 1 } : undefined;
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    // Not UTF-8: the caller treats the table as damaged.
    return undefined;
  }
}

/** The body of a SEAL. */
export function encodeSeal(seal: Seal): Uint8Array {
  const bytes = new Uint8Array(SEAL_BODY_BYTES);
  const view = viewOf(bytes);
  const numbers = [
    seal.baseOffset,
    seal.endOffset,
    seal.endPosition,
    seal.entryCount,
    seal.firstTimeMs,
    seal.lastTimeMs,
  ];
  for (const [index, value] of numbers.entries()) writeU64(view, index * 8, value);
  return bytes;
}

/** Reads the body of a SEAL; undefined when it is too short or no number fits. */
export function decodeSeal(body: Uint8Array): Seal | undefined {
  if (body.length < SEAL_BODY_BYTES) return undefined;
  const view = viewOf(body);
  const seal: Seal = {
    baseOffset: readU64(view, 0),
    endOffset: readU64(view, 8),
    endPosition: readU64(view, 16),
    entryCount: readU64(view, 24),
    firstTimeMs: readU64(view, 32),
    lastTimeMs: readU64(view, 40),
  };
  return seal.baseOffset <= seal.endOffset && seal.endPosition >= 0 ? seal : undefined;
}
