/**
 * Notices that nothing has happened for too long. A sign of life costs one reading of the clock: the timer that runs
 * is moved only when it fires.
 */
import type { Cancel, Clock } from "../host/clock.ts";

/** See the file's head. It runs from its making until it fires or is stopped. */
export class Watchdog {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #stalled: (silentMs: number) => void;
  #aliveMs: number;
  #cancel: Cancel;

  /** @param stalled - called once, with the milliseconds since the last sign of life */
  constructor(clock: Clock, limitMs: number, stalled: (silentMs: number) => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#stalled = stalled;
    this.#aliveMs = clock.monotonicMs();
    this.#cancel = clock.after(limitMs, () => this.#check());
  }

  alive(): void {
    this.#aliveMs = this.#clock.monotonicMs();
  }

  stop(): void {
    this.#cancel();
  }

  #check(): void {
    const silentMs = this.#clock.monotonicMs() - this.#aliveMs;
    // A timer may fire a little early by the monotonic clock: then it waits for the rest.
    if (silentMs >= this.#limitMs) return this.#stalled(silentMs);
    this.#cancel = this.#clock.after(this.#limitMs - silentMs, () => this.#check());
  }
}
