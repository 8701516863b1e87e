/**
 * One call to the outside with a deadline that holds whether or not the call heeds its signal.
 */
import type { Clock } from "../host/clock.ts";

/** A call and its limits. */
export interface Limited<T> {
  readonly clock: Clock;
  readonly deadlineMs: number;
  /** Ends the call early. */
  readonly signal: AbortSignal;
  readonly call: (signal: AbortSignal) => Promise<T>;
  /** What the deadline is reported as. */
  readonly expired: () => Error;
  readonly late?: Late<T>;
}

/** What becomes of a call that was given up. */
export interface Late<T> {
  /** It was given up just now. */
  readonly begin: () => void;
  /** It ended nevertheless, at most once: with a value, or with undefined when it failed. */
  readonly end: (value: T | undefined) => void;
}

/** The call's result; rejects at the deadline and when the signal aborts, and tells the call so. Leaves no timer. */
export function within<T>({
  clock,
  deadlineMs,
  signal,
  call,
  expired,
  late,
}: Limited<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return void reject(signal.reason);
    const inner = new AbortController();
    let isOver = false;
    const end = (settle: () => void): void => {
      isOver = true;
      cancel();
      signal.removeEventListener("abort", stop);
      settle();
    };
    const giveUp = (cause: unknown): void =>
      end(() => {
        late?.begin();
        reject(cause);
        inner.abort(cause);
      });
    const stop = (): void => giveUp(signal.reason);
    const cancel = clock.after(deadlineMs, () => giveUp(expired()));
    signal.addEventListener("abort", stop, { once: true });
    // An async function, so that a call that throws instead of rejecting is the same failure.
    const called = (async () => await call(inner.signal))();
    called.then(
      (value) => (isOver ? late?.end(value) : end(() => resolve(value))),
      (cause: unknown) => (isOver ? late?.end(undefined) : end(() => reject(cause))),
    );
  });
}
