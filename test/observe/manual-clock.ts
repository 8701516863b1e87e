/** A clock that stands still until it is moved. It has no timers: nothing observed here may need one. */
import type { Clock } from "../../src/host/clock.ts";

export interface ManualClock extends Clock {
  advance(ms: number): void;
}

export function manualClock({ wallMs = 0 }: { readonly wallMs?: number } = {}): ManualClock {
  let nowMs = 0;
  const none = (): never => {
    throw new Error("this clock has no timers");
  };
  return {
    wallMs: () => wallMs + nowMs,
    monotonicMs: () => nowMs,
    after: none,
    sleep: none,
    yield: none,
    advance: (ms) => {
      nowMs += ms;
    },
  };
}
