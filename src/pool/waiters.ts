/**
 * Who waits for a connection, in the order of asking. Whoever gave up is out of the queue at once.
 */
import type { Clock } from "../host/clock.ts";

interface Waiter<T> {
  readonly serve: (value: T) => void;
  readonly refuse: (cause: unknown) => void;
}

/** One wait. */
export interface Wait<T, R> {
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
  readonly expired: () => Error;
  /** What the caller gets for what is served. Called at once: nothing is served to somebody who has left. */
  readonly grant: (value: T) => R;
}

/** See the file's head. The pool limits how many there are. */
export class Waiters<T> {
  /** In order of arrival; taken out anywhere in constant time. */
  readonly #queue = new Set<Waiter<T>>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#queue.size;
  }

  /** Resolves when served; rejects at the deadline, with the signal's reason, or as told. */
  add<R>({ deadlineMs, signal, expired, grant }: Wait<T, R>): Promise<R> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#queue.delete(waiter);
        cancel();
        signal?.removeEventListener("abort", stop);
      };
      const waiter: Waiter<T> = {
        serve: (value) => {
          leave();
          resolve(grant(value));
        },
        refuse: (cause) => {
          leave();
          reject(cause);
        },
      };
      const stop = (): void => waiter.refuse(signal?.reason);
      const cancel = this.#clock.after(deadlineMs, () => waiter.refuse(expired()));
      signal?.addEventListener("abort", stop, { once: true });
      this.#queue.add(waiter);
    });
  }

  /** Gives a value to whoever waits longest. */
  serve(value: T): void {
    const [first] = this.#queue;
    first?.serve(value);
  }

  /** Refuses everybody. */
  refuseAll(cause: () => Error): void {
    for (const waiter of this.#queue) waiter.refuse(cause());
  }
}
