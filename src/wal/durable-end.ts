/// <reference lib="es2024.sharedmemory" />
/**
 * The durable end as one number that threads of a process share: the writer moves it after each group commit, readers
 * wait for it. One cell of 64 bits, because two of 32 would tear.
 */
import type { Clock } from "../host/clock.ts";

const CELL_BYTES = 8;

/** Memory for one durable end, to be handed to a log and to readers in other threads. */
export function sharedDurableEnd(): SharedArrayBuffer {
  return new SharedArrayBuffer(CELL_BYTES);
}

/** One side of the shared number. */
export class DurableEndCell {
  readonly #cell: BigInt64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cell = new BigInt64Array(memory);
  }

  get value(): number {
    return Number(Atomics.load(this.#cell, 0));
  }

  /** Moves it and wakes everyone who waits. Only the writer calls this. */
  move(durableEnd: number): void {
    Atomics.store(this.#cell, 0, BigInt(durableEnd));
    Atomics.notify(this.#cell, 0);
  }

  /** Resolves when the number is another than `seen`, and after `timeoutMs` at the latest. Rejects when aborted. */
  async wait(
    seen: number,
    { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<void> {
    const wake = new AbortController();
    const both = AbortSignal.any([signal, wake.signal]);
    const waiting = Atomics.waitAsync(this.#cell, 0, BigInt(seen), timeoutMs);
    if (!waiting.async) return;
    // The timer also keeps the thread alive: a promise of Atomics does not.
    const slept = clock.sleep(timeoutMs, both).catch(() => undefined);
    await Promise.race([waiting.value, slept]);
    wake.abort();
    signal.throwIfAborted();
  }
}
