/**
 * Whether a program that ended is started again, and when. Pure.
 */
import type { Backoff } from "../contract/unit.ts";
import type { ChildEnd } from "../host/children.ts";
import { delayMs } from "../../supervisors/backoff.ts";
import {
  grantRestart,
  type RestartLimit,
  type RestartTimes,
} from "../../supervisors/restart-window.ts";
import { showDuration } from "../config/quantities.ts";
import { FINAL_EXIT_CODES } from "./exit-codes.ts";
import { showSpan } from "./render.ts";

/** A shell's code of a program that a signal ended is this much more than the signal's number. */
const SIGNAL_CODE_BASE = 128;

/**
 * How often, in which time, and with which delay. The window is also the validity interval: a program that ran for
 * `withinMs` has no restart inside it any more, so it counts as new, for the delay as well.
 */
export interface RestartPolicy {
  readonly limit: RestartLimit;
  readonly backoff: Backoff;
}

/** What holds unless somebody says otherwise; milliseconds. */
export interface RestartDefaults {
  readonly attempts: number;
  readonly withinMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
}

/** A program that ends at once is given up after two and a half minutes at least: long enough for a port to be free. */
export const RESTART_DEFAULTS: RestartDefaults = Object.freeze({
  attempts: 10,
  withinMs: 3_600_000,
  backoffMinMs: 1_000,
  backoffMaxMs: 60_000,
});

/** How it ended, and what went before. */
export interface EndFacts {
  readonly end: ChildEnd;
  readonly ranMs: number;
  /** Somebody asked for the end. */
  readonly isStopping: boolean;
  readonly restartTimes: RestartTimes;
  readonly nowMs: number;
  /** Uniform in [0, 1). */
  readonly random: number;
}

/** What follows. `line` is for people; undefined when there is nothing to say. */
export type AfterEnd =
  | { readonly kind: "end"; readonly code: number; readonly line: string | undefined }
  | {
      readonly kind: "restart";
      readonly delayMs: number;
      readonly restartTimes: RestartTimes;
      readonly line: string;
    };

/** Decides after an end. */
export function afterEnd({ limit, backoff }: RestartPolicy, facts: EndFacts): AfterEnd {
  const { end, ranMs, isStopping, nowMs, random } = facts;
  const code = exitCodeOf(end);
  if (isStopping || code === 0) return { kind: "end", code, line: undefined };
  const how = `supervise: run ${endText(end)} after ${showSpan(ranMs)}`;
  if (end.kind === "exited" && FINAL_EXIT_CODES.includes(code))
    return { kind: "end", code, line: `${how}, which no restart mends` };
  const restartTimes = grantRestart(facts.restartTimes, nowMs, limit);
  const within = `within ${showDuration(limit.withinMs)}`;
  if (restartTimes === undefined) {
    const line = `${how}; ${limit.maxRestarts} restarts ${within} are used up`;
    return { kind: "end", code, line };
  }
  const count = restartTimes.length;
  const waitMs = delayMs(backoff, count - 1, random);
  const budget = limit.maxRestarts === Infinity ? "" : ` of ${limit.maxRestarts}`;
  const line = `${how}; restart ${count}${budget} ${within}, in ${showSpan(waitMs)}`;
  return { kind: "restart", delayMs: waitMs, restartTimes, line };
}

/** The code that the supervisor itself ends with: the child's, or 128 and the number of the signal. */
export function exitCodeOf(end: ChildEnd): number {
  switch (end.kind) {
    case "exited":
      return end.code;
    case "killed":
      return SIGNAL_CODE_BASE + end.number;
    case "not-started":
      return 1;
  }
}

/**
 * The shortest time in which the window can be used up, milliseconds: its delays, each as short as jitter makes it. A
 * window that is not longer is no limit at all.
 */
export function shortestUseUpMs({ limit, backoff }: RestartPolicy): number {
  if (limit.maxRestarts === Infinity) return 0;
  let sumMs = 0;
  for (let attempt = 0; attempt < limit.maxRestarts; attempt += 1)
    sumMs += delayMs(backoff, attempt, 0);
  return sumMs;
}

function endText(end: ChildEnd): string {
  switch (end.kind) {
    case "exited":
      return `ended with code ${end.code}`;
    case "killed":
      return `was ended by ${end.signal}`;
    case "not-started":
      return `could not be started (${end.cause.message})`;
  }
}
