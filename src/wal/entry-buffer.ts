/**
 * An entry while it fills. `add` copies a block's bytes with one `set` and its ends in one loop; no
 * object is made per record. The buffers are kept from entry to entry and grow on demand.
 */
import type { RecordBlock, Stored } from "../contract/record.ts";
import { BLOCK_HEADER_BYTES, RECORD_OVERHEAD_BYTES } from "./block-codec.ts";
import { withSeed } from "./crc-join.ts";
import { checkShape, columnsOf, extraBytes, invalidBlock } from "./block-shape.ts";
import {
  ENTRY_HEADER_BYTES,
  ENTRY_TYPE,
  type EntryFields,
  entryDiskBytes,
  sealHeader,
} from "./entry.ts";
import { EntryExtras, type KeyedBlock } from "./entry-extras.ts";
import { padTo8, seededCrc } from "./format.ts";

/** What a buffer begins with, and shrinks to. */
const BUFFER_BYTES_MIN: number = 256 * 1024;
const RECORDS_MIN = 4096;
const BLOCKS_MIN = 64;
/**
 * Payloads are summed in pieces of at least this length while the entry fills: usually another one
 * is on its way to the disk then, and the bytes have just been copied.
 */
const SUM_BYTES_MIN: number = 64 * 1024;
const HEAD_WORDS = BLOCK_HEADER_BYTES / 4;
const UINT32_MAX = 2 ** 32 - 1;

/** By which incarnation of its receiver a block was handed over, and when. */
export interface BlockStamp {
  readonly epoch: number;
  readonly wallMs: number;
}

/**
 * The blocks of one commit: first filled, then laid out and sealed, then reset for the next one.
 */
