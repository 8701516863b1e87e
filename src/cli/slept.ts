/**
 * A wait that may be ended.
 */
import type { Clock } from "../host/clock.ts";

/** Whether the time passed; false when the signal ended it. */
export async function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}
