/**
 * A limit on records per second.
 */
import type { Cancel, Clock } from "./host/clock.ts";

/** A plain token bucket of one second: over it, the receiver is paused until the debt is paid. */
export class RateLimit {
  readonly #perSecond: number;
  readonly #clock: Clock;
  readonly #over: (isOver: boolean) => void;
  #tokens: number;
  #filledMs: number;
  #timer: Cancel | undefined;

  constructor(perSecond: number, clock: Clock, over: (isOver: boolean) => void) {
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#over = over;
    this.#tokens = perSecond;
    this.#filledMs = clock.monotonicMs();
  }

  spend(recordCount: number): void {
    const nowMs = this.#clock.monotonicMs();
    const refilled = this.#tokens + ((nowMs - this.#filledMs) / 1000) * this.#perSecond;
    this.#filledMs = nowMs;
    this.#tokens = Math.min(this.#perSecond, refilled) - recordCount;
    if (this.#tokens >= 0 || this.#timer !== undefined) return;
    this.#over(true);
    this.#timer = this.#clock.after((-this.#tokens / this.#perSecond) * 1000, () => {
      this.#timer = undefined;
      this.#over(false);
    });
  }

  close(): void {
    this.#timer?.();
  }
}
