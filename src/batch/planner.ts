/**
 * Plans: which ranges a batch reads. Pure; the processor makes a plan durable before it runs.
 */
import type { Offsets, Plan, Ranges } from "../contract/log.ts";
import { HoldfastError } from "../errors.ts";

/** Start offsets of a batch: where the last one ended. Partitions that are new begin at their oldest offset. */
export function startOf(ends: Offsets, oldest: Offsets): Offsets {
  return { ...oldest, ...ends };
}

/** Ranges of one source; partitions with nothing new are left out, and those of which the start is not known yet. */
export function rangesOf(source: string, from: Offsets, to: Offsets): Ranges {
  const ranges: Record<string, readonly [number, number]> = {};
  for (const [partition, end] of Object.entries(to)) {
    const start = from[partition];
    if (start !== undefined && end > start) ranges[partition] = [start, end];
  }
  return Object.keys(ranges).length === 0 ? {} : { [source]: ranges };
}

/** Records in the ranges, gaps included. */
export function countOf(ranges: Ranges): number {
  let count = 0;
  for (const partitions of Object.values(ranges))
    for (const [from, to] of Object.values(partitions)) count += to - from;
  return count;
}

/**
 * A plan over something else cannot be run: its records would be committed unread. @throws SOURCE_CHANGED
 */
export function checkSource(pipeline: string, source: string, open: Plan | undefined): void {
  const other = Object.keys(open?.ranges ?? {}).find((name) => name !== source);
  if (open === undefined || other === undefined) return;
  throw new HoldfastError(
    "SOURCE_CHANGED",
    `${pipeline} reads ${source}, and its open batch ${open.batchId} is of ${other}`,
    { fix: `let it read ${other} once more, or: holdfast pipelines forget ${pipeline}` },
  );
}

/** Whether every partition of the target lies at or below these offsets. */
export function reaches(ends: Offsets, target: Offsets): boolean {
  return Object.entries(target).every(([partition, end]) => (ends[partition] ?? 0) >= end);
}

/** Identity of the next batch. */
export interface PlanIdentity {
  readonly pipeline: string;
  readonly batchId: number;
  readonly epoch: number;
  readonly batchTimeMs: number;
  readonly graphHash: string;
  readonly deadLettersFrom: number;
}

/** A plan over these ranges, or undefined when they are empty. */
export function planOf(identity: PlanIdentity, ranges: Ranges): Plan | undefined {
  return countOf(ranges) === 0 ? undefined : { ...identity, ranges };
}
