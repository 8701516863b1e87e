/**
 * How a batch is shared among partitions. Pure.
 */

/** Assumed of records before any was read. */
const BYTES_FIRST = 1_024;
/** Of a record beside its value, about; and what a fetch asks for beyond what is expected, so that few need another one. */
const FRAME_BYTES = 64;
const FETCH_FACTOR = 2;
/** A fetch asks for so much in any case: its cost is the round trip. */
const FETCH_BYTES_MIN = 65_536;
/** Of a new measure in the mean. */
const WEIGHT = 0.2;

/** Running mean of the bytes behind an offset: holes count, so that it says what a range will have. */
export class MeanBytes {
  #mean: number | undefined;

  get perOffset(): number {
    return this.#mean ?? BYTES_FIRST;
  }

  /** Hears what a range had. */
  add(bytes: number, offsetCount: number): void {
    if (offsetCount === 0) return;
    const measured = bytes / offsetCount;
    this.#mean =
      this.#mean === undefined ? measured : this.#mean + WEIGHT * (measured - this.#mean);
  }

  /** What to fetch of so many offsets: a range is often far shorter than a fetch may be, and what lies behind it is thrown away. */
  fetchBytes(offsetCount: number): number {
    const expected = offsetCount * (this.perOffset + FRAME_BYTES) * FETCH_FACTOR;
    return Math.max(FETCH_BYTES_MIN, Math.ceil(expected));
  }

  /** Offsets that stay within both bounds; 1 at least. */
  within({
    recordsMax,
    bytesMax,
  }: {
    readonly recordsMax: number;
    readonly bytesMax: number;
  }): number {
    return Math.max(1, Math.min(recordsMax, Math.floor(bytesMax / this.perOffset)));
  }
}

/**
 * What each may take of `limit` when they have so much: equal shares, and what one does not need goes to the others. With more
 * partitions than offsets `turn` decides whose turn it is; count it up, and none starves.
 */
export function sharesOf(
  available: ReadonlyMap<string, number>,
  limit: number,
  turn: number,
): ReadonlyMap<string, number> {
  const waiting = [...available].filter(([, count]) => count > 0);
  const first = waiting.length === 0 ? 0 : turn % waiting.length;
  const inTurn = [...waiting.slice(first), ...waiting.slice(0, first)].slice(0, limit);
  const shares = new Map<string, number>();
  let left = limit;
  let count = inTurn.length;
  for (const [key, wanted] of inTurn.toSorted(([, a], [, b]) => a - b)) {
    const share = Math.min(wanted, Math.floor(left / count));
    shares.set(key, share);
    left -= share;
    count--;
  }
  return shares;
}
