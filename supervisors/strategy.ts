/**
 * Strategies: what a supervisor does about a failing child. Values; nothing happens here.
 */
import type { Decider, Strategy, StrategyOptions } from "../src/contract/unit.ts";
import { HoldfastError } from "../src/errors.ts";
import { equalJitter } from "./backoff.ts";

const DAY_MS = 86_400_000;

/** What every error leads to when a strategy does not say. */
const restart: Decider = () => "restart";

/** Defaults of {@link StrategyOptions}. */
export const STRATEGY_DEFAULTS: Required<
  Pick<StrategyOptions, "decide" | "backoff" | "onExhausted">
> = Object.freeze({
  decide: restart,
  backoff: equalJitter({ minMs: 250, maxMs: 5_000, resetAfterMs: 30_000 }),
  onExhausted: "park",
});

/**
 * Each child on its own: at most `maxRestarts` in any interval of `withinMs`, then `onExhausted`.
 *
 * @throws CONFIG_OUT_OF_RANGE
 */
export function oneForOne(options: StrategyOptions): Strategy {
  const { maxRestarts, withinMs } = options;
  const isCount = maxRestarts === Infinity || (Number.isInteger(maxRestarts) && maxRestarts >= 0);
  if (!isCount)
    throw new HoldfastError(
      "CONFIG_OUT_OF_RANGE",
      `maxRestarts is ${maxRestarts}, allowed are whole numbers from 0 and Infinity`,
    );
  if (!(withinMs > 0 && withinMs <= DAY_MS))
    throw new HoldfastError(
      "CONFIG_OUT_OF_RANGE",
      `withinMs is ${withinMs}, allowed are 1 to ${DAY_MS}`,
    );
  return Object.freeze({ ...STRATEGY_DEFAULTS, ...options, scope: "one-for-one" });
}

/** Whether the strategy leaves the decision to us: then what trying again cannot mend parks at once. */
export function decidesByDefault(strategy: Strategy): boolean {
  return strategy.decide === restart;
}
