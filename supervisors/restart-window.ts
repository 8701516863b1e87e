/**
 * The sliding restart window: at most N restarts in any half-open interval of length W. Pure.
 *
 * A tumbling window, as others have it, lets 2N - 1 through around its edge; this one keeps the times of the
 * granted restarts and counts those that are younger than W.
 */

/** Times of granted restarts inside the window, oldest first, in monotonic milliseconds. */
export type RestartTimes = readonly number[];

/** How many restarts are granted, and in which time. */
export interface RestartLimit {
  /** 0 = never, Infinity = always. */
  readonly maxRestarts: number;
  /** Infinity: `maxRestarts` in a lifetime. */
  readonly withinMs: number;
}

/** Restarts that are remembered for show where there is no limit to hold. */
export const UNLIMITED_REMEMBERED_MAX = 1_000;

/** The restarts that still count at `nowMs`: those in `(nowMs - withinMs, nowMs]`. */
export function recentRestarts(times: RestartTimes, nowMs: number, withinMs: number): RestartTimes {
  return times.filter((timeMs) => nowMs - timeMs < withinMs);
}

/** Grants a restart and records it, or refuses: undefined. */
export function grantRestart(
  times: RestartTimes,
  nowMs: number,
  { maxRestarts, withinMs }: RestartLimit,
): RestartTimes | undefined {
  const recent = recentRestarts(times, nowMs, withinMs);
  if (maxRestarts === Infinity) return [...recent.slice(1 - UNLIMITED_REMEMBERED_MAX), nowMs];
  return recent.length < maxRestarts ? [...recent, nowMs] : undefined;
}
