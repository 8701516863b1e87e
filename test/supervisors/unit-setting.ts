/** What a unit and its reference model are made with. */
import type { Overflow } from "../../src/contract/unit.ts";

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
