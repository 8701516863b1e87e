/**
 * A segment in memory: where it is, where it ends, and a sparse index of its entries.
 */
import type { ChannelName } from "./block-codec.ts";
import { SEGMENT_HEADER_BYTES } from "./format.ts";

/** Distance of index points: 16 bytes of memory per this many bytes on disk. */
const INDEX_STRIDE_BYTES: number = 256 * 1024;

/** A place in a segment: the entry at `position` begins with record `offset`. */
export interface SegmentPlace {
  readonly position: number;
  readonly offset: number;
}

/**
 * Offsets and positions of some entries, ascending in both. Only entries that are durable are in
 * it.
 */
export class EntryIndex {
  readonly #offsets: number[];
  readonly #positions: number[];
  readonly #strideBytes: number;
  /** Where the last reader stopped: the next one usually goes on there. */
  #hint: SegmentPlace | undefined;

  constructor(start: SegmentPlace, strideBytes: number = INDEX_STRIDE_BYTES) {
    this.#strideBytes = strideBytes;
    // Literals: most segments never get a second point, and a first push makes room for many.
    this.#offsets = [start.offset];
    this.#positions = [start.position];
  }

  /** Notes an entry; ignored when it is not behind the last point by the stride. */
  add(place: SegmentPlace): void {
    const last = this.#positions.at(-1) ?? 0;
    if (place.position < last + this.#strideBytes) return;
    this.#offsets.push(place.offset);
    this.#positions.push(place.position);
  }

  /** Remembers an exact entry beside the stride. */
  hint(place: SegmentPlace): void {
    this.#hint = place;
  }

  /** The last known entry that begins at or before `offset`. */
  placeBefore(offset: number): SegmentPlace {
    const index = this.#indexBefore(offset);
    const point = { offset: this.#offsets[index] ?? 0, position: this.#positions[index] ?? 0 };
    const hint = this.#hint;
    return hint !== undefined && hint.offset <= offset && hint.position > point.position
      ? hint
      : point;
  }

  /**
   * About how many bytes lie between the segment's start and `offset`, interpolated between the
   * neighbouring points; `end` is the segment's.
   */
  bytesBefore(offset: number, end: SegmentPlace): number {
    const index = this.#indexBefore(offset);
    const from = { offset: this.#offsets[index] ?? 0, position: this.#positions[index] ?? 0 };
    const to = {
      offset: this.#offsets[index + 1] ?? end.offset,
      position: this.#positions[index + 1] ?? end.position,
    };
    const share = to.offset > from.offset ? (offset - from.offset) / (to.offset - from.offset) : 0;
    return from.position + Math.min(share, 1) * (to.position - from.position);
  }

  /**
   * About the offset that is `bytes` behind the segment's start; the inverse of {@link
   * bytesBefore}.
   */
  offsetAt(bytes: number, end: SegmentPlace): number {
    let low = 0;
    let high = this.#positions.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#positions[middle] ?? 0) <= bytes) low = middle;
      else high = middle - 1;
    }
    const from = { offset: this.#offsets[low] ?? 0, position: this.#positions[low] ?? 0 };
    const to = {
      offset: this.#offsets[low + 1] ?? end.offset,
      position: this.#positions[low + 1] ?? end.position,
    };
    const share =
      to.position > from.position
        ? Math.max(bytes - from.position, 0) / (to.position - from.position)
        : 0;
    return Math.min(Math.floor(from.offset + share * (to.offset - from.offset)), end.offset);
  }

  #indexBefore(offset: number): number {
    let low = 0;
    let high = this.#offsets.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#offsets[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function startIndex(identity: SegmentIdentity): EntryIndex {
  return new EntryIndex({ position: SEGMENT_HEADER_BYTES, offset: identity.baseOffset });
}

/** What identifies a segment. */
export interface SegmentIdentity {
  readonly segmentId: number;
  readonly baseOffset: number;
  readonly salt: number;
  /** Epoch of its writer; entries may have a later one. */
  readonly epoch: number;
  readonly capacityBytes: number;
  /** Name in the log's directory. */
  readonly fileName: string;
}

/** A segment that holds records, or will. */
export class Segment {
  readonly identity: SegmentIdentity;
  /** Behind the last durable entry. Moved by the writer after each commit. */
  end: SegmentPlace;
  /** Newest receive time in it, wall ms; 0 when unknown. */
  lastTimeMs = 0;
  /** Readers inside: its file must not be given away. */
  pins = 0;
  /** Names of the channel ids in it, as far as its entries were seen. */
  names: Map<number, ChannelName> = new Map();
  /**
   * Points up to where someone has walked, from the start on: all NAMES before a point are in
   * `names`.
   */
  index: EntryIndex;

  constructor(identity: SegmentIdentity, end: SegmentPlace) {
    this.identity = identity;
    this.end = end;
    this.index = startIndex(identity);
  }

  /** Frees index and names; the next reader walks the segment from its start again. */
  forgetIndex(): void {
    this.names = new Map();
    this.index = startIndex(this.identity);
  }

  /** Whether `offset` is one of its records. */
  holds(offset: number): boolean {
    return offset >= this.identity.baseOffset && offset < this.end.offset;
  }
}
