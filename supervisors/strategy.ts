/**
 * Strategies: what a supervisor does about a failing child. Values; nothing happens here.
 */
import type {
  Backoff,
  Decider,
  OnExhausted,
  Strategy,
  StrategyOptions,
} from "../src/contract/unit.ts";
import { HoldfastError } from "../src/errors.ts";
import { equalJitter } from "./backoff.ts";

/** Restarts that a window may count: each is remembered. */
export const RESTARTS_MAX = 10_000;

/** What every error leads to when a strategy does not say. */
const restart: Decider = () => "restart";

/** Defaults of {@link StrategyOptions}. */
export const STRATEGY_DEFAULTS: Readonly<{
  decide: Decider;
  backoff: Backoff;
  onExhausted: OnExhausted;
}> = Object.freeze({
  decide: restart,
  backoff: equalJitter({ minMs: 250, maxMs: 5_000, resetAfterMs: 30_000 }),
  onExhausted: "park",
});

const ON_EXHAUSTED: ReadonlySet<string> = new Set<OnExhausted>(["park", "stop", "escalate"]);

/**
 * Each child on its own: at most `maxRestarts` (0 to 10,000, or Infinity) in any interval of `withinMs`
 * (above 0; Infinity makes it a number for life), then `onExhausted`.
 *
 * Without `decide`, errors that trying again cannot mend (docs/errors.md says which) are not tried again: they are
 * treated as if the restarts were used up.
 *
 * @throws CONFIG_OUT_OF_RANGE, CONFIG_VALUE
 */
export function oneForOne(options: StrategyOptions): Strategy {
  return resolveStrategy("one-for-one", options);
}

/**
 * Children that cannot do without each other: what befalls one (restart, park, stop) befalls all of its group, those
 * in groups below it too. They are over at once, close in reverse start order and open in start order, each when the
 * one before is open. The restart is charged to the child that failed, to no other; siblings that are parked for
 * reasons of their own stay so.
 *
 * @throws CONFIG_OUT_OF_RANGE, CONFIG_VALUE
 */
export function allForOne(options: StrategyOptions): Strategy {
  return resolveStrategy("all-for-one", options);
}

/**
 * Children that build on those started before them: like {@link allForOne}, but those started earlier go on
 * untouched.
 *
 * @throws CONFIG_OUT_OF_RANGE, CONFIG_VALUE
 */
export function restForOne(options: StrategyOptions): Strategy {
  return resolveStrategy("rest-for-one", options);
}

/** Fills in the defaults, checks every value, freezes. */
function resolveStrategy(scope: Strategy["scope"], options: StrategyOptions): Strategy {
  const {
    maxRestarts,
    withinMs,
    decide = STRATEGY_DEFAULTS.decide,
    backoff = STRATEGY_DEFAULTS.backoff,
    onExhausted = STRATEGY_DEFAULTS.onExhausted,
  } = options;
  checkRestarts(maxRestarts);
  if (!(withinMs > 0)) throw outOfRange("withinMs", withinMs, "more than 0, in milliseconds");
  if (typeof decide !== "function")
    throw new HoldfastError("CONFIG_VALUE", "decide is no function from an error to a directive", {
      fix: "end the rules with .otherwise(directive)",
    });
  if (!ON_EXHAUSTED.has(onExhausted))
    throw new HoldfastError(
      "CONFIG_VALUE",
      `onExhausted is ${JSON.stringify(onExhausted)}, allowed are ${[...ON_EXHAUSTED].join(", ")}`,
    );
  return Object.freeze({ scope, maxRestarts, withinMs, decide, backoff, onExhausted });
}

function checkRestarts(maxRestarts: number): void {
  if (maxRestarts === Infinity) return;
  if (Number.isInteger(maxRestarts) && maxRestarts >= 0 && maxRestarts <= RESTARTS_MAX) return;
  throw outOfRange(
    "maxRestarts",
    maxRestarts,
    `whole numbers from 0 to ${RESTARTS_MAX}, and Infinity`,
  );
}

function outOfRange(name: string, value: number, allowed: string): HoldfastError {
  return new HoldfastError("CONFIG_OUT_OF_RANGE", `${name} is ${value}, allowed are ${allowed}`);
}

/** Whether the strategy leaves the decision to us: then what trying again cannot mend is not tried again. */
export function decidesByDefault(strategy: Strategy): boolean {
  return strategy.decide === restart;
}
