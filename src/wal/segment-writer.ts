/**
 * Writes entries to one segment, one at a time, each at a fresh multiple of 4096: no write touches
 * a place that holds acknowledged bytes, or that an earlier write of this life of the file has
 * touched.
 */
import { HoldfastError } from "../errors.ts";
import type { FileHandle } from "../host/files.ts";
import {
  ENTRY_HEADER_BYTES,
  ENTRY_TYPE,
  encodeEntry,
  entryDiskBytes,
  type EntryHeader,
  recordlessFields,
  sealEntry,
} from "./entry.ts";
import type { EntryBuffer } from "./entry-buffer.ts";
import { ALIGNMENT_BYTES, SEGMENT_HEADER_BYTES, zeros } from "./format.ts";
import type { Segment } from "./segment.ts";
import { encodeSeal } from "./tables.ts";

/** Zeros are written in pieces of this length ahead of the entries. */
export const ZERO_STRIDE_BYTES: number = 1024 * 1024;

/** Where a writer goes on in a file. */
export interface WriterStart {
  /** The file is written (with zeros or an earlier life) up to here. */
  readonly zeroedTo: number;
  /** Header checksum of the last entry, 0 for none. */
  readonly previousHeaderCrc: number;
  readonly entryCount: number;
  readonly firstTimeMs: number;
}

/** Times and epoch that go into an entry without records. */
export interface EntryStamp {
  readonly epoch: number;
  readonly wallMs: number;
}

/**
 * The writing side of a segment. The caller never has two writes in flight; zeroing ahead is the
 * exception.
 */
export class SegmentWriter {
  readonly segment: Segment;
  readonly #handle: FileHandle;
  #zeroedTo: number;
  #previousHeaderCrc: number;
  #entryCount: number;
  #firstTimeMs: number;
  #isSealed = false;
  #isClosed = false;
  #zeroing: Promise<void> | undefined;

  constructor(segment: Segment, handle: FileHandle, start: WriterStart) {
    this.segment = segment;
    this.#handle = handle;
    this.#zeroedTo = start.zeroedTo;
    this.#previousHeaderCrc = start.previousHeaderCrc;
    this.#entryCount = start.entryCount;
    this.#firstTimeMs = start.firstTimeMs;
  }

  get isSealed(): boolean {
    return this.#isSealed;
  }

  get previousHeaderCrc(): number {
    return this.#previousHeaderCrc;
  }

