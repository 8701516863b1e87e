/** What a unit and its reference model are made with. */
import type { Decider, Overflow } from "../../src/contract/unit.ts";
import { when } from "../../supervisors/index.ts";

/** One unit's strategy and limits. What is thrown is resumed, what rejects is restarted, all else is as `directive` says. */
export interface Setting {
  readonly maxRestarts: number;
  readonly directive: "resume" | "restart" | "stop" | "escalate" | "throw";
  readonly onExhausted: "park" | "stop" | "escalate";
  readonly overflow: Overflow;
}

/** Odd lengths, so that no two moments coincide by chance. */
export const TIMES = {
  withinMs: 2_003,
  minMs: 101,
  maxMs: 1_009,
  resetAfterMs: 5_011,
  waitMs: 53,
  handleDeadlineMs: 307,
  closeDeadlineMs: 211,
  forcedCloseMs: 1_000,
} as const;
/** Units that may be watched. */
export const TARGETS: readonly number[] = [0, 1, 2];

/** Resumes a RangeError, restarts a TypeError, and does with all else as the setting says. */
export function deciderOf({ directive }: Pick<Setting, "directive">): Decider {
  return when(RangeError, "resume")
    .when(TypeError, "restart")
    .when(() => {
      if (directive === "throw") throw new Error("a decider that throws");
      return false;
    }, "stop")
    .otherwise(directive === "throw" ? "stop" : directive);
}
