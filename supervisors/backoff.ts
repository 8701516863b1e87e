/**
 * Backoff: how long to wait before a restart. Pure.
 *
 * Equal jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015): half of the exponential
 * delay is fixed, half is random, so that many gateways do not come back in the same moment.
 */
import type { Backoff } from "../src/contract/unit.ts";
import { HoldfastError } from "../src/errors.ts";

/** Options of a backoff, milliseconds. */
export interface BackoffOptions {
  /** Delay before the first restart, 0 .. `maxMs`. */
  readonly minMs: number;
  /** Longest delay, up to a day. */
  readonly maxMs: number;
  /** Health of this length, with a durable record or a protocol round trip, begins at `minMs` again. */
  readonly resetAfterMs: number;
}

const DAY_MS = 86_400_000;
/** 2^30 doublings reach any limit; more would only lose precision. */
const DOUBLINGS_MAX = 30;

/** The delay doubles from `minMs` to `maxMs`; its upper half is random. @throws CONFIG_OUT_OF_RANGE, CONFIG_CONFLICT */
export function equalJitter(options: BackoffOptions): Backoff {
  return backoff("equal", options);
}

/** The delay doubles from `minMs` to `maxMs`, exactly. @throws CONFIG_OUT_OF_RANGE, CONFIG_CONFLICT */
export function withoutJitter(options: BackoffOptions): Backoff {
  return backoff("none", options);
}

function backoff(
  jitter: Backoff["jitter"],
  { minMs, maxMs, resetAfterMs }: BackoffOptions,
): Backoff {
  for (const [name, value] of Object.entries({ minMs, maxMs, resetAfterMs })) {
    if (value >= 0 && value <= DAY_MS) continue;
    throw new HoldfastError(
      "CONFIG_OUT_OF_RANGE",
      `backoff ${name} is ${value}, allowed are 0 to ${DAY_MS}`,
    );
  }
  if (minMs > maxMs)
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `backoff minMs is ${minMs}, maxMs is ${maxMs}: the first may not exceed the second`,
    );
  return Object.freeze({ kind: "backoff", jitter, minMs, maxMs, resetAfterMs });
}

/** Delay before restart `attempt` (0 for the first since health); `random` is uniform in [0, 1). */
export function delayMs(strategy: Backoff, attempt: number, random: number): number {
  const full = Math.min(strategy.maxMs, strategy.minMs * 2 ** Math.min(attempt, DOUBLINGS_MAX));
  return strategy.jitter === "none" ? full : full / 2 + (full / 2) * random;
}

const MINUTE_MS = 60_000;
const SLOW_DELAY_MS_MAX = 60 * MINUTE_MS;

/**
 * The slow lane's delay before try `count` (1 for the first since the unit was parked): 2, 6, 12, 20, 30, 42, 56
 * minutes, then an hour each. Strimzi restarts failed connectors so: n * n + n minutes, at most 60.
 */
export function slowDelayMs(count: number): number {
  return Math.min(SLOW_DELAY_MS_MAX, (count * count + count) * MINUTE_MS);
}
