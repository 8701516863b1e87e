/**
 * `holdfast/supervisors`: supervision without a log or a pipeline, for units of one's own.
 */
export type {
  Backoff,
  Decider,
  Directive,
  Strategy,
  StrategyOptions,
  Supervisor,
  UnitContext,
  UnitDefinition,
  UnitEvent,
  UnitRef,
  UnitSession,
  UnitState,
} from "../src/contract/unit.ts";
export { type BackoffOptions, equalJitter, withoutJitter } from "./backoff.ts";
export { type DeciderBuilder, type ErrorMatcher, when } from "./directive.ts";
export { allForOne, oneForOne, restForOne } from "./strategy.ts";
export { createSupervisor, type SupervisorOptions } from "./supervisor.ts";
