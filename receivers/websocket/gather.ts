/**
 * Messages to blocks: what one connection delivers in one turn of the event loop becomes one block.
 */
import type { RecordBlock } from "../../src/contract/record.ts";

/** Most bytes and messages of a gathered block; a longer message is a block by itself. */
const BYTES_MAX: number = 256 * 1024;
const COUNT_MAX = 16_384;

/** Who takes a block; its arrays are used again after the call. */
export interface BlockTaker {
  take(block: RecordBlock): void;
}

/** Gathers for all connections of a receiver, which take turns. */
export class Gather {
  readonly #values = new Uint8Array(BYTES_MAX);
  readonly #ends = new Uint32Array(COUNT_MAX);
  readonly #guard: (flush: () => void) => () => void;
  #taker: BlockTaker | undefined;
  #count = 0;
  #bytes = 0;
  #isFlushDue = false;

  /** `guard` wraps what is called later. */
  constructor(guard: (flush: () => void) => () => void) {
    this.#guard = guard;
  }

  /** A message of `taker`, whose bytes may change after the call. Its block follows at the end of the turn. */
  add(taker: BlockTaker, message: Uint8Array): void {
    const { length } = message;
    if (this.#taker !== taker || this.#count === COUNT_MAX || this.#bytes + length > BYTES_MAX)
      this.flush();
    if (length > BYTES_MAX) return taker.take(blockOf(message, Uint32Array.of(length), 1));
    this.#taker = taker;
    this.#values.set(message, this.#bytes);
    this.#bytes += length;
    this.#ends[this.#count++] = this.#bytes;
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    // Runs when the chunk that is being read is through: nothing else of the loop comes before.
    queueMicrotask(
      this.#guard(() => {
        this.#isFlushDue = false;
        this.flush();
      }),
    );
  }

  /** Hands over what there is. */
  flush(): void {
    const taker = this.#taker;
    if (taker === undefined) return;
    const block = blockOf(this.#values, this.#ends, this.#count);
    this.#taker = undefined;
    this.#count = 0;
    this.#bytes = 0;
    taker.take(block);
  }
}

function blockOf(values: Uint8Array, valueEnds: Uint32Array, count: number): RecordBlock {
  return { count, values, valuesStart: 0, valueEnds, delimiterBytes: 0, channel: "" };
}
