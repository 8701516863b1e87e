/**
 * The sliding restart window: at most N restarts in any half-open interval of length W. Pure.
 *
 * A tumbling window, as others have it, lets 2N - 1 through around its edge; this one keeps the times of the
 * granted restarts and counts those that are younger than W.
 */

/** Times of granted restarts inside the window, oldest first, in monotonic milliseconds. */
export type RestartTimes = readonly number[];

/** The restarts that still count at `nowMs`: those in `(nowMs - withinMs, nowMs]`. */
export function recentRestarts(times: RestartTimes, nowMs: number, withinMs: number): RestartTimes {
  return times.filter((timeMs) => nowMs - timeMs < withinMs);
}

/** Grants a restart and records it, or refuses: undefined. */
export function grantRestart(
  times: RestartTimes,
  nowMs: number,
  limit: { readonly maxRestarts: number; readonly withinMs: number },
): RestartTimes | undefined {
  // Without a limit nothing has to be remembered.
  if (limit.maxRestarts === Infinity) return [nowMs];
  const recent = recentRestarts(times, nowMs, limit.withinMs);
  return recent.length < limit.maxRestarts ? [...recent, nowMs] : undefined;
}
