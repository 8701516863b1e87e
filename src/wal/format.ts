/**
 * The segment file: names, sizes and the header block.
 *
 * ```
 * 0            4096                                          capacity-4096    capacity
 * | header     | entry | entry | ...        | unused         | SEAL           |
 * | 4096 bytes | each begins at a multiple of 4096           | 4096 bytes     |
 * ```
 *
 * Header block, little endian, rest zero:
 * ```
 *   0  magic 89 48 46 57 0D 0A 1A 0A      48  salt: seed of every checksum in this segment
 *   8  u16 major   10 u16 minor           52  u32 epoch of the writer that made it
 *  12  u32 incompatible features          56  u32 capacity in bytes
 *  16  16 bytes log uuid                  60  u8 alignment power  u8 kind  u16 compatible features
 *  32  u64 segment id, never reused       64  u64 creation, wall ms (a label)
 *  40  u64 base offset                    72  u64 offset at which the previous segment ends
 *                                         80  u32 salt of the previous segment, 0 = first
 *                                         84  u32 crc over 0..83, seed 0
 * ```
 */
import { crc32 } from "./crc.ts";

/**
 * Entries begin at multiples of this; no write ever touches a unit that holds acknowledged bytes.
 */
export const ALIGNMENT_BYTES = 4096;
/** The header block of a segment. */
export const SEGMENT_HEADER_BYTES = 4096;
/** Used part of the header block. */
export const SEGMENT_HEADER_FIELDS_BYTES = 88;
export const FORMAT_MAJOR = 1;
export const FORMAT_MINOR = 0;
/** First bytes of a segment: not text, and broken by a copy in text mode. */
export const SEGMENT_MAGIC: Uint8Array = Uint8Array.of(
  0x89,
  0x48,
  0x46,
  0x57,
  0x0d,
  0x0a,
  0x1a,
  0x0a,
);
/** What a file of this format holds. */
export const SEGMENT_KIND = { data: 1, ledger: 2 } as const;
export type SegmentKind = (typeof SEGMENT_KIND)[keyof typeof SEGMENT_KIND];
/** Smallest and largest segment; a multiple of {@link ALIGNMENT_BYTES}. */
export const SEGMENT_BYTES_MIN: number = 16 * ALIGNMENT_BYTES;
export const SEGMENT_BYTES_MAX: number = 2 ** 30;
export const UUID_BYTES = 16;

const ALIGNMENT_POWER = 12;
const UINT32_RANGE = 2 ** 32;
const SEGMENT_ID_FACTOR = 0x9e3779b1;

/** Everything the header block says. */
export interface SegmentHeader {
  readonly kind: SegmentKind;
  readonly logUuid: Uint8Array;
  readonly segmentId: number;
  readonly baseOffset: number;
  readonly salt: number;
  readonly epoch: number;
  readonly capacityBytes: number;
  readonly createdWallMs: number;
  /** Where the segment before ends; below `baseOffset` when a gap lies between. */
  readonly previousEnd: number;
  /** Salt of the segment before, 0 for the first one. */
  readonly previousSalt: number;
}

/** What the header block turned out to be. */
export type DecodedSegmentHeader =
  | { readonly kind: "valid"; readonly header: SegmentHeader }
  | { readonly kind: "invalid"; readonly reason: string }
  | { readonly kind: "unsupported"; readonly reason: string };

/** Rounds up to the alignment. */
export function alignUp(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}

/** Rounds up to a multiple of 8, so that columns of 4 and 8 byte numbers can be viewed in place. */
export function padTo8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/** CRC-32 of `bytes[from, to)` with a seed. */
export function seededCrc(bytes: Uint8Array, from: number, to: number, seed: number): number {
  return crc32(bytes, from, to, seed);
}

/** A view for reading and writing numbers of `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Writes an integer of 0 .. 2^53-1 as u64. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % UINT32_RANGE, true);
  view.setUint32(at + 4, Math.floor(value / UINT32_RANGE), true);
}

/** Reads a u64; NaN when it is above 2^53-1, which compares false with everything. */
export function readU64(view: DataView, at: number): number {
  const value = view.getUint32(at, true) + view.getUint32(at + 4, true) * UINT32_RANGE;
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/**
 * Seed of every checksum in a segment. An odd factor makes it a bijection of the id's low 32 bits,
 * so no two of 2^32 segments of a log share it, and what an earlier life left in a recycled file
 * cannot pass. It follows from id and uuid alone, so entries stay readable when the header block is
 * lost.
 */
export function saltOf(segmentId: number, logUuid: Uint8Array): number {
  return (
    (Math.imul(segmentId % UINT32_RANGE, SEGMENT_ID_FACTOR) ^
      crc32(logUuid, 0, logUuid.length, 0)) >>>
    0
  );
}

/** The header block, {@link SEGMENT_HEADER_BYTES} long. */
export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = viewOf(bytes);
  bytes.set(SEGMENT_MAGIC, 0);
  view.setUint16(8, FORMAT_MAJOR, true);
  view.setUint16(10, FORMAT_MINOR, true);
  bytes.set(header.logUuid, 16);
  writeU64(view, 32, header.segmentId);
  writeU64(view, 40, header.baseOffset);
  view.setUint32(48, header.salt, true);
  view.setUint32(52, header.epoch, true);
  view.setUint32(56, header.capacityBytes, true);
  view.setUint8(60, ALIGNMENT_POWER);
  view.setUint8(61, header.kind);
  writeU64(view, 64, header.createdWallMs);
  writeU64(view, 72, header.previousEnd);
  view.setUint32(80, header.previousSalt, true);
  view.setUint32(84, seededCrc(bytes, 0, 84, 0), true);
  return bytes;
}

