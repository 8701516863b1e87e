/**
 * Pipelines of the file: references are checked at their places, then streams are built as code
 * would build them.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { asap, availableNow, interval, once } from "../batch/trigger.ts";
import type { Decoder, Output, Pipeline, RecordOrigin, Trigger } from "../contract/graph.ts";
import type { Receiver } from "../contract/receiver.ts";
import type { Sink } from "../contract/sink.ts";
import type { DirectSource } from "../contract/source.ts";
import type { Strategy } from "../contract/unit.ts";
import { HoldfastError } from "../errors.ts";
import { pipeline } from "../operator/pipeline.ts";
import { type Facts, from, type RawStream, type Stream } from "../operator/stream.ts";
import { json, raw } from "../record/decoders.ts";
import type { Placed } from "./fields.ts";
import { given } from "./given.ts";
import type {
  DecodeConfig,
  OutputConfig,
  PipelineConfig,
  StepConfig,
  StreamConfig,
  TriggerConfig,
} from "./model.ts";
import type { Modules } from "./modules.ts";
import type { Named } from "./objects.ts";
import type { Problems } from "./problems.ts";
import { suggestion } from "./suggest.ts";

/** What the rest of the file defines. */
export interface Defined {
  readonly receivers: ReadonlyMap<string, Receiver>;
  readonly sources: ReadonlyMap<string, DirectSource>;
  readonly sinks: ReadonlyMap<string, Sink<never>>;
  readonly strategies: ReadonlyMap<string, Strategy>;
  readonly modules: Modules;
}

/** A stream of the file: raw until it is decoded. One of `decode: raw` is decoded when a step asks for its bytes. */
type AnyStream =
  | { readonly kind: "raw"; readonly stream: RawStream<Facts>; readonly isBytes: boolean }
  | { readonly kind: "rows"; readonly stream: Stream<unknown, Facts> };

/** The pipeline as a value. @throws CONFIG_MODULE, and whatever `pipeline` throws, at its place */
export async function buildPipeline(
  { name, value: config }: Named<PipelineConfig>,
  defined: Defined,
): Promise<Pipeline> {
  const builder = new StreamBuilder(config, defined);
  const outputs: Output<unknown, string>[] = [];
  for (const output of outputsOf(config)) outputs.push(await builder.output(output));
  const [first, ...rest] = outputs;
  if (first === undefined)
    throw new HoldfastError("CONFIG_VALUE", `${name} has 0 outputs, a pipeline needs 1 or more`);
  const { startAt, batchRecordsMax, batchBytesMax, deadLetterRatioMax } = config;
  const supervision =
    config.supervision === undefined ? undefined : defined.strategies.get(config.supervision.value);
  const trigger = config.trigger === undefined ? undefined : triggerOf(config.trigger);
  return pipeline(name, {
    outputs: [first, ...rest],
    ...given({ startAt, batchRecordsMax, batchBytesMax, deadLetterRatioMax, supervision, trigger }),
  });
}

/**
 * Loads everything that a pipeline names, so that what is missing is reported together with the
 * rest.
 */
export async function checkModules(
  { value: config }: Named<PipelineConfig>,
  modules: Modules,
  problems: Problems,
): Promise<void> {
  const streams = [config, ...(config.streams ?? []).map(({ value }) => value)];
  for (const { decode, steps = [] } of streams) {
    if (decode?.schema !== undefined) await reported(loadSchema(decode.schema, modules), problems);
    for (const { reference } of steps)
      await reported(modules.loadFunction(reference.value, reference.node.place), problems);
  }
}

async function reported(loading: Promise<unknown>, problems: Problems): Promise<void> {
  try {
    await loading;
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    problems.addError(error);
  }
}

async function loadSchema(
  { value: reference, node }: Placed<string>,
  modules: Modules,
): Promise<AnySchema> {
  const value = await modules.load(reference, node.place);
  if (isSchema(value)) return value;
  throw new HoldfastError("CONFIG_MODULE", `${reference} is no schema`, {
    at: node.place,
    fix: "export a schema of holdfast's kit, zod, valibot or another Standard Schema",
  });
}

/** Name of the only stream of the short form; no stream of the long form can be called so. */
const SHORT_STREAM = "";

function outputsOf({ outputs, sinks = [] }: PipelineConfig): readonly OutputConfig[] {
  return (
    outputs ??
    sinks.map((sink) => ({ from: { ...sink, value: SHORT_STREAM }, to: sink, mode: undefined }))
  );
}

function triggerOf({ kind, ms }: TriggerConfig): Trigger {
  switch (kind) {
    case "asap":
      return asap(given({ minIntervalMs: ms }));
    case "interval":
      return interval({ everyMs: ms ?? 0 });
    case "available-now":
      return availableNow();
    case "once":
      return once();
  }
}

class StreamBuilder {
  readonly #configs: ReadonlyMap<string, StreamConfig>;
  readonly #defined: Defined;
  readonly #built = new Map<string, AnyStream>();

