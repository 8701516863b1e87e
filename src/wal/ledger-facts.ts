/**
 * What the ledger records, and its bytes: one entry of type `facts` holds a canonical JSON array of
 * facts that became durable together; one of type `snapshot` at the start of each file holds the state
 * that all facts before it add up to.
 *
 * Facts are absolute: a commit says where every partition stands, not how far it moved. So a damaged
 * entry costs what only it said, and the facts behind it still count.
 */
import type {
  Commit,
  Ends,
  GapReason,
  LogFloor,
  LogGap,
  Offsets,
  PipelineCheckpoint,
  Plan,
  Ranges,
  SegmentCut,
} from "../contract/log.ts";
import { HoldfastError } from "../errors.ts";
import { canonicalJson, FieldReader, type Json, type JsonObject } from "./canonical-json.ts";

/** What shows that a data directory was moved or copied. An empty text is unknown and compares with all. */
export interface LedgerIdentity {
  readonly machineId: string;
  /** Inode of the lock file or the data directory. */
  readonly inode: string;
}

/** One thing that happened. `log` names the log a fact is about: the data log, the dead letters. */
export type Fact =
  | { readonly fact: "identity"; readonly identity: LedgerIdentity }
  | {
      readonly fact: "register";
      readonly pipeline: string;
      readonly writerId: string;
      readonly start: Ends;
    }
  | { readonly fact: "plan"; readonly plan: Plan }
  | { readonly fact: "commit"; readonly commit: Commit; readonly ends: Ends }
  | { readonly fact: "orphan"; readonly pipeline: string; readonly sinceMs: number | undefined }
  | { readonly fact: "forget"; readonly pipeline: string }
  | { readonly fact: "cut"; readonly log: string; readonly cut: SegmentCut }
  | { readonly fact: "gap"; readonly log: string; readonly gap: LogGap }
  | { readonly fact: "floor"; readonly log: string; readonly floor: LogFloor };

/** What the ledger knows of one log. */
export interface LogFactsState {
  /** Undefined until one was kept. */
  readonly floor: LogFloor | undefined;
  /** By segment id, ascending; none below the floor's. */
  readonly cuts: readonly SegmentCut[];
  /** By offset, without overlap; none that ends at or below the floor. */
  readonly gaps: readonly LogGap[];
}

/** Everything the facts so far add up to. */
export interface LedgerState {
  readonly epoch: number;
  /** Facts since the ledger was born. */
  readonly factCount: number;
  readonly identity: LedgerIdentity;
  readonly pipelines: ReadonlyMap<string, PipelineCheckpoint>;
  readonly logs: ReadonlyMap<string, LogFactsState>;
}

const GAP_REASONS: readonly GapReason[] = [
  "damaged",
  "unreadable",
  "missing-segment",
  "lost-tail",
  "dropped",
];

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(strictUtf8.decode(body));
  } catch (cause) {
    throw new HoldfastError("LOG_DAMAGED", `a ledger entry of ${body.length} bytes is no JSON`, {
      cause,
    });
  }
}

/** Body of a `facts` entry. */
export function encodeFacts(facts: readonly Fact[]): Uint8Array {
  return utf8.encode(canonicalJson(facts.map(factJson)));
}

/** Reads what {@link encodeFacts} wrote. Throws LOG_DAMAGED, or LOG_VERSION for a fact of a newer program. */
export function decodeFacts(body: Uint8Array): readonly Fact[] {
  const list: unknown = parse(body);
  if (!Array.isArray(list))
    throw new HoldfastError("LOG_DAMAGED", "a ledger entry is no list of facts");
  return list.map((value, index) => readFact(new FieldReader(value, `fact ${index}`)));
}

/** Body of a `snapshot` entry. */
export function encodeSnapshot(state: LedgerState): Uint8Array {
  const pipelines = Object.fromEntries(
    [...state.pipelines].map(([name, checkpoint]) => [name, checkpointJson(checkpoint)]),
  );
  const logs = Object.fromEntries([...state.logs].map(([name, log]) => [name, logJson(log)]));
  const { epoch, factCount, identity } = state;
  return utf8.encode(
    canonicalJson({ epoch, factCount, identity: { ...identity }, pipelines, logs }),
  );
}

