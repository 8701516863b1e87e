/**
 * `holdfast/supervisors`: supervision without a log or a pipeline, for units of one's own. Nothing here opens a file or
 * a socket; `docs/supervision.md` explains it, `examples/supervisors.ts` shows it.
 */
export type {
  Backoff,
  Decider,
  Directive,
  DropReason,
  OnExhausted,
  Overflow,
  Strategy,
  StrategyOptions,
  Supervisor,
  UnitContext,
  UnitDefinition,
  UnitEvent,
  UnitRef,
  UnitSession,
  UnitState,
  UnitStatus,
} from "../src/contract/unit.ts";
export { type Code, codeOf, HoldfastError } from "../src/errors.ts";
export type { Clock } from "../src/host/clock.ts";
export type { Random } from "../src/host/random.ts";
export { type BackoffOptions, equalJitter, withoutJitter } from "./backoff.ts";
export { type DeciderBuilder, type ErrorMatcher, when } from "./directive.ts";
export { allForOne, oneForOne, restForOne } from "./strategy.ts";
export { createSupervisor, type SupervisorOptions } from "./supervisor.ts";
