/**
 * Whether an answer of another process is what this program understands.
 */
import type { StatusReport, UnitReport } from "../status-report.ts";

/** What has fields. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A unit as an instance tells it. Statuses that this version does not know are shown as they are. */
export function isUnitReport(value: unknown): value is UnitReport {
  return (
    isObject(value) &&
    ["unit", "status"].every((key) => typeof value[key] === "string") &&
    ["epoch", "restarts", "forMs"].every((key) => typeof value[key] === "number") &&
    ["maxRestarts", "nextAttemptInMs"].every((key) => isNumberOrNull(value[key])) &&
    isErrorOrNull(value["lastError"])
  );
}

/** Everything that an instance tells. */
export function isStatusReport(value: unknown): value is StatusReport {
  if (!isObject(value)) return false;
  const { units, log, pipelines } = value;
  return (
    Array.isArray(units) &&
    units.every(isUnitReport) &&
    isLog(log) &&
    Array.isArray(pipelines) &&
    pipelines.every(isPipeline)
  );
}

function isLog(value: unknown): boolean {
  return (
    isObject(value) &&
    typeof value["state"] === "string" &&
    ["oldestOffset", "nextOffset", "bytes", "bytesMax", "gapRecords"].every(
      (key) => typeof value[key] === "number",
    ) &&
    isErrorOrNull(value["lastError"])
  );
}

function isPipeline(value: unknown): boolean {
  return (
    isObject(value) &&
    typeof value["pipeline"] === "string" &&
    ["batchId", "lagRecords"].every((key) => typeof value[key] === "number")
  );
}

function isNumberOrNull(value: unknown): boolean {
  return value === null || typeof value === "number";
}

function isErrorOrNull(value: unknown): boolean {
  return (
    value === null ||
    (isObject(value) && typeof value["code"] === "string" && typeof value["message"] === "string")
  );
}
