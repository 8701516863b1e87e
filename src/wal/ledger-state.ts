/**
 * What facts add up to: pure. `checkFact` says whether a fact may follow, `applyFact` is what it changes.
 *
 * Applying is more lenient than checking: behind a damaged entry facts may miss what they follow.
 */
import {
  endsAfter,
  type Ends,
  type LogFloor,
  type LogGap,
  type PipelineCheckpoint,
  type Plan,
  type SegmentCut,
} from "../contract/log.ts";
import { HoldfastError } from "../errors.ts";
import type { Fact, LedgerIdentity, LedgerState, LogFactsState } from "./ledger-facts.ts";

/** Name of the log, in facts and in plans, whose records are bad ones that were set aside. */
export const DEAD_LETTERS = "dead-letters";

/** The state before the first fact. */
export const NEW_LEDGER: LedgerState = {
  epoch: 0,
  factCount: 0,
  identity: { machineId: "", inode: "" },
  pipelines: new Map(),
  logs: new Map(),
};

const NEW_LOG: LogFactsState = { floor: undefined, cuts: [], gaps: [] };

/** Facts about a log; those of an unknown one are empty. */
export function logOf(state: LedgerState, log: string): LogFactsState {
  return state.logs.get(log) ?? NEW_LOG;
}

/** Where every partition of a pipeline stands: the ends of its newest commit, or where it started. */
export function standing(checkpoint: PipelineCheckpoint): Ends {
  return checkpoint.committed?.ends ?? checkpoint.start;
}

/** Lowest offset of a log that no fact mentions as used. */
export function nextOffsetMin(state: LedgerState, log: string): number {
  const { floor, cuts, gaps } = logOf(state, log);
  const offsets = [
    floor?.offset ?? 0,
    ...cuts.map((cut) => cut.endOffset),
    ...gaps.map((gap) => gap.to),
  ];
  for (const checkpoint of state.pipelines.values()) {
    const { open } = checkpoint;
    const ends =
      open === undefined ? standing(checkpoint) : endsAfter(standing(checkpoint), open.ranges);
    offsets.push(...Object.values(ends[log] ?? {}));
    if (log === DEAD_LETTERS && open !== undefined) offsets.push(open.deadLettersFrom);
  }
  return offsets.reduce((highest, offset) => Math.max(highest, offset), 0);
}

/** Whether this is another place than the ledger was last used in. What is unknown on one side is not compared. */
export function hasMoved(before: LedgerIdentity, now: LedgerIdentity): boolean {
  const differ = (left: string, right: string): boolean =>
    left !== "" && right !== "" && left !== right;
  return differ(before.machineId, now.machineId) || differ(before.inode, now.inode);
}

/** Why this fact may not follow the state, or undefined when it may. */
export function checkFact(state: LedgerState, fact: Fact): HoldfastError | undefined {
  switch (fact.fact) {
    case "register":
      return checkBirth(state, fact.pipeline);
    case "plan":
      return checkPlan(state, fact.plan);
    case "commit":
      return checkCommit(state, fact.commit);
    case "orphan":
    case "forget":
      return state.pipelines.has(fact.pipeline) ? undefined : unknownPipeline(state, fact.pipeline);
    case "gap":
      return checkGap(fact.gap);
    case "identity":
    case "cut":
    case "floor":
      return undefined;
  }
}

function checkBirth(state: LedgerState, pipeline: string): HoldfastError | undefined {
  if (!state.pipelines.has(pipeline)) return undefined;
  return new HoldfastError("CONFIG_CONFLICT", `pipeline ${pipeline} is in the ledger already`);
}

function checkGap({ from, to }: LogGap): HoldfastError | undefined {
  if (from < to) return undefined;
  return new HoldfastError("INTERNAL", `a gap from ${from} to ${to} holds nothing`);
}

function unknownPipeline(state: LedgerState, pipeline: string): HoldfastError {
  const known = [...state.pipelines.keys()].join(", ");
  return new HoldfastError(
    "PIPELINE_UNKNOWN",
    `the ledger has no pipeline ${pipeline}; it has ${known === "" ? "none" : known}`,
  );
}

function fenced(message: string): HoldfastError {
  return new HoldfastError("LEDGER_FENCED", message, {
    fix: "restart the pipeline: it reads its checkpoint again",
  });
}

function checkEpoch(
  state: LedgerState,
  what: { readonly pipeline: string; readonly epoch: number },
): HoldfastError | undefined {
  if (what.epoch === state.epoch) return undefined;
  return fenced(
    `${what.pipeline}: written by opening ${what.epoch} of the ledger, opening ${state.epoch} runs`,
  );
}

function checkPlan(state: LedgerState, plan: Plan): HoldfastError | undefined {
  const checkpoint = state.pipelines.get(plan.pipeline);
  if (checkpoint === undefined) return unknownPipeline(state, plan.pipeline);
  const { open, committed } = checkpoint;
  if (open !== undefined)
    return fenced(
      `${plan.pipeline}: batch ${plan.batchId} planned while batch ${open.batchId} is open`,
    );
  const next = (committed?.batchId ?? 0) + 1;
  if (plan.batchId !== next)
    return fenced(`${plan.pipeline}: batch ${plan.batchId} planned, the next one is ${next}`);
  return checkEpoch(state, plan) ?? checkRanges(plan, standing(checkpoint));
}