/** Reads what {@link encodeSnapshot} wrote. Throws LOG_DAMAGED. */
export function decodeSnapshot(body: Uint8Array): LedgerState {
  const reader = new FieldReader(parse(body), "snapshot");
  const pipelines = reader.object("pipelines");
  const logs = reader.object("logs");
  return {
    epoch: reader.integer("epoch"),
    factCount: reader.integer("factCount"),
    identity: readIdentity(reader.object("identity")),
    pipelines: new Map(
      pipelines.keys().map((name) => [name, readCheckpoint(pipelines.object(name), name)]),
    ),
    logs: new Map(logs.keys().map((name) => [name, readLog(logs.object(name))])),
  };
}

function factJson(fact: Fact): JsonObject {
  switch (fact.fact) {
    case "identity":
      return { fact: "identity", ...fact.identity };
    case "register":
      return {
        fact: "register",
        pipeline: fact.pipeline,
        writerId: fact.writerId,
        start: fact.start,
      };
    case "plan":
      return { fact: "plan", ...planJson(fact.plan) };
    case "commit":
      return {
        fact: "commit",
        ...fact.commit,
        tokens: tokensJson(fact.commit.tokens),
        ends: fact.ends,
      };
    case "orphan":
      return { fact: "orphan", pipeline: fact.pipeline, sinceMs: fact.sinceMs };
    case "forget":
      return { fact: "forget", pipeline: fact.pipeline };
    case "cut":
      return { fact: "cut", log: fact.log, ...fact.cut };
    case "gap":
      return { fact: "gap", log: fact.log, ...fact.gap };
    case "floor":
      return { fact: "floor", log: fact.log, ...fact.floor };
  }
}

function planJson(plan: Plan): JsonObject {
  const { pipeline, batchId, epoch, batchTimeMs, watermarkMs, graphHash, deadLettersFrom } = plan;
  return {
    pipeline,
    batchId,
    epoch,
    batchTimeMs,
    watermarkMs,
    graphHash,
    deadLettersFrom,
    ranges: plan.ranges,
  };
}

function tokensJson(tokens: Commit["tokens"]): JsonObject {
  const pairs = Object.entries(tokens).map(
    ([sink, token]) => [sink, Buffer.from(token).toString("base64")] as const,
  );
  return Object.fromEntries(pairs);
}

function checkpointJson(checkpoint: PipelineCheckpoint): Json {
  const { writerId, start, committed, open, orphanedSinceMs } = checkpoint;
  return {
    writerId,
    start,
    committed: committed && { ...committed, tokens: tokensJson(committed.tokens) },
    open: open && planJson(open),
    orphanedSinceMs,
  };
}

function logJson(log: LogFactsState): Json {
  return {
    floor: log.floor && { ...log.floor },
    cuts: log.cuts.map((cut) => ({ ...cut })),
    gaps: log.gaps.map((gap) => ({ ...gap })),
  };
}

function readFact(reader: FieldReader): Fact {
  const fact = reader.text("fact");
  switch (fact) {
    case "identity":
      return { fact, identity: readIdentity(reader) };
    case "register":
      return {
        fact,
        pipeline: reader.text("pipeline"),
        writerId: reader.text("writerId"),
        start: readEnds(reader.object("start")),
      };
    case "plan":
      return { fact, plan: readPlan(reader) };
    case "commit":
      return { fact, commit: readCommit(reader), ends: readEnds(reader.object("ends")) };
    case "orphan":
      return {
        fact,
        pipeline: reader.text("pipeline"),
        sinceMs: reader.has("sinceMs") ? reader.number("sinceMs") : undefined,
      };
    case "forget":
      return { fact, pipeline: reader.text("pipeline") };
    case "cut":
      return { fact, log: reader.text("log"), cut: readCut(reader) };
    case "gap":
      return { fact, log: reader.text("log"), gap: readGap(reader) };
    case "floor":
      return { fact, log: reader.text("log"), floor: readFloor(reader) };
    default:
      throw new HoldfastError(
        "LOG_VERSION",
        `the ledger holds a fact "${fact}" that this program does not know`,
        {
          fix: "run the version of Holdfast that wrote it, or a newer one",
        },
      );
  }
}

