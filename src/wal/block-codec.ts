/**
 * The body of a DATA entry, read back. Payloads come first, as they came from the socket, because
 * their number is unknown while an entry fills; what describes them follows.
 *
 * ```
 * payloads, delimiters included        | pad to 8
 * valueEnds  u32[recordCount]            exclusive ends in the payloads, delimiters included
 * timeDeltas u32[recordCount]            microseconds after the entry's base receive time
 * block headers, 32 bytes each:
 *   0 u32 channel id   8 u32 record count     16 u8 delimiter bytes   20 u32 column bytes
 *   4 u32 epoch       12 u32 position bytes   17 u8 columns, u16 0    24 u64 0
 * a block without records has a position and no columns
 * per block: position | pad to 8, then each present column | pad to 8:
 *   idempotency: key hash 16, body hash 16
 *   keys: ends u32[count], bytes     timestamps: f64[count]     headers: ends u32[count], bytes
 * ```
 */
import type { Column, Idempotency, StoredBlock } from "../contract/record.ts";
import { ENTRY_HEADER_BYTES, type EntryHeader } from "./entry.ts";
import { padTo8 } from "./format.ts";

/** One block header in the body. */
export const BLOCK_HEADER_BYTES = 32;
/** One record's share behind the payloads: its end and its receive time. */
export const RECORD_OVERHEAD_BYTES = 8;
/** Bits of the columns byte. */
export const COLUMN = { keys: 1, timestamps: 2, headers: 4, idempotency: 8 } as const;
/** The hashes of an idempotency key and its body. */
export const IDEMPOTENCY_BYTES = 32;

const COLUMNS_KNOWN = COLUMN.keys | COLUMN.timestamps | COLUMN.headers | COLUMN.idempotency;

/** Who a channel id stands for. */
export interface ChannelName {
  readonly receiver: string;
  readonly channel: string;
}

/** One block of a body, still without names. */
export interface BlockHead {
  readonly channelId: number;
  readonly epoch: number;
  /** Index of the block's first record in the entry. */
  readonly firstRecord: number;
  readonly count: number;
  readonly delimiterBytes: number;
  readonly columns: number;
  /** Where position and columns are, in bytes from the start of the body. */
  readonly positionStart: number;
  readonly positionBytes: number;
  readonly columnsStart: number;
}

/** A decoded body: views of the buffer it was read into. */
export interface DataBody {
  readonly header: EntryHeader;
  readonly bytes: Uint8Array;
  readonly payloads: Uint8Array;
  readonly valueEnds: Uint32Array;
  readonly timeDeltas: Uint32Array;
  readonly blocks: readonly BlockHead[];
}

/**
 * Whether numbers of this machine lie in memory as they lie in the file: columns are viewed in
 * place.
 */
export const LITTLE_ENDIAN: boolean = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/**
 * Decodes the body of the DATA entry at `bytes[at]`, whose checksums were found right. Undefined
 * when its inner sizes do not add up: no read goes beyond the entry whatever it says.
 */
export function decodeData(
  bytes: Uint8Array,
  at: number,
  header: EntryHeader,
): DataBody | undefined {
  const body = bytes.subarray(at + ENTRY_HEADER_BYTES, at + header.entryBytes);
  const endsStart = padTo8(header.payloadBytes);
  const headsStart = endsStart + header.recordCount * RECORD_OVERHEAD_BYTES;
  const extrasStart = headsStart + header.blockCount * BLOCK_HEADER_BYTES;
  if (extrasStart > body.length) return undefined;
  const blocks = decodeHeads(body, headsStart, extrasStart, header);
  if (blocks === undefined) return undefined;
  return {
    header,
    bytes: body,
    payloads: body.subarray(0, header.payloadBytes),
    valueEnds: uint32View(body, endsStart, header.recordCount),
    timeDeltas: uint32View(body, endsStart + header.recordCount * 4, header.recordCount),
    blocks,
  };
}

function decodeHeads(
  body: Uint8Array,
  headsStart: number,
  extrasStart: number,
  header: EntryHeader,
): BlockHead[] | undefined {
  const words = uint32View(body, headsStart, header.blockCount * 8);
  const heads: BlockHead[] = [];
  let firstRecord = 0;
  let extras = extrasStart;
  for (let word = 0; word < words.length; word += 8) {
    const head = headAt(words, word, { firstRecord, extras });
    if (head === undefined) return undefined;
    heads.push(head);
    firstRecord += head.count;
    extras = head.columnsStart + (words[word + 5] ?? 0);
  }
  return firstRecord === header.recordCount && extras === body.length ? heads : undefined;
}

function headAt(
  words: Uint32Array,
  word: number,
  start: { readonly firstRecord: number; readonly extras: number },
): BlockHead | undefined {
  const count = words[word + 2] ?? 0;
  const positionBytes = words[word + 3] ?? 0;
  const columns = ((words[word + 4] ?? 0) >>> 8) & 0xff;
  const columnBytes = words[word + 5] ?? 0;
  const isEmpty = count === 0 && (positionBytes === 0 || columns !== 0);
  if (isEmpty || !isColumnBytes(columnBytes, columns, count)) return undefined;
  return {
    channelId: words[word] ?? 0,
    epoch: words[word + 1] ?? 0,
    firstRecord: start.firstRecord,
    count,
    delimiterBytes: (words[word + 4] ?? 0) & 0xff,
    columns,
    positionStart: start.extras,
    positionBytes,
    columnsStart: start.extras + padTo8(positionBytes),
  };
}

