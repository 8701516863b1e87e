/**
 * A clock that stands still until it is told to move. Timers fire in the order of their time, then of their making.
 */
import { type Cancel, type Clock, realClock, sleepWith } from "../host/clock.ts";

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** Turns of the event loop that work started by a timer gets before the clock moves on. */
const SETTLE_TURNS = 20;

/** Implements {@link Clock} without the machine's time. */
export class VirtualClock implements Clock {
  readonly #startWallMs: number;
  readonly #timers = new Set<Timer>();
  #elapsedMs = 0;

  /** @param startMs - what the wall clock shows at first, milliseconds since 1970 */
  constructor(startMs = 0) {
    this.#startWallMs = startMs;
  }

  /** Wall time, milliseconds since 1970. */
  get nowMs(): number {
    return this.wallMs();
  }

  /** Timers that wait: 0 when nothing was left behind. */
  get timerCount(): number {
    return this.#timers.size;
  }

  wallMs(): number {
    return this.#startWallMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  after(ms: number, callback: () => void): Cancel {
    const timer = { dueMs: this.#elapsedMs + Math.max(ms, 0), callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return sleepWith((delayMs, callback) => this.after(delayMs, callback), ms, signal);
  }

  yield(): Promise<void> {
    return realClock.yield();
  }

  /** Moves time forward by `ms`, firing what falls due on the way; after each, work that it started gets its turns. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    await settle();
    for (let next = this.#next(endMs); next !== undefined; next = this.#next(endMs)) {
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      this.#timers.delete(next);
      next.callback();
      await settle();
    }
    this.#elapsedMs = endMs;
    await settle();
  }

  #next(endMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (timer.dueMs <= endMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    return next;
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLE_TURNS; turn++) await realClock.yield();
}
