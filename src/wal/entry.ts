/**
 * The entry: what one group commit writes. A header of 72 bytes, then the body; it begins at a
 * multiple of 4096 and is written in one call, checksums in front of the bytes they cover, and
 * never touched again.
 *
 * ```
 *  0  u32 magic "HF1\0"             40  u32 epoch of the writer
 *  4  u8 type  u8 codec  u16 flags  44  u32 segment id, low 32 bits
 *  8  u32 entryBytes (no padding)   48  u32 body bytes before compression
 * 12  u32 recordCount               52  u32 body crc, seed = salt, over [72, entryBytes)
 * 16  u64 firstOffset               56  u32 header crc of the entry before in this segment, 0 = first
 * 24  u64 durableEnd                60  u32 payloadBytes
 * 32  u64 base receive time, ms     64  u32 blockCount
 *                                   68  u32 header crc, seed = salt, over [0, 68)
 * ```
 *
 * `durableEnd` is what was known to be on disk when the entry was built. Together with one write in
 * flight it tells a torn tail, which nobody was promised, from damage in the middle.
 */
import { ALIGNMENT_BYTES, readU64, seededCrc, viewOf, writeU64 } from "./format.ts";

/** The header in front of each body. */
export const ENTRY_HEADER_BYTES = 72;
/** Largest body; a longer `entryBytes` is no entry. */
export const ENTRY_BODY_BYTES_MAX: number = 8 * 1024 * 1024;

/**
 * Types of entries. 0 and 255 are never valid: erased and worn-out storage reads so. Bit 7 marks
 * types that a reader may skip when it does not know them.
 */
export const ENTRY_TYPE = {
  data: 1,
  /** No records: proves by its durableEnd that the entry before was on disk. */
  witness: 2,
  /** In the last block of a segment: totals and end. */
  seal: 3,
  names: 4,
  /** The log was closed in order. */
  close: 5,
  positions: 6,
  /** Idempotency keys. */
  keys: 7,
  /** The ledger's state at the start of a file: canonical JSON. */
  snapshot: 16,
  /** Facts of the ledger that became durable together: a canonical JSON array. */
  facts: 17,
} as const;

/** How a body is stored. Deflate is reserved: it comes with an incompatible feature bit. */
export const ENTRY_CODEC = { none: 0, deflate: 1 } as const;

const MAGIC = 0x00314648;

/** The fields of an entry's header that its writer decides. */
export interface EntryFields {
  readonly type: number;
  /** Header and body, without the padding to the next multiple of 4096. */
  readonly entryBytes: number;
  readonly recordCount: number;
  readonly firstOffset: number;
  readonly durableEnd: number;
  /** Wall milliseconds; the records' receive times count from here. */
  readonly baseTimeMs: number;
  readonly epoch: number;
  readonly segmentId: number;
  readonly previousHeaderCrc: number;
  readonly payloadBytes: number;
  readonly blockCount: number;
}

/** A header whose checksum, magic and bounds are right. */
export interface EntryHeader extends Omit<EntryFields, "segmentId"> {
  readonly segmentIdLow: number;
  readonly bodyCrc: number;
  readonly headerCrc: number;
}

/** Fields of an entry that holds no records. */
export function recordlessFields(
  fields: Pick<
    EntryFields,
    | "type"
    | "entryBytes"
    | "firstOffset"
    | "durableEnd"
    | "baseTimeMs"
    | "epoch"
    | "segmentId"
    | "previousHeaderCrc"
  >,
): EntryFields {
  return { ...fields, recordCount: 0, payloadBytes: 0, blockCount: 0 };
}