  constructor(
    { from: receivers = [], decode, steps, streams = [] }: PipelineConfig,
    defined: Defined,
  ) {
    const short: StreamConfig = { from: receivers, decode, steps };
    this.#configs = new Map([
      [SHORT_STREAM, short],
      ...streams.map(({ name, value }) => [name, value] as const),
    ]);
    this.#defined = defined;
  }

  async output({ from: input, to, mode }: OutputConfig): Promise<Output<unknown, string>> {
    const { stream } = await this.#stream(input);
    const sink = lookUp(this.#defined.sinks, to);
    try {
      // The file has no types: that rows fit a sink is checked when they are written, modes and raw
      // bytes right here.
      return stream.writeTo(
        sink as unknown as Sink<unknown, "append">,
        given({ mode: mode?.value }) as { readonly mode?: "append" },
      );
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      throw new HoldfastError(error.code, error.message, {
        fix: error.fix,
        at: (mode ?? to).node.place,
        cause: error,
      });
    }
  }

  /** References were checked before: there is such a stream, and no stream reads itself. */
  async #stream(name: Placed<string>): Promise<AnyStream> {
    const built = this.#built.get(name.value);
    if (built !== undefined) return built;
    const stream = await this.#build(lookUp(this.#configs, name));
    this.#built.set(name.value, stream);
    return stream;
  }

  async #build(config: StreamConfig): Promise<AnyStream> {
    let stream = await this.#decoded(await this.#input(config), config.decode);
    for (const step of config.steps ?? []) stream = await this.#stepped(stream, step);
    return stream;
  }

  async #input({ from: names }: StreamConfig): Promise<AnyStream> {
    const [first, ...rest] = names;
    if (first === undefined)
      throw new HoldfastError("CONFIG_VALUE", "a stream reads 0 receivers, it needs 1 or more");
    if (rest.length === 0 && this.#configs.has(first.value)) return this.#stream(first);
    const { receivers, sources: direct } = this.#defined;
    const source = names.map(({ value }) => direct.get(value)).find((each) => each !== undefined);
    if (source !== undefined && rest.length > 0)
      throw new HoldfastError(
        "CONFIG_CONFLICT",
        `a stream reads source ${source.name} and ${rest.length} others; a source is read by itself`,
        { at: first.node.place, fix: "a stream and a pipeline of its own for each source" },
      );
    if (source !== undefined) return { kind: "raw", stream: from(source), isBytes: false };
    const sources = rest.map((name) => lookUp(receivers, name));
    return { kind: "raw", stream: from(lookUp(receivers, first), ...sources), isBytes: false };
  }

  async #decoded(input: AnyStream, decode: DecodeConfig | undefined): Promise<AnyStream> {
    if (decode === undefined || input.kind === "rows") return input;
    // Without a step nobody looks at a record: its bytes are forwarded, no object is made.
    if (decode.format === "raw") return { ...input, isBytes: true };
    return { kind: "rows", stream: input.stream.decode(await this.#decoder(decode)) };
  }

  async #decoder({ schema }: DecodeConfig): Promise<Decoder<unknown>> {
    return schema === undefined ? json() : json(await loadSchema(schema, this.#defined.modules));
  }

  async #stepped(before: AnyStream, { kind, reference }: StepConfig): Promise<AnyStream> {
    const isUndecoded = before.kind === "raw" && before.isBytes;
    const input: AnyStream = isUndecoded
      ? { kind: "rows", stream: before.stream.decode(raw()) }
      : before;
    const step = await this.#defined.modules.loadFunction(reference.value, reference.node.place);
    if (input.kind === "raw") return input;
    const named = nameStep(step, reference.value);
    switch (kind) {
      case "map":
        return { kind: "rows", stream: input.stream.map(named) };
      case "filter":
        return { kind: "rows", stream: input.stream.filter(named as Step<boolean>) };
      case "flatMap":
        return { kind: "rows", stream: input.stream.flatMap(named as Step<Iterable<unknown>>) };
    }
  }
}

/** What a step returns is known when it runs: one that is wrong sets its record aside. */
type Step<R> = (row: unknown, origin: RecordOrigin) => R;

/**
 * A step goes by the name of its export, also when the function in the module has none or another
 * one.
 */
function nameStep(step: Step<unknown>, reference: string): Step<unknown> {
  const name = reference.slice(reference.indexOf("#") + 1);
  return step.name === name
    ? step
    : Object.defineProperty((row: unknown, origin: RecordOrigin) => step(row, origin), "name", {
        value: name,
      });
}

type AnySchema = StandardSchemaV1;

function isSchema(value: unknown): value is AnySchema {
  return (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    "~standard" in value
  );
}

/** The value of a name, or an error at its place. */
function lookUp<T>(values: ReadonlyMap<string, T>, { value: name, node }: Placed<string>): T {
  const found = values.get(name);
  if (found !== undefined) return found;
  throw new HoldfastError("CONFIG_REFERENCE", `there is no ${JSON.stringify(name)}`, {
    at: node.place,
    fix: suggestion(name, [...values.keys()]),
  });
}
