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
  readonly restartTimes: RestartTimes;
  readonly nowMs: number;
}

/** What to do. */
export interface Verdict {
  /** What the strategy said. */
  readonly directive: Directive;
  /** What it comes to. */
  readonly action: Directive | "park";
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
  const verdict = { directive, deciderError, restartTimes: given.restartTimes };
  if (directive === "stop" || directive === "escalate") return { ...verdict, action: directive };
  if (directive === "resume" && given.isResumable) return { ...verdict, action: "resume" };
  // What trying again cannot mend is treated as if the window were used up, and uses nothing of it.
  const isHopeless = decidesByDefault(strategy) && !isRetried(given.error);
  const granted = isHopeless ? undefined : grantRestart(given.restartTimes, given.nowMs, strategy);
  if (granted === undefined) return { ...verdict, action: strategy.onExhausted };
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
