/**
 * The restarts of one child, or of one group: its window, its backoff and its slow lane. It judges failures and says
 * how long to wait; it starts nothing.
 *
 * Healthy is what ran for `resetAfterMs` without a failure and made progress. A peer that accepts and then kicks is
 * not: begun anew on "connected", its restarts would have no delay at all.
 */
import type { Strategy } from "../src/contract/unit.ts";
import type { Cancel, Clock } from "../src/host/clock.ts";
import type { Random } from "../src/host/random.ts";
import { delayMs, slowDelayMs } from "./backoff.ts";
import { recentRestarts, type RestartTimes } from "./restart-window.ts";
import { judge, type Verdict } from "./verdict.ts";

/** What restarts are counted with. */
export interface RestartsParts {
  readonly strategy: Strategy;
  readonly clock: Clock;
  readonly random: Random;
}

const NONE: RestartTimes = [];

/** See the file's head. */
export class Restarts {
  readonly #parts: RestartsParts;
  readonly #recovered: () => void;
  #times = NONE;
  /** Restarts since health, for the backoff. */
  #attempt = 0;
  /** Tries since it was parked. */
  #slowTries = 0;
  /** Until then a failure parks it again at once: its last try was that lately. */
  #isSlowUntilMs = -Infinity;
  #isAlive = false;
  #isStable = false;
  #cancel: Cancel | undefined;

  /** @param recovered - called when it is healthy again after failures */
  constructor(parts: RestartsParts, recovered: () => void) {
    this.#parts = parts;
    this.#recovered = recovered;
  }

  /** Restarts inside the current window. */
  get count(): number {
    const { clock, strategy } = this.#parts;
    return recentRestarts(this.#times, clock.monotonicMs(), strategy.withinMs).length;
  }

  get maxRestarts(): number {
    return this.#parts.strategy.maxRestarts;
  }

  /** Judges a failure; a restart that it grants is counted. Never throws. */
  judge(error: Error, isResumable: boolean): Verdict {
    const { strategy, clock } = this.#parts;
    const nowMs = clock.monotonicMs();
    const verdict = judge(strategy, {
      error,
      isResumable,
      isOnSlowLane: this.#slowTries > 0 && nowMs < this.#isSlowUntilMs,
      restartTimes: this.#times,
      nowMs,
    });
    this.#times = verdict.restartTimes;
    return verdict;
  }

  /** The delay before the restart that comes now, milliseconds. */
  nextDelayMs(): number {
    const { strategy, random } = this.#parts;
    const next = delayMs(strategy.backoff, this.#attempt, random.next());
    this.#attempt++;
    return next;
  }

  /**
   * It is parked: milliseconds until it is tried again. It has left the slow lane when it is healthy, or when it ran
   * for longer than it had waited; until then every failure parks it again.
   */
  nextSlowDelayMs(): number {
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs >= this.#isSlowUntilMs) this.#slowTries = 0;
    this.#slowTries++;
    const next = slowDelayMs(this.#slowTries);
    this.#isSlowUntilMs = nowMs + 2 * next;
    return next;
  }

  /** It runs, or goes on after a failure: its stable time begins. */
  watch(): void {
    this.#isStable = false;
    this.#cancel?.();
    if (this.#attempt === 0 && this.#slowTries === 0) return;
    const { clock, strategy } = this.#parts;
    this.#cancel = clock.after(strategy.backoff.resetAfterMs, () => {
      this.#isStable = true;
      this.#check();
    });
  }

  /** It has made progress. */
  alive(): void {
    this.#isAlive = true;
    this.#check();
  }

  /** It has failed or ends. Leaves no timer behind. */
  end(): void {
    this.#cancel?.();
    this.#isAlive = false;
    this.#isStable = false;
  }

  /** As if it had never failed. */
  forgive(): void {
    this.end();
    this.#times = NONE;
    this.#attempt = 0;
    this.#slowTries = 0;
  }

  #check(): void {
    if (!this.#isStable || !this.#isAlive) return;
    this.#isStable = false;
    this.#attempt = 0;
    this.#slowTries = 0;
    this.#recovered();
  }
}
