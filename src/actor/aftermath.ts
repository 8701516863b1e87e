/**
 * What ended incarnations of a unit leave behind: sessions that close, and accepted work that settles. The next
 * incarnation opens when both are over, so that it finds resources free and positions final.
 */
import { HoldfastError, toError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import { deferred, DONE, isSettledWithin } from "./waits.ts";

/** See the file's head. Nothing here rejects. */
export class Aftermath {
  readonly #path: string;
  readonly #clock: Clock;
  #closed = DONE;
  #fenced = DONE;
  #supersede: (() => void) | undefined;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /** Something is being closed; it has deadlines of its own. */
  closing(work: Promise<unknown>): void {
    this.#closed = both(this.#closed, work);
  }

  /**
   * An incarnation is over: `fence` is called at once, before anything can come in between. What had been accepted may
   * take for ever to settle. If it was refused, that settles it too.
   */
  fence(fence: () => Promise<void> | undefined, refused: (error: Error) => void): void {
    const settle = async (): Promise<void> => {
      try {
        await fence();
      } catch (cause) {
        refused(toError(cause));
      }
    };
    this.#fenced = both(this.#fenced, settle());
  }

  /**
   * Resolves when everything is closed and settled, with an error when the latter takes longer than allowed.
   * A later call replaces this one, which resolves then: at most one timer runs.
   */
  async settled(limitMs: number): Promise<HoldfastError | undefined> {
    this.#supersede?.();
    const superseded = deferred();
    this.#supersede = superseded.resolve;
    await this.#closed;
    const startMs = this.#clock.monotonicMs();
    const settled = Promise.race([this.#fenced, superseded.promise]);
    if (await isSettledWithin(this.#clock, settled, limitMs)) return undefined;
    const tookMs = Math.ceil(this.#clock.monotonicMs() - startMs);
    return new HoldfastError(
      "UNIT_DEADLINE",
      `${this.#path}: what was accepted is not settled after ${tookMs} ms, allowed are ${limitMs} ms`,
    );
  }
}

/** Keeps no values: a chain of these may grow for years. */
async function both(before: Promise<unknown>, work: Promise<unknown>): Promise<void> {
  await Promise.allSettled([before, work]);
}
