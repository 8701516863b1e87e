/**
 * The sliding window of a breaker: the newest calls, none older than its length. Pure.
 */

/** How a call ended. */
export interface Outcome {
  readonly atMs: number;
  readonly isFailed: boolean;
  readonly isSlow: boolean;
}

/** Newest last. */
export type Outcomes = readonly Outcome[];

/** What opens a breaker. */
export interface BreakerLimit {
  readonly windowCalls: number;
  readonly windowMs: number;
  readonly callsMin: number;
  readonly failureRatio: number;
  readonly slowRatio: number;
}

/** What is in the window. */
export interface WindowCount {
  readonly calls: number;
  readonly failed: number;
  readonly slow: number;
}

/** The outcomes that still count at `nowMs`: the newest `windowCalls` of those in `(nowMs - windowMs, nowMs]`. */
export function recentOutcomes(
  outcomes: Outcomes,
  nowMs: number,
  { windowCalls, windowMs }: BreakerLimit,
): Outcomes {
  return outcomes.slice(-windowCalls).filter(({ atMs }) => nowMs - atMs < windowMs);
}

/** Counts them. */
export function countOutcomes(outcomes: Outcomes): WindowCount {
  let failed = 0;
  let slow = 0;
  for (const { isFailed, isSlow } of outcomes) {
    if (isFailed) failed++;
    if (isSlow) slow++;
  }
  return { calls: outcomes.length, failed, slow };
}

/** Whether so many are failed or slow that no more calls should be made. */
export function isTooBad({ calls, failed, slow }: WindowCount, limit: BreakerLimit): boolean {
  if (calls < limit.callsMin) return false;
  return failed >= calls * limit.failureRatio || slow >= calls * limit.slowRatio;
}
