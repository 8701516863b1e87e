/**
 * Time that moves when a test says so.
 */
import { type Cancel, type Clock, realClock, sleepWith, TIMER_MS_MAX } from "../host/clock.ts";

/** Turns of the event loop after which nothing that a timer set off is still moving by itself. */
const SETTLE_TURNS = 4;
/** Whoever yields more often than this in one step waits for something that cannot come. */
const YIELDS_MAX = 100_000;

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that stands still until it is moved. Implements {@link Clock} without the machine's time. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #wallStartMs: number;
  /** In order of creation: of two timers due at once the older one fires first. */
  #timers = new Set<Timer>();
  #yielding = 0;
  #yields = 0;

  /** @param options.wallStartMs - what the wall clock shows at first, milliseconds since 1970 */
  constructor(options: { readonly wallStartMs?: number } = {}) {
    this.#wallStartMs = options.wallStartMs ?? 1_700_000_000_000;
  }

  /** Wall time, milliseconds since 1970. */
  get nowMs(): number {
    return this.wallMs();
  }

  /** Timers that wait. */
  get timerCount(): number {
    return this.#timers.size;
  }

  wallMs(): number {
    return this.#wallStartMs + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Moves the wall clock alone, as an operator or NTP does. */
  jumpWall(ms: number): void {
    this.#wallStartMs += ms;
  }

  after(ms: number, callback: () => void): Cancel {
    const timer: Timer = { atMs: this.#nowMs + Math.min(Math.max(ms, 0), TIMER_MS_MAX), callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return sleepWith((delayMs, callback) => this.after(delayMs, callback), ms, signal);
  }

  async yield(): Promise<void> {
    this.#yields += 1;
    if (this.#yields > YIELDS_MAX)
      throw new Error(`more than ${YIELDS_MAX} yields without time moving`);
    this.#yielding += 1;
    await realClock.yield();
    this.#yielding -= 1;
  }

  /** Lets everything happen that needs no time: promises, yields, immediates. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < SETTLE_TURNS || this.#yielding > 0; turn += 1)
      await realClock.yield();
  }

  /** Moves time, firing the timers on the way in order, and lets what each sets off settle before the next. */
  async advance(ms: number): Promise<void> {
    const targetMs = this.#nowMs + ms;
    await this.settle();
    for (let timer = this.#next(targetMs); timer !== undefined; timer = this.#next(targetMs)) {
      this.#timers.delete(timer);
      this.#moveTo(timer.atMs);
      timer.callback();
      await this.settle();
    }
    this.#moveTo(targetMs);
  }

  #moveTo(ms: number): void {
    this.#nowMs = Math.max(this.#nowMs, ms);
    this.#yields = 0;
  }

  /** The timer that is due first, if it is due by then. */
  #next(untilMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers)
      if (timer.atMs <= untilMs && timer.atMs < (next?.atMs ?? Infinity)) next = timer;
    return next;
  }
}
