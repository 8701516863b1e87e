/**
 * Randomness that a seed repeats (sfc32). Good enough to choose faults, never for identities.
 */
import type { Random } from "../host/random.ts";

/** A generator with some shapes that tests want. */
export interface SeededRandom extends Random {
  readonly seed: number;
  /** Integer in [min, max], both included. */
  integer(min: number, max: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  pick<T>(values: readonly T[]): T;
}

/** Values drawn before the first one is used, so that near seeds part. */
const WARM_UP_DRAWS = 12;

/** The generator of a seed; the same seed gives the same values. */
export function createSeededRandom(seed: number): SeededRandom {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = seed | 0;
  let counter = 1;
  const draw = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
  for (let index = 0; index < WARM_UP_DRAWS; index += 1) draw();
  const next = (): number => draw() / 2 ** 32;
  const integer = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  return {
    seed,
    next,
    integer,
    chance: (probability) => next() < probability,
    bytes: (count) => Uint8Array.from({ length: count }, () => draw() & 0xff),
    pick(values) {
      const value = values[integer(0, values.length - 1)];
      if (value === undefined) throw new Error("nothing to pick from");
      return value;
    },
  };
}