/**
 * Reads a header block. `unsupported`: intact, but of a version or with features that this reader
 * must refuse.
 */
export function decodeSegmentHeader(bytes: Uint8Array): DecodedSegmentHeader {
  if (bytes.length < SEGMENT_HEADER_FIELDS_BYTES)
    return {
      kind: "invalid",
      reason: `${bytes.length} bytes, expected ${SEGMENT_HEADER_FIELDS_BYTES}`,
    };
  if (SEGMENT_MAGIC.some((byte, index) => bytes[index] !== byte))
    return { kind: "invalid", reason: "no segment magic" };
  const view = viewOf(bytes);
  const crc = seededCrc(bytes, 0, 84, 0);
  if (view.getUint32(84, true) !== crc)
    return { kind: "invalid", reason: `checksum ${view.getUint32(84, true)}, expected ${crc}` };
  const unsupported = unsupportedReason(view);
  if (unsupported !== undefined) return { kind: "unsupported", reason: unsupported };
  const header = readHeaderFields(bytes, view);
  if (header === undefined) return { kind: "invalid", reason: "a field is out of range" };
  return { kind: "valid", header };
}

function unsupportedReason(view: DataView): string | undefined {
  const major = view.getUint16(8, true);
  if (major !== FORMAT_MAJOR) return `format ${major}, this program reads ${FORMAT_MAJOR}`;
  const features = view.getUint32(12, true);
  if (features !== 0) return `unknown incompatible features ${features.toString(2)}`;
  const power = view.getUint8(60);
  return power === ALIGNMENT_POWER
    ? undefined
    : `alignment 2^${power}, this program reads 2^${ALIGNMENT_POWER}`;
}

function readHeaderFields(bytes: Uint8Array, view: DataView): SegmentHeader | undefined {
  const kind = kindOf(view.getUint8(61));
  if (kind === undefined) return undefined;
  const header: SegmentHeader = {
    kind,
    logUuid: bytes.slice(16, 16 + UUID_BYTES),
    segmentId: readU64(view, 32),
    baseOffset: readU64(view, 40),
    salt: view.getUint32(48, true),
    epoch: view.getUint32(52, true),
    capacityBytes: view.getUint32(56, true),
    createdWallMs: readU64(view, 64),
    previousEnd: readU64(view, 72),
    previousSalt: view.getUint32(80, true),
  };
  const sane =
    header.previousEnd <= header.baseOffset &&
    header.segmentId > 0 &&
    header.salt === saltOf(header.segmentId, header.logUuid) &&
    header.capacityBytes >= SEGMENT_BYTES_MIN &&
    header.capacityBytes % ALIGNMENT_BYTES === 0;
  return sane ? header : undefined;
}

function kindOf(value: number): SegmentKind | undefined {
  if (value === SEGMENT_KIND.data) return SEGMENT_KIND.data;
  return value === SEGMENT_KIND.ledger ? SEGMENT_KIND.ledger : undefined;
}

/** Whether two uuids are the same. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

/** What the name of a file in the log directory says. */
export type ParsedFileName =
  | { readonly kind: "segment"; readonly baseOffset: number; readonly segmentId: number }
  | { readonly kind: "spare"; readonly segmentId: number }
  | { readonly kind: "other" };

/** `seg-<base offset, 16 hex>-<segment id, 8 hex>.hfw` */
export function segmentFileName(baseOffset: number, segmentId: number): string {
  return `seg-${hex(baseOffset, 16)}-${hex(segmentId, 8)}.hfw`;
}

/** `spare-<segment id, 8 hex>.hfw` */
export function spareFileName(segmentId: number): string {
  return `spare-${hex(segmentId, 8)}.hfw`;
}

/** Reads a name that {@link segmentFileName} or {@link spareFileName} made. */
export function parseFileName(name: string): ParsedFileName {
  const segment = /^seg-([0-9a-f]{16})-([0-9a-f]{8})\.hfw$/.exec(name);
  if (segment !== null)
    return { kind: "segment", baseOffset: unhex(segment[1]), segmentId: unhex(segment[2]) };
  const spare = /^spare-([0-9a-f]{8})\.hfw$/.exec(name);
  return spare === null ? { kind: "other" } : { kind: "spare", segmentId: unhex(spare[1]) };
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

function unhex(text: string | undefined): number {
  return Number.parseInt(text ?? "", 16);
}

let zeroBytes: Uint8Array = new Uint8Array(0);

/** That many zeros, in memory that all callers share: to be written, never to be written to. */
export function zeros(byteCount: number): Uint8Array {
  if (byteCount > zeroBytes.length) zeroBytes = new Uint8Array(byteCount);
  return zeroBytes.subarray(0, byteCount);
}
