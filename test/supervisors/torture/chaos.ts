/** What goes wrong in a tortured tree, drawn from a seed. Calm comes once, for all units at once. */
import { HoldfastError } from "../../../src/errors.ts";
import type { Clock } from "../../../src/host/clock.ts";
import type { SeededRandom } from "../../../src/testing/seeded-random.ts";

/** Longer than any deadline of a tortured unit, in virtual milliseconds. */
const HANG_MS_MAX = 6_000;

/** See the file's head. */
export class Chaos {
  readonly random: SeededRandom;
  readonly #clock: Clock;
  #isCalm = false;
  /** Blows dealt, by what they were. */
  readonly blows: Map<string, number> = new Map();

  constructor(random: SeededRandom, clock: Clock) {
    this.random = random;
    this.#clock = clock;
  }

  get isCalm(): boolean {
    return this.#isCalm;
  }

  /** From now on nothing goes wrong that has not begun yet. */
  calm(): void {
    this.#isCalm = true;
  }

  /** Whether this goes wrong now. */
  strikes(what: string, probability: number): boolean {
    if (this.#isCalm || !this.random.chance(probability)) return false;
    this.blows.set(what, (this.blows.get(what) ?? 0) + 1);
    return true;
  }

  /** Of the kinds that deciders tell apart, and what is no error at all. */
  cause(): unknown {
    const text = "torture";
    switch (this.random.integer(0, 6)) {
      case 0:
        return new RangeError(text);
      case 1:
        return new TypeError(text);
      case 2:
        return new HoldfastError("BUSY", text);
      case 3:
        return new HoldfastError("CONFIG_VALUE", text);
      case 4:
        return undefined;
      case 5:
        return Object.create(null);
      default:
        return new Error(text);
    }
  }

  /** Throws at once. */
  throw(): never {
    throw this.cause();
  }

  /** Rejects, at once or after a while. */
  async reject(): Promise<never> {
    if (this.random.chance(0.5)) await this.pause(40);
    throw this.cause();
  }

  /** Ends after a random time, whoever waits for it. */
  pause(msMax: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(this.random.integer(1, msMax), resolve);
    });
  }

  /** Ends long after every deadline, or when the signal aborts: half of those that hang listen. */
  async hang(signal: AbortSignal): Promise<void> {
    if (this.random.chance(0.5)) return await this.pause(HANG_MS_MAX);
    await this.#clock.sleep(this.random.integer(1, HANG_MS_MAX), signal);
  }
}