function isColumnBytes(bytes: number, columns: number, count: number): boolean {
  return bytes % 8 === 0 && bytes >= columnBytesMin(columns, count);
}

/** Unknown columns would come with a feature bit, so they mean damage: no size is enough. */
function columnBytesMin(columns: number, count: number): number {
  if ((columns & ~COLUMNS_KNOWN) !== 0) return Infinity;
  const lists = (columns & COLUMN.keys ? 1 : 0) + (columns & COLUMN.headers ? 1 : 0);
  return (
    lists * count * 4 +
    (columns & COLUMN.timestamps ? count * 8 : 0) +
    (columns & COLUMN.idempotency ? IDEMPOTENCY_BYTES : 0)
  );
}

/** The position of a block: a view, undefined when it has none. */
export function positionOf(body: DataBody, head: BlockHead): Uint8Array | undefined {
  return head.positionBytes === 0
    ? undefined
    : body.bytes.subarray(head.positionStart, head.positionStart + head.positionBytes);
}

/** The hashes of a block's idempotency key and body: copies, undefined when it has none. */
export function idempotencyOf(body: DataBody, head: BlockHead): Idempotency | undefined {
  if ((head.columns & COLUMN.idempotency) === 0) return undefined;
  const at = head.columnsStart;
  const middle = at + IDEMPOTENCY_BYTES / 2;
  return {
    keyHash: body.bytes.slice(at, middle),
    bodyHash: body.bytes.slice(middle, at + IDEMPOTENCY_BYTES),
  };
}

/**
 * The records `[fromRecord, toRecord)` of a block, counted in the block, as readers get them. Views
 * into the buffer; only column ends of a block that is cut in front are copied, because they count
 * from 0.
 */
export function storedBlock(
  body: DataBody,
  head: BlockHead,
  name: ChannelName,
  part: { readonly from: number; readonly to: number },
): StoredBlock {
  const first = head.firstRecord + part.from;
  const deltas = body.timeDeltas;
  const baseTimeMs = body.header.baseTimeMs;
  const columns = columnsOf(body, head, part);
  const position = part.to === head.count ? positionOf(body, head) : undefined;
  return {
    receiver: name.receiver,
    channel: name.channel,
    partition: 0,
    firstOffset: body.header.firstOffset + first,
    count: part.to - part.from,
    values: body.payloads,
    valuesStart: first === 0 ? 0 : (body.valueEnds[first - 1] ?? 0),
    valueEnds: body.valueEnds.subarray(first, head.firstRecord + part.to),
    delimiterBytes: head.delimiterBytes,
    receivedAtMs: (recordIndex) => baseTimeMs + (deltas[first + recordIndex] ?? 0) / 1000,
    ...columns,
    ...(position === undefined ? {} : { position }),
  };
}

interface Columns {
  keys?: Column;
  timestampsMs?: Float64Array;
  headers?: Column;
}

function columnsOf(
  body: DataBody,
  head: BlockHead,
  part: { readonly from: number; readonly to: number },
): Columns {
  const columns: Columns = {};
  let at = head.columnsStart + (head.columns & COLUMN.idempotency ? IDEMPOTENCY_BYTES : 0);
  if (head.columns & COLUMN.keys) {
    columns.keys = listColumn(body.bytes, at, head.count, part);
    at += listColumnBytes(body.bytes, at, head.count);
  }
  if (head.columns & COLUMN.timestamps) {
    columns.timestampsMs = float64View(body.bytes, at, head.count).subarray(part.from, part.to);
    at += head.count * 8;
  }
  if (head.columns & COLUMN.headers) columns.headers = listColumn(body.bytes, at, head.count, part);
  return columns;
}

function listColumnBytes(bytes: Uint8Array, at: number, count: number): number {
  return padTo8(count * 4 + (uint32View(bytes, at, count)[count - 1] ?? 0));
}

function listColumn(
  bytes: Uint8Array,
  at: number,
  count: number,
  part: { readonly from: number; readonly to: number },
): Column {
  const ends = uint32View(bytes, at, count);
  const start = part.from === 0 ? 0 : (ends[part.from - 1] ?? 0);
  const valuesAt = at + count * 4;
  const wanted = ends.subarray(part.from, part.to);
  return {
    bytes: bytes.subarray(valuesAt + start, valuesAt + (ends[part.to - 1] ?? 0)),
    ends: start === 0 ? wanted : wanted.map((end) => end - start),
  };
}

/**
 * Numbers in place, or copied where the buffer does not lie as they need; fewer at the end of the
 * buffer.
 */
function uint32View(bytes: Uint8Array, at: number, count: number): Uint32Array {
  const fitting = Math.max(0, Math.min(count, Math.floor((bytes.length - at) / 4)));
  const start = bytes.byteOffset + at;
  if (start % 4 === 0 && fitting > 0) return new Uint32Array(bytes.buffer, start, fitting);
  return new Uint32Array(bytes.slice(at, at + fitting * 4).buffer, 0, fitting);
}

function float64View(bytes: Uint8Array, at: number, count: number): Float64Array {
  const fitting = Math.max(0, Math.min(count, Math.floor((bytes.length - at) / 8)));
  const start = bytes.byteOffset + at;
  if (start % 8 === 0 && fitting > 0) return new Float64Array(bytes.buffer, start, fitting);
  return new Float64Array(bytes.slice(at, at + fitting * 8).buffer, 0, fitting);
}
