/**
 * `pipeline(...)`: outputs that move together, checked and frozen.
 */
import { NAME_PATTERN } from "../contract/name.ts";
import type { FromNode, GraphNode, Output, Pipeline, Trigger } from "../contract/graph.ts";
import type { DirectSource } from "../contract/source.ts";
import type { Strategy } from "../contract/unit.ts";
import { HoldfastError } from "../errors.ts";

/** Options of {@link pipeline}. */
export interface PipelineOptions<From extends string> {
  /** One or more; a sink may be in one output only. */
  readonly outputs: readonly [Output<unknown, From>, ...Output<unknown, From>[]];
  /** @defaultValue asap() */
  readonly trigger?: Trigger;
  /** Where a pipeline that the log does not know yet begins. @defaultValue oldest */
  readonly startAt?: "oldest" | "now";
  /** Records per batch, 1 .. 10,000,000. @defaultValue 200,000 */
  readonly batchRecordsMax?: number;
  /** Bytes per batch, 4 KiB .. 1 GiB. @defaultValue 8 MiB */
  readonly batchBytesMax?: number;
  /** Share of set-aside records, of at least 100, beyond which the pipeline parks: 0 .. 1. @defaultValue 0.5 */
  readonly deadLetterRatioMax?: number;
  /** What a failing record, operator or sink leads to. @defaultValue records are set aside, sinks are tried again for ever */
  readonly supervision?: Strategy;
}

const DEFAULTS = {
  trigger: Object.freeze({ kind: "asap", minIntervalMs: 0 }),
  startAt: "oldest",
  batchRecordsMax: 200_000,
  batchBytesMax: 8 * 1024 * 1024,
  deadLetterRatioMax: 0.5,
  supervision: undefined,
} as const;

/**
 * A pipeline as a value: nothing runs before an ingest that lists it starts.
 *
 * @throws CONFIG_VALUE for a name that is none, CONFIG_OUT_OF_RANGE, CONFIG_CONFLICT for a sink in two outputs.
 */
export function pipeline<From extends string>(
  name: string,
  options: PipelineOptions<From>,
): Pipeline<From> {
  if (!NAME_PATTERN.test(name)) {
    throw new HoldfastError(
      "CONFIG_VALUE",
      `pipeline name is ${JSON.stringify(name)}, allowed are lower-case letters, digits and "-", beginning with a letter, at most 63`,
    );
  }
  const settings = { ...DEFAULTS, ...options };
  checkRange(name, "batchRecordsMax", settings.batchRecordsMax, [1, 10_000_000]);
  checkRange(name, "batchBytesMax", settings.batchBytesMax, [4096, 2 ** 30]);
  checkRange(name, "deadLetterRatioMax", settings.deadLetterRatioMax, [0, 1]);
  if (settings.outputs.length === 0)
    throw new HoldfastError("CONFIG_VALUE", `${name} has 0 outputs, a pipeline needs 1 or more`);
  checkSinks(name, settings.outputs);
  return Object.freeze({
    ...settings,
    kind: "pipeline",
    name,
    source: sourceOf(name, settings.outputs),
    outputs: Object.freeze([...settings.outputs]),
  });
}

function checkRange(
  name: string,
  option: string,
  value: number,
  [min, max]: readonly [number, number],
): void {
  if (value >= min && value <= max) return;
  throw new HoldfastError(
    "CONFIG_OUT_OF_RANGE",
    `${name}: ${option} is ${value}, allowed are ${min} to ${max}`,
  );
}

function checkSinks(name: string, outputs: readonly Output<unknown, string>[]): void {
  const seen = new Set<string>();
  for (const { sink } of outputs) {
    if (seen.has(sink.name)) {
      throw new HoldfastError(
        "CONFIG_CONFLICT",
        `${name}: 2 outputs write to sink ${sink.name}, 1 is allowed`,
        { fix: "give the second output a sink of its own" },
      );
    }
    seen.add(sink.name);
  }
}

/** One cursor goes over one thing: the log, or one source. */
function sourceOf(
  name: string,
  outputs: readonly Output<unknown, string>[],
): DirectSource | undefined {
  const inputs = [...new Set(outputs.map(({ input }) => fromOf(input).source))];
  if (inputs.length <= 1) return inputs[0];
  const words = inputs.map((source) =>
    source === undefined ? "the log" : `source ${source.name}`,
  );
  throw new HoldfastError(
    "CONFIG_CONFLICT",
    `${name} reads ${words.join(" and ")}, a pipeline reads the log or 1 source`,
    { fix: "make a pipeline for each of them" },
  );
}

/** Names of the receivers that a pipeline reads, sorted. */
export function receiversOf(pipeline: Pipeline): readonly string[] {
  if (pipeline.source !== undefined) return [];
  return [...new Set(pipeline.outputs.flatMap(({ input }) => fromOf(input).receivers))].toSorted();
}

function fromOf(node: GraphNode): FromNode {
  return node.kind === "from" ? node : fromOf(node.input);
}

/** Kinds, names and options of the graph as text: what the graph hash is taken of. No function bodies. */
export function describeGraph(pipeline: Pipeline): string {
  return JSON.stringify(
    pipeline.outputs.map(({ input, sink, mode }) => [
      describeNode(input),
      sink.name,
      sink.type,
      sink.settings,
      mode,
    ]),
  );
}

function describeNode(node: GraphNode): readonly unknown[] {
  switch (node.kind) {
    case "from":
      return [
        node.source === undefined
          ? ["from", ...node.receivers]
          : ["source", node.source.type, node.source.name],
      ];
    case "decode":
      return [...describeNode(node.input), ["decode", node.decoder.format]];
    case "filter":
    case "map":
    case "flat-map":
      return [...describeNode(node.input), [node.kind, node.name]];
  }
}
