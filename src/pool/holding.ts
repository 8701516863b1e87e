/**
 * The pool's side of a lease: since when, for whom, what is unanswered. It never refers to the lease itself, so that
 * a lease which nobody holds any more can be noticed.
 */
import type { Cancel, Clock } from "../host/clock.ts";
import type { CallSite } from "./call-site.ts";

/** What a holding works with. */
export interface HoldingParts {
  readonly clock: Clock;
  readonly site: CallSite;
  readonly leakAfterMs: number;
  readonly progressDeadlineMs: number;
  /** Held for `leakAfterMs`. */
  readonly leaked: () => void;
  /** The oldest operation is unanswered for `progressDeadlineMs`. */
  readonly stalled: () => void;
}

/** See the file's head. */
export class Holding {
  readonly site: CallSite;
  readonly sinceMs: number;
  readonly #parts: HoldingParts;
  /** Begin of each unanswered operation, oldest first. As many as the holder has in flight. */
  readonly #unanswered = new Map<object, number>();
  readonly #cancelLeak: Cancel;
  #cancelProgress: Cancel | undefined;
  /** Ends the operation that a whole call counts as. */
  #answerWhole: (() => void) | undefined;
  #isOver = false;
  #taken: { readonly cause: unknown } | undefined;
  #onTaken: ((cause: unknown) => void) | undefined;
  #abort: AbortController | undefined;

  constructor(parts: HoldingParts) {
    this.#parts = parts;
    this.site = parts.site;
    this.sinceMs = parts.clock.monotonicMs();
    this.#cancelLeak = timer(parts.clock, parts.leakAfterMs, parts.leaked);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get unansweredCount(): number {
    return this.#unanswered.size;
  }

  /** Made when it is asked for: most holders never do. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#taken !== undefined) this.#abort.abort(this.#taken.cause);
    }
    return this.#abort.signal;
  }

  /** Everything from now to the end, or to the first `pending`, is one operation; `onTaken` hears when it is cut off. */
  watchWhole(onTaken: (cause: unknown) => void): void {
    if (this.#taken !== undefined) return onTaken(this.#taken.cause);
    this.#onTaken = onTaken;
    this.#answerWhole = this.#begin();
  }

  /** The whole is through. */
  answerWhole(): void {
    this.#answerWhole?.();
    this.#answerWhole = undefined;
  }

  /** An operation begins; call the result when it is answered. */
  pending(): () => void {
    this.answerWhole();
    return this.#begin();
  }

  /** Over, with a cause when it is taken away. Ends the timers. */
  end(taken?: { readonly cause: unknown }): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelLeak();
    this.#cancelProgress?.();
    this.#taken = taken;
    if (taken === undefined) return;
    this.#abort?.abort(taken.cause);
    this.#onTaken?.(taken.cause);
  }

  #begin(): () => void {
    const operation = {};
    if (!this.#isOver) {
      this.#unanswered.set(operation, this.#parts.clock.monotonicMs());
      if (this.#cancelProgress === undefined) this.#watchOldest(this.#parts.progressDeadlineMs);
    }
    return () => this.#unanswered.delete(operation);
  }

  /** One timer for all: when it fires it looks at what is the oldest by then. */
  #watchOldest(delayMs: number): void {
    const { clock, progressDeadlineMs, stalled } = this.#parts;
    this.#cancelProgress = timer(clock, delayMs, () => {
      this.#cancelProgress = undefined;
      const [oldestMs] = this.#unanswered.values();
      if (oldestMs === undefined) return;
      const leftMs = oldestMs + progressDeadlineMs - clock.monotonicMs();
      // Timers count whole milliseconds and may be early by a fraction.
      if (leftMs >= 1) this.#watchOldest(leftMs);
      else stalled();
    });
  }
}

/** A timer that Infinity never starts. */
export function timer(clock: Clock, ms: number, callback: () => void): Cancel {
  return ms === Infinity ? () => undefined : clock.after(ms, callback);
}
