/**
 * What all connections of a receiver keep of messages whose end has not come: each has its limit, and a thousand of them
 * together still more than a gateway has. Beyond the limit of all, the connection that keeps most is ended; what it had begun
 * was never acknowledged. Redis ends its clients by the same rule (`maxmemory-clients`).
 */
import { HoldfastError } from "../errors.ts";

/** A connection. */
export interface UnfinishedHolder {
  /** It ends for this reason; it keeps nothing from now on. */
  evict(cause: HoldfastError): void;
}

const MIB = 1_048_576;

/** Bounds of the limit as an option of receivers; the least is more than the longest message. */
export const UNFINISHED_BYTES: {
  readonly default: number;
  readonly min: number;
  readonly max: number;
} = { default: 32 * MIB, min: 4 * MIB, max: 65_536 * MIB };

/** See the file's head. */
export class UnfinishedBytes {
  readonly #bytesMax: number;
  /** Those that keep anything. */
  readonly #kept = new Map<UnfinishedHolder, number>();
  #sum = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** So much is kept now; may evict this holder or others. */
  set(holder: UnfinishedHolder, byteCount: number): void {
    const before = this.#kept.get(holder) ?? 0;
    if (byteCount === before) return;
    this.#sum += byteCount - before;
    if (byteCount === 0) this.#kept.delete(holder);
    else this.#kept.set(holder, byteCount);
    while (this.#sum > this.#bytesMax) this.#evictLargest();
  }

  #evictLargest(): void {
    let largest: UnfinishedHolder | undefined;
    let most = 0;
    for (const [holder, byteCount] of this.#kept)
      if (byteCount > most) {
        largest = holder;
        most = byteCount;
      }
    const sum = this.#sum;
    const count = this.#kept.size;
    this.#sum -= most;
    if (largest === undefined) return;
    this.#kept.delete(largest);
    largest.evict(
      new HoldfastError(
        "BUSY",
        `unfinished messages of ${count} connections take ${sum} bytes, limit ${this.#bytesMax}, and ${most} of it are here`,
        { fix: "send shorter messages, or on fewer connections at a time, or raise unfinishedMax" },
      ),
    );
  }
}
