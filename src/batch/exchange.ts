/**
 * Hands the chunks of a batch from the one loop that makes them to the sinks that take them, in step: the loop
 * goes on when every sink has asked for more, so a batch never piles up and views stay valid while they are used.
 */
import type { RowChunk } from "../contract/sink.ts";

type Taken = IteratorResult<RowChunk<unknown>, undefined>;

interface Waiting {
  resolve(result: Taken): void;
  reject(cause: unknown): void;
}

/** One sink's end. Iterated once by the sink; driven by the processor. */
export class Exchange
  implements AsyncIterable<RowChunk<unknown>>, AsyncIterator<RowChunk<unknown>, undefined>
{
  #waiting: Waiting | undefined;
  #asked: (() => void) | undefined;
  #ended: { readonly cause: unknown } | undefined;
  #left = false;
  /** Rows handed over so far. */
  rowCount = 0;

  [Symbol.asyncIterator](): AsyncIterator<RowChunk<unknown>, undefined> {
    return this;
  }

  next(): Promise<Taken> {
    const ended = this.#ended;
    if (ended !== undefined)
      return ended.cause === undefined ? Promise.resolve(DONE) : Promise.reject(ended.cause);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#release();
    });
  }

  /** The sink stopped iterating: it has the batch, or failed. */
  return(): Promise<Taken> {
    this.leave();
    return Promise.resolve(DONE);
  }

  /** Nothing more is handed to this sink; the loop no longer waits for it. */
  leave(): void {
    this.#left = true;
    this.#release();
  }

  /** Resolves when the sink is ready to take a chunk, or will take none any more. */
  ready(): Promise<void> {
    if (this.#left || this.#waiting !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#asked = resolve;
    });
  }

  /** Hands a chunk over. Only after `ready`; dropped when the sink has left. */
  give(chunk: RowChunk<unknown>): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) return;
    this.rowCount += chunk.count;
    waiting.resolve({ done: false, value: chunk });
  }

  /** Ends the iteration; with a cause, it throws that: the sink rolls back. */
  end(cause?: unknown): void {
    this.#ended = { cause };
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (cause === undefined) waiting?.resolve(DONE);
    else waiting?.reject(cause);
  }

  #release(): void {
    const asked = this.#asked;
    this.#asked = undefined;
    asked?.();
  }
}

const DONE: Taken = { done: true, value: undefined };
