/**
 * Units, log and pipelines of a running instance as a table. Pure.
 */
import type { LogReport, PipelineReport, StatusReport, UnitReport } from "../status-report.ts";
import { showApproximateSize, showCount, showSpan } from "./render.ts";

const HEADS = ["UNIT", "STATE", "RESTARTS", "SINCE", "DETAIL"] as const;
const PIPELINES = "pipelines/";
const LOG = "log";

/** Rows for units alone: why one does not run, and when it is tried again. */
export function unitRows(units: readonly UnitReport[]): readonly (readonly string[])[] {
  return [HEADS, ...units.map((unit) => row(unit, troubleOf(unit)))];
}

/** Rows for everything: of what runs, how far it is. */
export function statusRows({
  units,
  log,
  pipelines,
}: StatusReport): readonly (readonly string[])[] {
  const rows = units.map((unit) => {
    const progress = progressOf(unit, log, pipelines);
    return row(unit, [progress, troubleOf(unit)].filter((part) => part !== "").join("; "));
  });
  return [HEADS, ...rows];
}

function row(unit: UnitReport, detail: string): readonly string[] {
  const { restarts, maxRestarts } = unit;
  const budget = maxRestarts === null ? "" : `/${showCount(maxRestarts)}`;
  return [
    unit.unit,
    unit.status,
    `${showCount(restarts)}${budget}`,
    showSpan(unit.forMs),
    oneLine(detail),
  ];
}

/** Nothing for a unit that runs and was not restarted lately: its last error is history. */
function troubleOf({ status, restarts, lastError, nextAttemptInMs }: UnitReport): string {
  const next = nextAttemptInMs === null ? "" : `next try in ${showSpan(nextAttemptInMs)}`;
  const isWell = (status === "running" || status === "paused") && restarts === 0;
  if (lastError === null || isWell) return next;
  const error = `${status === "running" ? "last " : ""}${lastError.code}: ${lastError.message}`;
  return next === "" ? error : `${error}; ${next}`;
}

function progressOf(
  { unit }: UnitReport,
  log: LogReport,
  pipelines: readonly PipelineReport[],
): string {
  if (unit === LOG) return logText(log);
  const pipeline = pipelines.find((each) => `${PIPELINES}${each.pipeline}` === unit);
  if (pipeline === undefined) return "";
  return `lag ${showCount(pipeline.lagRecords)}, batch ${showCount(pipeline.batchId)}`;
}

function logText({ state, bytes, bytesMax, fullBy, nextOffset, gapRecords }: LogReport): string {
  return [
    ...(state === "running" ? [] : [fullBy === "disk" ? "disk full" : state]),
    `${showApproximateSize(bytes)} of ${showApproximateSize(bytesMax)}`,
    `offset ${showCount(nextOffset)}`,
    ...(gapRecords === 0 ? [] : [`${showCount(gapRecords)} records lost`]),
  ].join(", ");
}

/** A message may have more lines than a row. */
function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ");
}
