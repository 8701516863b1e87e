/**
 * The layout of a pipeline in the file.
 */
import {
  duration,
  type Field,
  inside,
  integer,
  list,
  number,
  oneOf,
  type Placed,
  placed,
  type Scope,
  size,
  text,
} from "./fields.ts";
import type {
  DecodeConfig,
  OutputConfig,
  PipelineConfig,
  StepConfig,
  StreamConfig,
  TriggerConfig,
} from "./model.ts";
import { moduleReference } from "./modules.ts";
import type { ConfigNode } from "./node.ts";
import { dictionary, object, type ObjectField, optional, readChoice, required } from "./objects.ts";

const DAY_MS = 86_400_000;
const KIB = 1024;
const MIB = 1024 * KIB;

const TRIGGERS = ["asap", "interval", "available-now", "once"] as const;
const asapOptions = object("asap", {
  minInterval: optional(duration({ min: 0, max: DAY_MS }), "least time between two batches"),
});
const interval = duration({ min: 1, max: DAY_MS });
const triggerName = oneOf(["asap", "available-now", "once"]);

const trigger: Field<TriggerConfig> = {
  wanted: "asap, { asap: { minInterval: 100ms } }, { interval: 10s }, available-now or once",
  jsonSchema: {
    oneOf: [
      triggerName.jsonSchema,
      {
        type: "object",
        properties: { asap: asapOptions.jsonSchema },
        required: ["asap"],
        additionalProperties: false,
      },
      {
        type: "object",
        properties: { interval: interval.jsonSchema },
        required: ["interval"],
        additionalProperties: false,
      },
    ],
  },
  read: (node, scope) =>
    node.kind === "scalar" ? readTriggerName(node, scope) : readTriggerOptions(node, scope),
};

function readTriggerName(node: ConfigNode, scope: Scope): TriggerConfig | undefined {
  if (node.kind === "scalar" && node.value === "interval") {
    scope.problems.add(
      "CONFIG_TYPE",
      "trigger interval lacks its length",
      node.place,
      "trigger: { interval: 10s }",
    );
    return undefined;
  }
  const kind = oneOf(TRIGGERS).read(node, scope);
  return kind === undefined ? undefined : { kind, ms: undefined };
}

function readTriggerOptions(node: ConfigNode, scope: Scope): TriggerConfig | undefined {
  const choice = readChoice(node, scope, "a trigger with options", ["asap", "interval"]);
  if (choice === undefined) return undefined;
  const inner = inside(scope, choice.key);
  if (choice.key === "interval") {
    const ms = interval.read(choice.entry.value, inner);
    return ms === undefined ? undefined : { kind: "interval", ms };
  }
  const options = asapOptions.read(choice.entry.value, inner);
  return options === undefined ? undefined : { kind: "asap", ms: options.minInterval };
}

const schemaReference = moduleReference("a schema");
const decode: Field<DecodeConfig> = {
  wanted: "json, raw, or { json: ./module.js#Schema }",
  jsonSchema: {
    oneOf: [
      { enum: ["json", "raw"] },
      {
        type: "object",
        properties: { json: { type: ["string", "boolean"] } },
        required: ["json"],
        additionalProperties: false,
      },
    ],
  },
  read(node, scope) {
    if (node.kind === "scalar") {
      const format = oneOf(["json", "raw"]).read(node, scope);
      return format === undefined ? undefined : { format, schema: undefined };
    }
    const choice = readChoice(node, scope, "a decoder with options", ["json"]);
    if (choice === undefined) return undefined;
    const { value } = choice.entry;
    if (value.kind === "scalar" && value.value === true)
      return { format: "json", schema: undefined };
    const schema = schemaReference.read(value, inside(scope, "json"));
    return schema === undefined ? undefined : { format: "json", schema };
  },
};

const STEPS = ["map", "filter", "flatMap"] as const;
const stepFunction = moduleReference("a function");
const step: Field<StepConfig> = {
  wanted: "{ map: ./module.js#export }, filter or flatMap",
  jsonSchema: {
    oneOf: STEPS.map((kind) => ({
      type: "object",
      properties: { [kind]: stepFunction.jsonSchema },
      required: [kind],
      additionalProperties: false,
    })),
  },
  read(node, scope) {
    const choice = readChoice(node, scope, "a step", STEPS);
    const kind = STEPS.find((each) => each === choice?.key);
    if (choice === undefined || kind === undefined) return undefined;
    const reference = stepFunction.read(choice.entry.value, inside(scope, kind));
    return reference === undefined ? undefined : { kind, reference };
  },
};

/** Names, as a list or one alone. */
const names: Field<readonly Placed<string>[]> = {
  wanted: "a name or a list of names",
  jsonSchema: {
    oneOf: [{ type: "string" }, { type: "array", items: { type: "string" }, minItems: 1 }],
  },
  read(node, scope) {
    if (node.kind === "list") return list(placed(text()), 1).read(node, scope);
    const name = placed(text()).read(node, scope);
    return name === undefined ? undefined : [name];
  },
};

const streamMembers = {
  from: required(names, "receivers, or one stream, to read", "[...]"),
  decode: optional(decode, "how the bytes of a record become a row"),
  steps: optional(list(step), "functions that each row goes through"),
};

const stream: ObjectField<StreamConfig> = object("a stream", streamMembers);

const output: ObjectField<OutputConfig> = object("an output", {
  from: required(placed(text()), "a stream"),
  to: required(placed(text()), "a sink"),
  mode: optional(placed(oneOf(["append", "update", "complete"])), "how rows are written"),
});

/**
 * A pipeline, in its short form (from, decode, steps, sinks) or its long one (streams, outputs).
 */
export const pipelineField: ObjectField<PipelineConfig> = object("a pipeline", {
  ...streamMembers,
  from: optional(names, "receivers to read"),
  sinks: optional(names, "sinks that every row goes to"),
  streams: optional(dictionary(stream, "stream"), "several streams that share sources and steps"),
  outputs: optional(list(output, 1), "which stream goes to which sink"),
  trigger: optional(trigger, "when a batch starts"),
  startAt: optional(oneOf(["oldest", "now"]), "where a new pipeline begins"),
  batchRecordsMax: optional(integer({ min: 1, max: 10_000_000 }), "records of one batch at most"),
  batchBytesMax: optional(size({ min: 4 * KIB, max: 1024 * MIB }), "bytes of one batch at most"),
  deadLetterRatioMax: optional(
    number({ min: 0, max: 1 }),
    "share of bad records that parks the pipeline",
  ),
  supervision: optional(placed(text()), "name of a strategy"),
});
