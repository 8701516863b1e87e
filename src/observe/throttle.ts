/**
 * Keeps repeated messages apart.
 */
import type { Clock } from "../host/clock.ts";

/** Keys remembered at once; the one that was admitted first is forgotten, and is then admitted again. */
export const THROTTLE_KEYS_MAX = 256;

/** `undefined`: leave it out. Else say it, with how many of the key were left out since it was said last. */
export type Throttle = (key: string) => { readonly leftOut: number } | undefined;

/** Admits a key at once, and again when `intervalMs` have passed. Needs no timer. */
export function createThrottle(clock: Clock, intervalMs: number): Throttle {
  const seen = new Map<string, { readonly admittedMs: number; leftOut: number }>();
  return (key) => {
    const nowMs = clock.monotonicMs();
    const last = seen.get(key);
    if (last !== undefined && nowMs - last.admittedMs < intervalMs) {
      last.leftOut += 1;
      return undefined;
    }
    // Set anew, so that the map's order is the order of admission.
    seen.delete(key);
    seen.set(key, { admittedMs: nowMs, leftOut: 0 });
    const [oldest] = seen.keys();
    if (seen.size > THROTTLE_KEYS_MAX && oldest !== undefined) seen.delete(oldest);
    return { leftOut: last?.leftOut ?? 0 };
  };
}
