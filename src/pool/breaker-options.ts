/**
 * Options of a breaker, with their defaults and limits in one place.
 */
import type { BreakerOptions } from "../contract/breaker.ts";
import { HoldfastError } from "../errors.ts";
import { realClock, TIMER_MS_MAX } from "../host/clock.ts";
import { realRandom } from "../host/random.ts";
import { equalJitter } from "../../supervisors/backoff.ts";
import { nobody } from "./telling.ts";

/** Options with nothing left open. */
export type ResolvedBreakerOptions = Readonly<Required<BreakerOptions>>;

/** What holds where an option is absent. */
export const BREAKER_DEFAULTS: Omit<ResolvedBreakerOptions, "name"> = Object.freeze({
  windowCalls: 100,
  windowMs: 30_000,
  callsMin: 10,
  failureRatio: 0.5,
  slowAfterMs: Infinity,
  slowRatio: 0.5,
  probesMax: 3,
  probeDeadlineMs: 10_000,
  breaks: equalJitter({ minMs: 1_000, maxMs: 60_000, resetAfterMs: 60_000 }),
  isFailure: () => true,
  onEvent: nobody,
  clock: realClock,
  random: realRandom,
});

/** Calls that a window may hold: each is remembered. */
const WINDOW_CALLS_MAX = 10_000;
const PROBES_MAX = 1_000;

/** Fills the defaults in and checks ranges and combinations. @throws CONFIG_OUT_OF_RANGE */
export function resolveBreakerOptions(options: BreakerOptions): ResolvedBreakerOptions {
  const resolved: ResolvedBreakerOptions = { ...BREAKER_DEFAULTS, ...options };
  const { windowCalls } = resolved;
  checkRange(resolved, "windowCalls", [1, WINDOW_CALLS_MAX]);
  checkRange(resolved, "callsMin", [1, windowCalls]);
  checkRange(resolved, "probesMax", [1, PROBES_MAX]);
  checkRange(resolved, "windowMs", [Number.MIN_VALUE, Infinity]);
  checkRange(resolved, "failureRatio", [Number.MIN_VALUE, 1]);
  checkRange(resolved, "slowRatio", [Number.MIN_VALUE, 1]);
  checkRange(resolved, "slowAfterMs", [0, Infinity]);
  checkRange(resolved, "probeDeadlineMs", [1, TIMER_MS_MAX]);
  return Object.freeze(resolved);
}

type NumberKey = keyof {
  [K in keyof ResolvedBreakerOptions as ResolvedBreakerOptions[K] extends number ? K : never]: 0;
};

function checkRange(
  resolved: ResolvedBreakerOptions,
  key: NumberKey,
  [min, max]: readonly [number, number],
): void {
  const value = resolved[key];
  const isCount = key === "windowCalls" || key === "callsMin" || key === "probesMax";
  if (value >= min && value <= max && (!isCount || Number.isInteger(value))) return;
  const from = min === Number.MIN_VALUE ? "more than 0" : String(min);
  throw new HoldfastError(
    "CONFIG_OUT_OF_RANGE",
    `breaker ${resolved.name}: ${key} is ${value}, allowed are ${from} to ${max}`,
  );
}