  /** The last block belongs to the SEAL. */
  get #limit(): number {
    return this.segment.identity.capacityBytes - ALIGNMENT_BYTES;
  }

  /** Share of the room for entries that is used, 0 .. 1. */
  get fill(): number {
    return (
      (this.segment.end.position - SEGMENT_HEADER_BYTES) / (this.#limit - SEGMENT_HEADER_BYTES)
    );
  }

  /** Whether this many bytes of entries still fit. */
  fits(diskBytes: number): boolean {
    return !this.#isSealed && this.segment.end.position + diskBytes <= this.#limit;
  }

  /**
   * Whether this many bytes of entries can be written at once: they fit, and the file is prepared
   * for them.
   */
  isReadyFor(diskBytes: number): boolean {
    return this.fits(diskBytes) && this.segment.end.position + diskBytes <= this.#zeroedTo;
  }

  /**
   * Zeroes the file as far as the next `diskBytes` of entries reach. `full`: the disk has no room;
   * nothing was written that matters, so the segment stays usable. Other errors are thrown.
   */
  async makeRoom(diskBytes: number): Promise<"ok" | "full"> {
    const needed = Math.min(this.segment.end.position + diskBytes, this.#limit);
    for (;;) {
      // A stride in flight could land on top of the entry: it must be over before the entry may go
      // behind it.
      if (this.#zeroing !== undefined) {
        await this.#zeroing;
        continue;
      }
      if (this.#zeroedTo >= needed) return "ok";
      try {
        await this.#zeroStride();
      } catch (cause) {
        if (isDiskFull(cause)) return "full";
        throw cause;
      }
    }
  }

  /**
   * Starts zeroing one stride further when the writer comes near; errors show in the next
   * `makeRoom`.
   */
  zeroAhead(): void {
    const isNear =
      this.#zeroedTo < this.#limit &&
      this.#zeroedTo - this.segment.end.position < ZERO_STRIDE_BYTES;
    if (isNear) this.zeroFurther().catch(() => undefined);
  }

  /** Bytes of the file that were never written; 0 where the file system gains nothing by it. */
  get missingBytes(): number {
    return this.segment.identity.capacityBytes - this.#zeroedTo;
  }

  /**
   * Zeroes one stride further; false when there is nothing to do. An error is no damage: the next
   * `makeRoom` meets it too.
   */
  async zeroFurther(): Promise<boolean> {
    // At the limit the SEAL may be on its way.
    if (this.#isClosed || this.#isSealed || this.#zeroedTo >= this.#limit) return false;
    const before = this.#zeroedTo;
    await (this.#zeroing ?? this.#zeroStride());
    return this.#zeroedTo > before;
  }

  /** One at a time: whoever needs the file zeroed waits for it. */
  #zeroStride(): Promise<void> {
    const stride = this.#writeZeros();
    const over = (): void => {
      this.#zeroing = undefined;
    };
    this.#zeroing = stride.then(over, over);
    return stride;
  }

  async #writeZeros(): Promise<void> {
    const from = this.#zeroedTo;
    const left = this.segment.identity.capacityBytes - from;
    // The last block, which is the SEAL's, never stays behind alone.
    const bytes = left <= ZERO_STRIDE_BYTES + ALIGNMENT_BYTES ? left : ZERO_STRIDE_BYTES;
    await writeFully(this.#handle, zeros(bytes), bytes, from);
    this.#zeroedTo = from + bytes;
  }

  /**
   * Writes a laid-out entry of records behind the last one. Durable when it resolves; the segment's
   * end has moved and readers may see it. Throws on any error: then the writer must not be used
   * again.
   */
  async writeRecords(entry: EntryBuffer, stamp: EntryStamp): Promise<void> {
    const { end, identity } = this.segment;
    const sealed = entry.seal(
      {
        firstOffset: end.offset,
        durableEnd: end.offset,
        epoch: stamp.epoch,
        segmentId: identity.segmentId,
        previousHeaderCrc: this.#previousHeaderCrc,
      },
      identity.salt,
    );
    await writeAll(this.#handle, sealed.bytes, sealed.diskBytes, end.position);
    this.#written(sealed, entry.recordCount, entry.baseTimeMs);
  }

  /**
   * Writes an entry of another segment again: `bytes[at]` holds it with the room up to the next one,
   * and is sealed anew in place.
   */
  async writeCopy(
    bytes: Uint8Array,
    at: number,
    header: EntryHeader,
    stamp: EntryStamp,
  ): Promise<void> {
    const { end, identity } = this.segment;
    const diskBytes = entryDiskBytes(header.entryBytes);
    const entry = bytes.subarray(at, at + diskBytes);
    entry.fill(0, header.entryBytes);
    const fields = {
      ...header,
      durableEnd: end.offset,
      epoch: stamp.epoch,
      segmentId: identity.segmentId,
      previousHeaderCrc: this.#previousHeaderCrc,
    };
    const headerCrc = sealEntry(entry, 0, fields, identity.salt);
    await writeAll(this.#handle, entry, diskBytes, end.position);
    this.#written({ diskBytes, headerCrc }, header.recordCount, header.baseTimeMs);
  }

  /** Writes entries without records, one after the other in one call. As {@link writeRecords}. */
  async writeTables(
    tables: readonly { readonly type: number; readonly body: Uint8Array }[],
    stamp: EntryStamp,
  ): Promise<void> {
    const { end, identity } = this.segment;
    const encoded: { readonly bytes: Uint8Array; readonly headerCrc: number }[] = [];
    let previousHeaderCrc = this.#previousHeaderCrc;
    for (const { type, body } of tables) {
      const fields = this.#recordless(type, body, stamp);
      const entry = encodeEntry(body, { ...fields, previousHeaderCrc }, identity.salt);
      previousHeaderCrc = entry.headerCrc;
      encoded.push(entry);
    }
    const bytes = concatenate(encoded.map((entry) => entry.bytes));
    await writeAll(this.#handle, bytes, bytes.length, end.position);
    for (const entry of encoded)
      this.#written({ diskBytes: entry.bytes.length, headerCrc: entry.headerCrc }, 0, stamp.wallMs);
  }

  /**
   * Writes the SEAL into the last block: the segment is complete and proves its own end. What lies
   * between is zeroed first, so that a recycled file has all its blocks and cannot run into a full
   * disk. Results as `makeRoom`.
   */
  async seal(stamp: EntryStamp): Promise<"ok" | "full"> {
    const { end, identity } = this.segment;
    if ((await this.makeRoom(identity.capacityBytes)) === "full") return "full";
    const body = encodeSeal({
      baseOffset: identity.baseOffset,
      endOffset: end.offset,
      endPosition: end.position,
      entryCount: this.#entryCount,
      firstTimeMs: this.#firstTimeMs,
      lastTimeMs: this.segment.lastTimeMs,
    });
    const { bytes } = encodeEntry(
      body,
      this.#recordless(ENTRY_TYPE.seal, body, stamp),
      identity.salt,
    );
    await writeAll(this.#handle, bytes, bytes.length, this.#limit);
    this.#zeroedTo = identity.capacityBytes;
    this.#isSealed = true;
    return "ok";
  }

  /** May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#zeroing !== undefined) await this.#zeroing;
    await this.#handle.close();
  }

  #recordless(
    type: number,
    body: Uint8Array,
    stamp: EntryStamp,
  ): ReturnType<typeof recordlessFields> {
    const { end, identity } = this.segment;
    return recordlessFields({
      type,
      entryBytes: ENTRY_HEADER_BYTES + body.length,
      firstOffset: end.offset,
      durableEnd: end.offset,
      baseTimeMs: stamp.wallMs,
      epoch: stamp.epoch,
      segmentId: identity.segmentId,
      previousHeaderCrc: this.#previousHeaderCrc,
    });
  }

  #written(
    entry: { readonly diskBytes: number; readonly headerCrc: number },
    recordCount: number,
    timeMs: number,
  ): void {
    const { end } = this.segment;
    if (recordCount > 0) this.segment.index.add(end);
    this.segment.end = {
      position: end.position + entry.diskBytes,
      offset: end.offset + recordCount,
    };
    this.#previousHeaderCrc = entry.headerCrc;
    this.#entryCount += 1;
    if (this.#firstTimeMs === 0) this.#firstTimeMs = timeMs;
    this.segment.lastTimeMs = Math.max(this.segment.lastTimeMs, timeMs);
  }
}

/** Bytes on disk of entries with these bodies. */
export function tablesDiskBytes(bodies: readonly Uint8Array[]): number {
  return bodies.reduce((sum, body) => sum + entryDiskBytes(ENTRY_HEADER_BYTES + body.length), 0);
}

/**
 * Writes everything, in several calls if need be: for what is no entry and may be written again. A
 * disk that gets full takes less than asked and says so in the next call only.
 */
export async function writeFully(
  handle: FileHandle,
  bytes: Uint8Array,
  length: number,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < length) {
    const written = await handle.write(bytes, done, length - done, position + done);
    if (written === 0)
      throw new HoldfastError(
        "LOG_FAILED",
        `${handle.path}: 0 of ${length - done} bytes were written at ${position + done}`,
      );
    done += written;
  }
}

/**
 * Writes everything in one call or throws: a short write is an error, because a part of an entry is
 * none.
 */
export async function writeAll(
  handle: FileHandle,
  bytes: Uint8Array,
  length: number,
  position: number,
): Promise<void> {
  const written = await handle.write(bytes, 0, length, position);
  if (written !== length)
    throw new HoldfastError(
      "LOG_FAILED",
      `${handle.path}: ${written} of ${length} bytes were written at ${position}`,
    );
}

/** Whether an error says that the disk, or the owner's share of it, is full. */
export function isDiskFull(cause: unknown): boolean {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return code === "ENOSPC" || code === "EDQUOT";
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
