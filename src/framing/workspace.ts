/**
 * Memory that the splitters of one receiver share: they work one after the other, never at once.
 */

/** Where a block splitter writes ends, and joins a carried-over beginning with the chunk that follows it. */
export class Workspace {
  #ends = new Uint32Array(1_024);
  #joined = Buffer.alloc(0);

  /** The array for the ends; {@link moreEnds} may replace it. */
  get ends(): Uint32Array {
    return this.#ends;
  }

  /** A longer array for the ends with the same beginning. Bounded by the bytes of a chunk. */
  moreEnds(): Uint32Array {
    const longer = new Uint32Array(this.#ends.length * 2);
    longer.set(this.#ends);
    this.#ends = longer;
    return longer;
  }

  /** `byteCount` bytes, at most a message and a chunk. */
  joined(byteCount: number): Buffer {
    if (this.#joined.length < byteCount)
      this.#joined = Buffer.allocUnsafeSlow(Math.max(byteCount, 2 * this.#joined.length));
    return this.#joined.subarray(0, byteCount);
  }
}
