/**
 * Whether an ingest does its work, from the states of its units.
 */
import type { Health, HealthReason } from "./contract/status.ts";
import type { UnitState } from "./contract/unit.ts";
import { HoldfastError } from "./errors.ts";

/** What health is judged by. */
export interface HealthFacts {
  readonly units: readonly UnitState[];
  readonly isLogOpen: boolean;
  /** What an operator should know although the work is done. */
  readonly warnings: readonly HealthReason[];
}

/** Ready when every unit runs, pauses or has stopped in order, and the log is open. */
export function healthOf({ isLogOpen, units, warnings }: HealthFacts): Health {
  const reasons = units
    .filter(({ status }) => status !== "running" && status !== "paused" && status !== "stopped")
    .map(({ unit, status, lastError }) => ({
      unit,
      code: lastError === undefined ? status : codeText(lastError),
      message: lastError?.message ?? status,
    }));
  if (!isLogOpen) reasons.push({ unit: "log", code: "LOG_CLOSED", message: "the log is not open" });
  const told = warnings.length === 0 ? {} : { warnings };
  return reasons.length === 0
    ? { kind: "ready", ...told }
    : { kind: "not-ready", reasons, ...told };
}

function codeText(error: Error): string {
  return error instanceof HoldfastError ? error.code : "INTERNAL";
}
