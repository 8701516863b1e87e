/**
 * Waits that always end: for work that may hang, with a deadline or until a signal aborts.
 */
import type { Clock } from "../host/clock.ts";

/** What is done already: one promise for all who need one that waits for nothing. */
export const DONE: Promise<void> = Promise.resolve();

/** A promise that is settled from outside. */
export interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (cause: Error) => void;
}

/** A promise with its two ends. Nobody has to wait for it: a rejection that is not awaited stays silent. */
export function deferred(): Deferred {
  let ends: Omit<Deferred, "promise"> | undefined;
  const promise = new Promise<void>((resolve, reject) => {
    ends = { resolve, reject };
  });
  promise.catch(() => undefined);
  return { promise, resolve: () => ends?.resolve(), reject: (cause) => ends?.reject(cause) };
}

/** An outcome that many are asked for and few wait for: the promise is made when somebody asks. */
export class Latch {
  #outcome: "pending" | "done" | Error = "pending";
  #deferred: Deferred | undefined;

  get promise(): Promise<void> {
    if (this.#outcome === "done") return DONE;
    this.#deferred ??= deferred();
    if (this.#outcome !== "pending") this.#deferred.reject(this.#outcome);
    return this.#deferred.promise;
  }

  /** The first call counts, of this or {@link reject}. */
  resolve(): void {
    if (this.#outcome !== "pending") return;
    this.#outcome = "done";
    this.#deferred?.resolve();
  }

  reject(cause: Error): void {
    if (this.#outcome !== "pending") return;
    this.#outcome = cause;
    this.#deferred?.reject(cause);
  }
}

/** Whether `work` settled, either way, within `limitMs`. Never rejects; leaves no timer behind. */
export function isSettledWithin(
  clock: Clock,
  work: Promise<unknown>,
  limitMs: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = clock.after(limitMs, () => resolve(false));
    const settled = (): void => {
      cancel();
      resolve(true);
    };
    work.then(settled, settled);
  });
}

/** Resolves when `work` settled, either way, or the signal aborts. Never rejects. */
export function settledOr(work: Promise<unknown> | undefined, signal: AbortSignal): Promise<void> {
  if (work === undefined || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      signal.removeEventListener("abort", end);
      resolve();
    };
    signal.addEventListener("abort", end, { once: true });
    work.then(end, end);
  });
}
