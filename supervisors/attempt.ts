/**
 * The wait for the next attempt of a child or a group: one at a time, visible, and taken back by whatever comes first.
 */
import type { Cancel, Clock } from "../src/host/clock.ts";

/** See the file's head. */
export class Attempt {
  readonly #clock: Clock;
  #dueMs: number | undefined;
  #cancel: Cancel | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Monotonic milliseconds; undefined when nothing is waited for. */
  get dueMs(): number | undefined {
    return this.#dueMs;
  }

  /** Calls when the time has come, unless it is taken back before. */
  schedule(delayMs: number, due: () => void): void {
    this.cancel();
    this.#dueMs = this.#clock.monotonicMs() + delayMs;
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#dueMs = undefined;
      due();
    });
  }

  cancel(): void {
    this.#dueMs = undefined;
    this.#cancel?.();
  }
}
