/**
 * Time. The only file that touches `Date`, `performance` and timers.
 */

/** Cancels a timer; may be called twice and after it fired. */
export type Cancel = () => void;

/** Two clocks and timers on the monotonic one. */
export interface Clock {
  /** Milliseconds since 1970. May jump; for labels and records only, never for windows. */
  wallMs(): number;
  /** Milliseconds from an arbitrary start, with fractions; never goes back. */
  monotonicMs(): number;
  /** Calls once after `ms` (0 .. 2^31-1; more is cut to that). A throw inside is the caller's bug. */
  after(ms: number, callback: () => void): Cancel;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Resolves in a later turn of the event loop, after IO had its turn. */
  yield(): Promise<void>;
}

/** Longest timer of Node: a longer one would fire at once. */
export const TIMER_MS_MAX: number = 2 ** 31 - 1;

/** `sleep` for any clock that has `after`. */
export function sleepWith(after: Clock["after"], ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return void reject(signal.reason);
    const stop = (): void => {
      cancel();
      reject(signal.reason);
    };
    const cancel = after(ms, () => {
      signal.removeEventListener("abort", stop);
      resolve();
    });
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** Ends when `work` does, and as that does; after `ms` it resolves without it. Leaves no timer. */
export async function atMost(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  let cancel = (): void => undefined;
  const late = new Promise<void>((resolve) => {
    cancel = clock.after(ms, resolve);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    cancel();
  }
}

/** The machine's clock. Its timers keep the process alive until they fire or are cancelled. */
export const realClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), TIMER_MS_MAX));
    return () => clearTimeout(timer);
  },
  sleep: (ms, signal) =>
    sleepWith((delayMs, callback) => realClock.after(delayMs, callback), ms, signal),
  yield: () => new Promise((resolve) => setImmediate(resolve)),
};
