/** Virtual time in steps, for trees with tens of thousands of timers. */
import { type Cancel, type Clock, realClock, sleepWith } from "../../../src/host/clock.ts";

/** Timers fire at multiples of this, those of one instant in the order they were made. */
const STEP_MS = 10;
/** Turns of the event loop after timers have fired. */
const SETTLE_TURNS = 2;

/** Like `VirtualClock`, but the cost of a step does not grow with the number of timers that wait. */
export class CoarseClock implements Clock {
  #nowMs = 0;
  readonly #due = new Map<number, Set<() => void>>();
  #timerCount = 0;
  #yielding = 0;

  /** Timers that wait. */
  get timerCount(): number {
    return this.#timerCount;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(ms: number, callback: () => void): Cancel {
    const atMs = this.#nowMs + Math.max(1, Math.ceil(ms / STEP_MS)) * STEP_MS;
    const timers = this.#due.get(atMs) ?? new Set();
    this.#due.set(atMs, timers);
    // Its own function, so that one callback may wait twice.
    const timer = (): void => callback();
    timers.add(timer);
    this.#timerCount++;
    return () => {
      if (timers.delete(timer)) this.#timerCount--;
    };
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return sleepWith((delayMs, callback) => this.after(delayMs, callback), ms, signal);
  }

  async yield(): Promise<void> {
    this.#yielding++;
    await realClock.yield();
    this.#yielding--;
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < SETTLE_TURNS || this.#yielding > 0; turn++) await realClock.yield();
  }

  /** Moves time by whole steps, and lets what each step sets off settle. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    for (let left = Math.ceil(ms / STEP_MS); left > 0; left--) {
      this.#nowMs += STEP_MS;
      if (this.#fire()) await this.settle();
    }
  }

  #fire(): boolean {
    const timers = this.#due.get(this.#nowMs);
    if (timers === undefined) return false;
    this.#due.delete(this.#nowMs);
    for (const timer of timers) {
      // One that a timer before it has cancelled is not here any more.
      timers.delete(timer);
      this.#timerCount--;
      timer();
    }
    return true;
  }
}
