/**
 * How fast a child, or a group, is restarted: attempts since it was healthy, and the delay before the next.
 *
 * Healthy is what ran for `resetAfterMs` without a failure and made progress. A peer that accepts and then kicks is
 * not: begun anew on "connected", its restarts would have no delay at all.
 */
import type { Backoff } from "../src/contract/unit.ts";
import type { Cancel, Clock } from "../src/host/clock.ts";
import type { Random } from "../src/host/random.ts";
import { delayMs } from "./backoff.ts";

/** What pacing needs. */
export interface PacingParts {
  readonly backoff: Backoff;
  readonly clock: Clock;
  readonly random: Random;
  /** It is healthy again after failures. */
  readonly recovered: () => void;
}

/** See the file's head. */
export class Pacing {
  readonly #parts: PacingParts;
  #attempt = 0;
  #isAlive = false;
  #isStable = false;
  #cancel: Cancel | undefined;

  constructor(parts: PacingParts) {
    this.#parts = parts;
  }

  /** The delay before the restart that comes now, milliseconds. */
  nextDelayMs(): number {
    const { backoff, random } = this.#parts;
    const next = delayMs(backoff, this.#attempt, random.next());
    this.#attempt++;
    return next;
  }

  /** It runs, or goes on after a failure: its stable time begins. */
  watch(): void {
    this.#isStable = false;
    this.#cancel?.();
    if (this.#attempt === 0) return;
    const { clock, backoff } = this.#parts;
    this.#cancel = clock.after(backoff.resetAfterMs, () => {
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
  reset(): void {
    this.end();
    this.#attempt = 0;
  }

  #check(): void {
    if (!this.#isStable || !this.#isAlive) return;
    this.#isStable = false;
    this.#attempt = 0;
    this.#parts.recovered();
  }
}
