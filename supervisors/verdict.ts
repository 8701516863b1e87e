/**
 * What a failure leads to: the strategy's directive, held against the restart window. Pure.
 */
import type { Directive, Strategy } from "../src/contract/unit.ts";
import { isRetried, toError } from "../src/errors.ts";
import { grantRestart, type RestartTimes } from "./restart-window.ts";
import { decidesByDefault } from "./strategy.ts";

/** A failure, and how things stand. */
export interface Case {
  readonly error: Error;
  /** Something is left that could go on. Otherwise `resume` means restart. */
  readonly isResumable: boolean;
  /** It was parked, is being tried again, and was not healthy yet: it has no restarts of its own. */
  readonly isOnSlowLane: boolean;
  readonly restartTimes: RestartTimes;
  readonly nowMs: number;
}

/** What to do. */
export interface Verdict {
  /** What the strategy said. */
  readonly directive: Directive;
  /** What it comes to. */
  readonly action: Directive | "park";
  /** Parked: the slow lane may try it again. Not where only a person can help, or where 0 restarts mean never. */
  readonly isTriedAgain: boolean;
  /** The window afterwards: a restart that was granted is in it. */
  readonly restartTimes: RestartTimes;
  /** What the decider itself threw. It then counts as `escalate`. */
  readonly deciderError: Error | undefined;
}

const DIRECTIVES: ReadonlySet<string> = new Set<Directive>([
  "resume",
  "restart",
  "stop",
  "escalate",
]);

/** Judges one failure. Never throws, whatever the decider does. */
export function judge(strategy: Strategy, given: Case): Verdict {
  const { directive, deciderError } = decide(strategy, given.error);
  const { restartTimes, nowMs } = given;
  const verdict = { directive, deciderError, restartTimes, isTriedAgain: false };
  if (directive === "stop" || directive === "escalate") return { ...verdict, action: directive };
  if (directive === "resume" && given.isResumable) return { ...verdict, action: "resume" };
  // What trying again cannot mend is treated as if the window were used up, and uses nothing of it.
  const isHopeless = decidesByDefault(strategy) && !isRetried(given.error);
  const isRefused = isHopeless || given.isOnSlowLane;
  const granted = isRefused ? undefined : grantRestart(restartTimes, nowMs, strategy);
  if (granted === undefined) {
    const isTriedAgain = !isHopeless && strategy.maxRestarts > 0;
    return { ...verdict, action: strategy.onExhausted, isTriedAgain };
  }
  return { ...verdict, action: "restart", restartTimes: granted };
}

function decide(
  strategy: Strategy,
  error: Error,
): { readonly directive: Directive; readonly deciderError: Error | undefined } {
  try {
    const directive = strategy.decide(error);
    if (DIRECTIVES.has(directive)) return { directive, deciderError: undefined };
    // A decider written without types may answer anything, or with a promise.
    throw new TypeError(`decide answered ${JSON.stringify(directive)}, which is no directive`);
  } catch (thrown) {
    return { directive: "escalate", deciderError: toError(thrown) };
  }
}