/** Ranges begin where the last ones ended; a partition that is new may begin anywhere. */
function checkRanges(plan: Plan, ends: Ends): HoldfastError | undefined {
  for (const [source, partitions] of Object.entries(plan.ranges)) {
    for (const [partition, [from, to]] of Object.entries(partitions)) {
      const expected = ends[source]?.[partition] ?? from;
      const where = `${plan.pipeline}: batch ${plan.batchId}, ${source}/${partition}`;
      if (from !== expected)
        return fenced(`${where} begins at ${from}, the last one ended at ${expected}`);
      if (to < from) return fenced(`${where} ends at ${to}, before its begin ${from}`);
    }
  }
  return undefined;
}

function checkCommit(
  state: LedgerState,
  commit: { readonly pipeline: string; readonly batchId: number; readonly epoch: number },
): HoldfastError | undefined {
  const checkpoint = state.pipelines.get(commit.pipeline);
  if (checkpoint === undefined) return unknownPipeline(state, commit.pipeline);
  const open = checkpoint.open?.batchId;
  if (open !== commit.batchId)
    return fenced(
      `${commit.pipeline}: commit of batch ${commit.batchId}, open is ${open ?? "none"}`,
    );
  return checkEpoch(state, commit);
}

/** The state after one more fact. */
export function applyFact(state: LedgerState, fact: Fact): LedgerState {
  const next = { ...state, factCount: state.factCount + 1 };
  switch (fact.fact) {
    case "identity":
      return { ...next, identity: fact.identity };
    case "register": {
      const born = {
        writerId: fact.writerId,
        start: fact.start,
        committed: undefined,
        open: undefined,
        orphanedSinceMs: undefined,
      };
      return withPipeline(next, fact.pipeline, () => born);
    }
    case "plan":
      return withPipeline(
        next,
        fact.plan.pipeline,
        (checkpoint) => checkpoint && { ...checkpoint, open: fact.plan },
      );
    case "commit": {
      const { pipeline, batchId, tokens } = fact.commit;
      const committed = { batchId, tokens, ends: fact.ends };
      return withPipeline(
        next,
        pipeline,
        (checkpoint) => checkpoint && { ...checkpoint, committed, open: undefined },
      );
    }
    case "orphan":
      return withPipeline(
        next,
        fact.pipeline,
        (checkpoint) => checkpoint && { ...checkpoint, orphanedSinceMs: fact.sinceMs },
      );
    case "forget":
      return withPipeline(next, fact.pipeline, () => undefined);
    case "cut":
      return withLog(next, fact.log, (log) => ({ ...log, cuts: withCut(log, fact.cut) }));
    case "gap":
      return withLog(next, fact.log, (log) => ({ ...log, gaps: withGap(log, fact.gap) }));
    case "floor":
      return withLog(next, fact.log, (log) => withFloor(log, fact.floor));
  }
}

/** The state after many facts. */
export function applyFacts(state: LedgerState, facts: readonly Fact[]): LedgerState {
  return facts.reduce(applyFact, state);
}

type Change<T> = (before: T) => T;

function withPipeline(
  state: LedgerState,
  name: string,
  change: Change<PipelineCheckpoint | undefined>,
): LedgerState {
  const after = change(state.pipelines.get(name));
  const pipelines = new Map(state.pipelines);
  if (after === undefined) pipelines.delete(name);
  else pipelines.set(name, after);
  return { ...state, pipelines };
}

function withLog(state: LedgerState, name: string, change: Change<LogFactsState>): LedgerState {
  return { ...state, logs: new Map(state.logs).set(name, change(logOf(state, name))) };
}

function withCut(log: LogFactsState, cut: SegmentCut): readonly SegmentCut[] {
  if (cut.segmentId < (log.floor?.segmentId ?? 0)) return log.cuts;
  const others = log.cuts.filter((known) => known.segmentId !== cut.segmentId);
  return [...others, cut].toSorted((a, b) => a.segmentId - b.segmentId);
}

/** Gaps stay sorted and apart: one that was found again says nothing new, neighbours of one reason become one. */
function withGap(log: LogFactsState, gap: LogGap): readonly LogGap[] {
  const merged: LogGap[] = [];
  for (const next of [...log.gaps, gap].toSorted((a, b) => a.from - b.from || b.to - a.to)) {
    const last = merged.at(-1);
    const from = Math.max(next.from, last?.to ?? 0, log.floor?.offset ?? 0);
    if (from >= next.to) continue;
    if (last?.to === from && last.reason === next.reason)
      merged[merged.length - 1] = { ...last, to: next.to };
    else merged.push({ ...next, from });
  }
  return merged;
}

/** A floor never falls; what lies below it is of no use any more. */
function withFloor(log: LogFactsState, floor: LogFloor): LogFactsState {
  const segmentId = Math.max(log.floor?.segmentId ?? 0, floor.segmentId);
  const offset = Math.max(log.floor?.offset ?? 0, floor.offset);
  const gaps = log.gaps
    .filter((gap) => gap.to > offset)
    .map((gap) => ({ ...gap, from: Math.max(gap.from, offset) }));
  return {
    floor: { segmentId, offset },
    cuts: log.cuts.filter((cut) => cut.segmentId >= segmentId),
    gaps,
  };
}