/** Bytes of an entry on disk: up to the next multiple of 4096. */
export function entryDiskBytes(entryBytes: number): number {
  return Math.ceil(entryBytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}

/**
 * Writes the header in front of a body that is already at `bytes[at + 72, at + entryBytes)`,
 * checksums included. Returns the header's checksum, which the next entry repeats.
 */
export function sealEntry(
  bytes: Uint8Array,
  at: number,
  fields: EntryFields,
  salt: number,
): number {
  const bodyCrc = seededCrc(bytes, at + ENTRY_HEADER_BYTES, at + fields.entryBytes, salt);
  return sealHeader(bytes, at, fields, { bodyCrc, salt });
}

/**
 * As {@link sealEntry} for a body whose checksum, seeded with the salt, is known.
 *
 * Whoever makes `fields` names them one by one: spreading numbers that outgrow small integers takes the engine 8 us,
 * as long as all else that precedes a write.
 */
export function sealHeader(
  bytes: Uint8Array,
  at: number,
  fields: EntryFields,
  { bodyCrc, salt }: { readonly bodyCrc: number; readonly salt: number },
): number {
  const view = viewOf(bytes);
  view.setUint32(at, MAGIC, true);
  view.setUint32(at + 4, fields.type, true);
  view.setUint32(at + 8, fields.entryBytes, true);
  view.setUint32(at + 12, fields.recordCount, true);
  writeU64(view, at + 16, fields.firstOffset);
  writeU64(view, at + 24, fields.durableEnd);
  writeU64(view, at + 32, fields.baseTimeMs);
  view.setUint32(at + 40, fields.epoch, true);
  view.setUint32(at + 44, fields.segmentId % 2 ** 32, true);
  view.setUint32(at + 48, fields.entryBytes - ENTRY_HEADER_BYTES, true);
  view.setUint32(at + 52, bodyCrc, true);
  view.setUint32(at + 56, fields.previousHeaderCrc, true);
  view.setUint32(at + 60, fields.payloadBytes, true);
  view.setUint32(at + 64, fields.blockCount, true);
  const crc = seededCrc(bytes, at, at + 68, salt);
  view.setUint32(at + 68, crc, true);
  return crc;
}

/** A whole entry with its padding in a buffer of its own: for tables, seals and the ledger. */
export function encodeEntry(
  body: Uint8Array,
  fields: Omit<EntryFields, "entryBytes">,
  salt: number,
): { readonly bytes: Uint8Array; readonly headerCrc: number } {
  const entryBytes = ENTRY_HEADER_BYTES + body.length;
  const bytes = new Uint8Array(entryDiskBytes(entryBytes));
  bytes.set(body, ENTRY_HEADER_BYTES);
  return { bytes, headerCrc: sealEntry(bytes, 0, { ...fields, entryBytes }, salt) };
}

/**
 * The header at `bytes[at]`, or undefined when there is no whole and valid one. The body is checked
 * apart ({@link bodyIsValid}), because it may not be read yet.
 */
export function decodeEntryHeader(
  bytes: Uint8Array,
  at: number,
  salt: number,
): EntryHeader | undefined {
  if (at + ENTRY_HEADER_BYTES > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, ENTRY_HEADER_BYTES);
  if (view.getUint32(0, true) !== MAGIC) return undefined;
  const headerCrc = view.getUint32(68, true);
  if (headerCrc !== seededCrc(bytes, at, at + 68, salt)) return undefined;
  const header: EntryHeader = {
    type: view.getUint8(4),
    entryBytes: view.getUint32(8, true),
    recordCount: view.getUint32(12, true),
    firstOffset: readU64(view, 16),
    durableEnd: readU64(view, 24),
    baseTimeMs: readU64(view, 32),
    epoch: view.getUint32(40, true),
    segmentIdLow: view.getUint32(44, true),
    bodyCrc: view.getUint32(52, true),
    previousHeaderCrc: view.getUint32(56, true),
    payloadBytes: view.getUint32(60, true),
    blockCount: view.getUint32(64, true),
    headerCrc,
  };
  return isInBounds(header, view.getUint8(5), view.getUint32(48, true)) ? header : undefined;
}

/**
 * Bounds that hold for every entry; a reader allocates by these numbers only. NaN fails each
 * comparison.
 */
function isInBounds(header: EntryHeader, codec: number, bodyBytes: number): boolean {
  return (
    header.type !== 0 &&
    header.type !== 255 &&
    codec === ENTRY_CODEC.none &&
    header.entryBytes >= ENTRY_HEADER_BYTES &&
    header.entryBytes <= ENTRY_HEADER_BYTES + ENTRY_BODY_BYTES_MAX &&
    bodyBytes === header.entryBytes - ENTRY_HEADER_BYTES &&
    header.payloadBytes <= bodyBytes &&
    header.durableEnd <= header.firstOffset &&
    header.firstOffset + header.recordCount <= Number.MAX_SAFE_INTEGER
  );
}

/** Whether the body behind the header at `bytes[at]` is there and whole. */
export function bodyIsValid(
  bytes: Uint8Array,
  at: number,
  header: EntryHeader,
  salt: number,
): boolean {
  const end = at + header.entryBytes;
  return (
    end <= bytes.length && seededCrc(bytes, at + ENTRY_HEADER_BYTES, end, salt) === header.bodyCrc
  );
}