function readIdentity(reader: FieldReader): LedgerIdentity {
  return { machineId: reader.text("machineId"), inode: reader.text("inode") };
}

function readOffsets(reader: FieldReader): Offsets {
  return reader.record((fields, partition) => fields.integer(partition));
}

function readEnds(reader: FieldReader): Ends {
  return reader.record((fields, source) => readOffsets(fields.object(source)));
}

function readRange(value: readonly unknown[]): readonly [number, number] {
  const [from, to] = value;
  const isRange =
    Number.isSafeInteger(from) &&
    Number.isSafeInteger(to) &&
    typeof from === "number" &&
    typeof to === "number";
  if (!isRange || value.length !== 2 || from > to || from < 0)
    throw new HoldfastError("LOG_DAMAGED", `a range is ${JSON.stringify(value)}`);
  return [from, to];
}

function readRanges(reader: FieldReader): Ranges {
  return reader.record((sources, source) =>
    sources.object(source).record((fields, partition) => readRange(fields.list(partition))),
  );
}

function readPlan(reader: FieldReader): Plan {
  const plan: Plan = {
    pipeline: reader.text("pipeline"),
    batchId: reader.integer("batchId"),
    epoch: reader.integer("epoch"),
    batchTimeMs: reader.number("batchTimeMs"),
    graphHash: reader.text("graphHash"),
    ranges: readRanges(reader.object("ranges")),
    deadLettersFrom: reader.integer("deadLettersFrom"),
  };
  return reader.has("watermarkMs") ? { ...plan, watermarkMs: reader.number("watermarkMs") } : plan;
}

function readTokens(reader: FieldReader): Commit["tokens"] {
  return reader.record((fields, sink) => new Uint8Array(Buffer.from(fields.text(sink), "base64")));
}

function readCommit(reader: FieldReader): Commit {
  const tokens = readTokens(reader.object("tokens"));
  return {
    pipeline: reader.text("pipeline"),
    batchId: reader.integer("batchId"),
    epoch: reader.integer("epoch"),
    tokens,
  };
}

function readCommitted(reader: FieldReader): PipelineCheckpoint["committed"] {
  return {
    batchId: reader.integer("batchId"),
    ends: readEnds(reader.object("ends")),
    tokens: readTokens(reader.object("tokens")),
  };
}

function readCheckpoint(reader: FieldReader, name: string): PipelineCheckpoint {
  const open = reader.has("open") ? readPlan(reader.object("open")) : undefined;
  if (open !== undefined && open.pipeline !== name)
    throw new HoldfastError("LOG_DAMAGED", `plan of ${open.pipeline} under ${name}`);
  return {
    writerId: reader.text("writerId"),
    start: readEnds(reader.object("start")),
    committed: reader.has("committed") ? readCommitted(reader.object("committed")) : undefined,
    open,
    orphanedSinceMs: reader.has("orphanedSinceMs") ? reader.number("orphanedSinceMs") : undefined,
  };
}

function readCut(reader: FieldReader): SegmentCut {
  return {
    segmentId: reader.integer("segmentId"),
    endPosition: reader.integer("endPosition"),
    endOffset: reader.integer("endOffset"),
    lastHeaderCrc: reader.integer("lastHeaderCrc"),
  };
}

function readGap(reader: FieldReader): LogGap {
  const text = reader.text("reason");
  const reason = GAP_REASONS.find((known) => known === text);
  if (reason === undefined)
    throw new HoldfastError(
      "LOG_VERSION",
      `the ledger holds a gap for reason "${text}" that this program does not know`,
    );
  const [from, to] = readRange([reader.integer("from"), reader.integer("to")]);
  return { from, to, reason };
}

function readFloor(reader: FieldReader): LogFloor {
  return { segmentId: reader.integer("segmentId"), offset: reader.integer("offset") };
}

function readLog(reader: FieldReader): LogFactsState {
  return {
    floor: reader.has("floor") ? readFloor(reader.object("floor")) : undefined,
    cuts: reader.list("cuts").map((cut) => readCut(new FieldReader(cut, "cut"))),
    gaps: reader.list("gaps").map((gap) => readGap(new FieldReader(gap, "gap"))),
  };
}