export class EntryBuffer {
  #bytes: Uint8Array = new Uint8Array(BUFFER_BYTES_MIN);
  #payloadBytes = 0;
  /** How many of the payload's bytes `#payloadCrc` covers, with seed 0. */
  #summedBytes = 0;
  #payloadCrc = 0;
  #valueEnds: Uint32Array = new Uint32Array(RECORDS_MIN);
  #timeDeltas: Uint32Array = new Uint32Array(RECORDS_MIN);
  #recordCount = 0;
  #heads: Uint32Array = new Uint32Array(BLOCKS_MIN * HEAD_WORDS);
  #blockCount = 0;
  readonly #extras = new EntryExtras();
  /** As {@link entryBytes}: kept, because it is asked several times for each append. */
  #entryBytes: number = ENTRY_HEADER_BYTES;
  #baseTimeMs = 0;
  // The callers of the appends and how many records each gave: no object is made for one.
  readonly #resolves: ((stored: Stored | Promise<Stored>) => void)[] = [];
  readonly #counts: number[] = [];
  readonly #keepResolve = (resolve: (stored: Stored | Promise<Stored>) => void): void => {
    this.#resolves.push(resolve);
  };
  /** Monotonic time of the first append since the reset. */
  firstAppendMs = 0;

  /** Blocks with an idempotency key, in order. */
  get keyed(): readonly KeyedBlock[] {
    return this.#extras.keyed;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  get isEmpty(): boolean {
    return this.#blockCount === 0;
  }

  get baseTimeMs(): number {
    return this.#baseTimeMs;
  }

  /** Bytes of the entry as it is now, with its header, without padding. */
  get entryBytes(): number {
    return this.#entryBytes;
  }

  /** What a commit takes on disk. */
  get diskBytes(): number {
    return entryDiskBytes(this.entryBytes);
  }

  #bodyBytes(payloadBytes: number): number {
    return (
      payloadBytes +
      this.#recordCount * RECORD_OVERHEAD_BYTES +
      this.#blockCount * BLOCK_HEADER_BYTES +
      this.#extras.byteCount
    );
  }

  /**
   * Takes a block. Throws BLOCK_INVALID when its numbers contradict each other; then nothing has
   * changed. The caller has checked the size.
   */
  add(block: RecordBlock, channelId: number, { epoch, wallMs }: BlockStamp): void {
    const { count, values, valuesStart } = block;
    checkShape(block);
    this.#growRecords(this.#recordCount + count);
    const valuesEnd = this.#rebaseEnds(block);
    const payloadBytes = valuesEnd - valuesStart;
    // One length more than is needed: the payload's padding.
    this.#growBytes(
      this.#entryBytes +
        (payloadBytes + 8) +
        count * RECORD_OVERHEAD_BYTES +
        BLOCK_HEADER_BYTES +
        extraBytes(block),
    );
    // A subarray of exactly the payload makes `set` one copy; a whole buffer needs none.
    this.#bytes.set(
      valuesStart === 0 && valuesEnd === values.length
        ? values
        : values.subarray(valuesStart, valuesEnd),
      ENTRY_HEADER_BYTES + this.#payloadBytes,
    );
    if (this.#blockCount === 0) this.#baseTimeMs = Math.floor(wallMs);
    this.#fillTimes(count, wallMs);
    this.#addHead(block, channelId, epoch);
    this.#payloadBytes += payloadBytes;
    this.#recordCount += count;
    this.#entryBytes = ENTRY_HEADER_BYTES + this.#bodyBytes(padTo8(this.#payloadBytes));
    if (this.#payloadBytes - this.#summedBytes >= SUM_BYTES_MIN) this.#sumPayload();
  }

  /** What lies in the buffer as payload is not changed any more. */
  #sumPayload(): void {
    const from = ENTRY_HEADER_BYTES + this.#summedBytes;
    const to = ENTRY_HEADER_BYTES + this.#payloadBytes;
    this.#payloadCrc = seededCrc(this.#bytes, from, to, this.#payloadCrc);
    this.#summedBytes = this.#payloadBytes;
  }

  /** Checksum of the laid-out body. Only what was not summed while the entry filled is read. */
  #bodyCrc(salt: number): number {
    const summed = this.#summedBytes;
    const seed = summed === 0 ? salt : withSeed(this.#payloadCrc, summed, salt);
    return seededCrc(this.#bytes, ENTRY_HEADER_BYTES + summed, this.entryBytes, seed);
  }

  /** What becomes of the block added last, of `recordCount` records. */
  settled(recordCount: number): Promise<Stored> {
    this.#counts.push(recordCount);
    return new Promise(this.#keepResolve);
  }

  /**
   * Copies the ends, moved to where the payloads will lie. Returns the end of the last value in the
   * block.
   */
  #rebaseEnds(block: RecordBlock): number {
    const { count, delimiterBytes } = block;
    const source = block.valueEnds;
    const target = this.#valueEnds;
    const first = this.#recordCount;
    const shift = this.#payloadBytes - block.valuesStart;
    let previous = block.valuesStart;
    for (let index = 0; index < count; index += 1) {
      const end = source[index] ?? 0;
      // Also catches ends that fall. What was written to the scratch array so far is behind its
      // used part.
      if (end - previous < delimiterBytes)
        throw invalidBlock(
          `value ${index} ends at ${end} and begins at ${previous} with ${delimiterBytes} delimiter bytes`,
        );
      target[first + index] = end + shift;
      previous = end;
    }
    if (previous > block.values.length)
      throw invalidBlock(`values end at ${previous}, ${block.values.length} bytes were given`);
    return previous;
  }

  /**
   * A wall clock that went back inside an entry counts as no time passed: receive times are labels.
   */
  #fillTimes(count: number, wallMs: number): void {
    const delta = Math.min(Math.max(Math.round((wallMs - this.#baseTimeMs) * 1000), 0), UINT32_MAX);
    if (count === 1) this.#timeDeltas[this.#recordCount] = delta;
    else this.#timeDeltas.fill(delta, this.#recordCount, this.#recordCount + count);
  }

  /**
   * Describes the block. Neighbours of one channel that carry nothing but values become one block,
   * so that many small appends are read back as few blocks; one with a position stays apart,
   * because the position is its own.
   */
  #addHead(block: RecordBlock, channelId: number, epoch: number): void {
    const columns = columnsOf(block);
    const positionBytes = block.position?.length ?? 0;
    const isPlain = columns === 0 && positionBytes === 0;
    if (isPlain && this.#joinsLast(block, channelId, epoch)) return;
    const heads = this.#growHeads();
    const at = this.#blockCount * HEAD_WORDS;
    heads[at] = channelId;
    heads[at + 1] = epoch;
    heads[at + 2] = block.count;
    heads[at + 3] = positionBytes;
    heads[at + 4] = block.delimiterBytes | (columns << 8);
    heads[at + 5] = isPlain
      ? 0
      : this.#extras.add(block, this.#recordCount) - padTo8(positionBytes);
    heads[at + 6] = 0;
    heads[at + 7] = 0;
    this.#blockCount += 1;
  }

  /** Whether the last block took this one in. */
  #joinsLast(block: RecordBlock, channelId: number, epoch: number): boolean {
    const heads = this.#heads;
    const last = (this.#blockCount - 1) * HEAD_WORDS;
    if (last < 0 || heads[last] !== channelId || heads[last + 1] !== epoch) return false;
    // Equal to the delimiter bytes alone: no columns.
    if (heads[last + 3] !== 0 || heads[last + 4] !== block.delimiterBytes) return false;
    heads[last + 2] = (heads[last + 2] ?? 0) + block.count;
    return true;
  }

  /**
   * Lays the body out behind the payloads. Nothing may be added after; may be called once per
   * reset.
   */
  layOut(): void {
    const bytes = this.#bytes;
    let at = ENTRY_HEADER_BYTES + this.#payloadBytes;
    const endsAt = ENTRY_HEADER_BYTES + padTo8(this.#payloadBytes);
    bytes.fill(0, at, endsAt);
    new Uint32Array(bytes.buffer, endsAt, this.#recordCount).set(
      this.#valueEnds.subarray(0, this.#recordCount),
    );
    at = endsAt + this.#recordCount * 4;
    new Uint32Array(bytes.buffer, at, this.#recordCount).set(
      this.#timeDeltas.subarray(0, this.#recordCount),
    );
    at += this.#recordCount * 4;
    new Uint32Array(bytes.buffer, at, this.#blockCount * HEAD_WORDS).set(
      this.#heads.subarray(0, this.#blockCount * HEAD_WORDS),
    );
    at += this.#blockCount * BLOCK_HEADER_BYTES;
    bytes.set(this.#extras.bytes, at);
    at += this.#extras.byteCount;
    // What the last entry left behind must not reach the disk as padding.
    bytes.fill(0, at, entryDiskBytes(at));
  }

  /**
   * Writes the header in front of the laid-out body. May be called again with other fields and
   * another salt: a rescue writes the same body to another segment. Returns what is to be written
   * and the header's checksum.
   */
  seal(
    fields: Pick<
      EntryFields,
      "firstOffset" | "durableEnd" | "epoch" | "segmentId" | "previousHeaderCrc"
    >,
    salt: number,
  ): { readonly bytes: Uint8Array; readonly diskBytes: number; readonly headerCrc: number } {
    const { entryBytes } = this;
    const { firstOffset, durableEnd, epoch, segmentId, previousHeaderCrc } = fields;
    const headerCrc = sealHeader(
      this.#bytes,
      0,
      {
        firstOffset,
        durableEnd,
        epoch,
        segmentId,
        previousHeaderCrc,
        type: ENTRY_TYPE.data,
        entryBytes,
        recordCount: this.#recordCount,
        baseTimeMs: this.#baseTimeMs,
        payloadBytes: this.#payloadBytes,
        blockCount: this.#blockCount,
      },
      { bodyCrc: this.#bodyCrc(salt), salt },
    );
    return { bytes: this.#bytes, diskBytes: entryDiskBytes(entryBytes), headerCrc };
  }

  /** Calls `visit` for each block with a position, in order. The position is a view. */
  forEachPosition(visit: (channelId: number, position: Uint8Array) => void): void {
    const { bytes } = this.#extras;
    if (bytes.length === 0) return;
    let at = 0;
    for (let word = 0; word < this.#blockCount * HEAD_WORDS; word += HEAD_WORDS) {
      const positionBytes = this.#heads[word + 3] ?? 0;
      if (positionBytes > 0) visit(this.#heads[word] ?? 0, bytes.subarray(at, at + positionBytes));
      at += padTo8(positionBytes) + (this.#heads[word + 5] ?? 0);
    }
  }

  /**
   * Tells every caller, in the order of their calls, where its records are, and forgets the entry.
   */
  resolveAll(firstOffset: number): void {
    let offset = firstOffset;
    for (let index = 0; index < this.#resolves.length; index += 1) {
      const recordCount = this.#counts[index] ?? 0;
      this.#resolves[index]?.({ firstOffset: offset, recordCount });
      offset += recordCount;
    }
    this.#reset();
  }

  /** Tells every caller that its records were not stored, and forgets the entry. */
  rejectAll(cause: Error): void {
    for (const resolve of this.#resolves) resolve(Promise.reject(cause));
    this.#reset();
  }

  #reset(): void {
    this.#resolves.length = 0;
    this.#counts.length = 0;
    this.#payloadBytes = 0;
    this.#summedBytes = 0;
    this.#payloadCrc = 0;
    this.#recordCount = 0;
    this.#blockCount = 0;
    this.#extras.reset();
    this.#entryBytes = ENTRY_HEADER_BYTES;
  }

  #growBytes(entryBytes: number): void {
    // Its length is a multiple of what a commit is aligned to.
    if (entryBytes <= this.#bytes.length) return;
    const needed = entryDiskBytes(entryBytes);
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(
      this.#bytes.subarray(ENTRY_HEADER_BYTES, ENTRY_HEADER_BYTES + this.#payloadBytes),
      ENTRY_HEADER_BYTES,
    );
    this.#bytes = grown;
  }

  #growRecords(recordCount: number): void {
    if (recordCount <= this.#valueEnds.length) return;
    const length = Math.max(recordCount, 2 * this.#valueEnds.length);
    this.#valueEnds = grownCopy(this.#valueEnds, this.#recordCount, length);
    this.#timeDeltas = grownCopy(this.#timeDeltas, this.#recordCount, length);
  }

  #growHeads(): Uint32Array {
    const used = this.#blockCount * HEAD_WORDS;
    if (used + HEAD_WORDS > this.#heads.length)
      this.#heads = grownCopy(this.#heads, used, 2 * this.#heads.length);
    return this.#heads;
  }
}

function grownCopy(array: Uint32Array, used: number, length: number): Uint32Array {
  const grown = new Uint32Array(length);
  grown.set(array.subarray(0, used));
  return grown;
}
