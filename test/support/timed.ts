/**
 * Waiting on a clock that stands still.
 */
import type { VirtualClock } from "../../src/testing/virtual-clock.ts";

/** Moves time until the promise settles. */
export async function timed<Result>(
  clock: VirtualClock,
  promise: Promise<Result>,
  stepMs = 50,
): Promise<Result> {
  const progress = { isSettled: false };
  const settle = (): void => void (progress.isSettled = true);
  promise.then(settle, settle);
  while (!progress.isSettled) await clock.advance(stepMs);
  return await promise;
}
