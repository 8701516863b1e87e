/**
 * Options of receivers and sinks: their schemas, read from YAML names and units and checked at
 * their places.
 *
 * The name of an option in the file leaves out the unit that its value carries: `idleTimeoutMs:
 * 10_000` is `idleTimeout: 10s`, `partBytesMax` is `partMax`.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { HoldfastError } from "../errors.ts";
import { checkOptions, detailsOf, toJsonSchema } from "../schema.ts";
import type { FieldDetails, FieldKind } from "../schema-details.ts";
import {
  boolean,
  duration,
  type Field,
  inside,
  integer,
  type JsonSchema,
  labelOf,
  list,
  number,
  oneOf,
  port,
  type Range,
  type Scope,
  size,
  text,
  wrongType,
} from "./fields.ts";
import { isModuleReference, type Modules } from "./modules.ts";
import { type ConfigNode, type MapNode, nodeAt, plainValue } from "./node.ts";
import { reportMissing, reportUnknown } from "./objects.ts";
import { showDuration, showSize } from "./quantities.ts";
import { suggestion } from "./suggest.ts";

/** The schema of a type's options. */
export type OptionsSchema = StandardSchemaV1;

/** The name of an option in the file. */
export function yamlName(name: string, { kind }: Pick<FieldDetails, "kind">): string {
  return kind === "duration" || kind === "size"
    ? name.replace(/(?<=[a-z0-9])(?:Ms|Bytes)(?=$|[A-Z])/, "")
    : name;
}

/** A value that names an export, before it is loaded. */
class Unloaded {
  readonly reference: string;
  readonly node: ConfigNode;

  constructor(reference: string, node: ConfigNode) {
    this.reference = reference;
    this.node = node;
  }
}

/** What options are read with. */
export interface OptionsReader {
  /** Names the type in messages: "tcp". */
  readonly type: string;
  readonly schema: OptionsSchema;
  readonly modules: Modules;
  /** Keys of the same mapping that others read: `type`, `supervision`. */
  readonly otherKeys: readonly string[];
}

/** Options as the type's factory takes them, or undefined after problems were reported. */
export async function readOptions(
  node: MapNode,
  scope: Scope,
  reader: OptionsReader,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const before = scope.problems.count;
  const fields = detailsOf(reader.schema).fields;
  const written =
    fields === undefined
      ? foreignOptions(node, reader)
      : kitOptions(node, scope, { fields, noun: reader.type, otherKeys: reader.otherKeys });
  const options = Object.fromEntries(
    await Promise.all(
      Object.entries(written).map(
        async ([key, value]) => [key, await loaded(value, scope, reader.modules)] as const,
      ),
    ),
  );
  // A value that is there and could not be read was reported, perhaps before: by its substitution.
  if (scope.problems.count > before || Object.values(written).includes(undefined)) return undefined;
  reportIssues(node, scope, { ...reader, options });
  return scope.problems.count > before ? undefined : options;
}

/**
 * The same value with every export in place. It is made of YAML alone, so it is a tree of lists and
 * mappings.
 */
async function loaded(value: unknown, scope: Scope, modules: Modules): Promise<unknown> {
  if (value instanceof Unloaded) return loadReference(value, scope, modules);
  if (Array.isArray(value)) return Promise.all(value.map((item) => loaded(item, scope, modules)));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(
    async ([key, item]) => [key, await loaded(item, scope, modules)] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

async function loadReference(
  { reference, node }: Unloaded,
  { problems }: Scope,
  modules: Modules,
): Promise<unknown> {
  try {
    return await modules.load(reference, node.place);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    problems.addError(error);
    return undefined;
  }
}

/** A schema that is not ours gets plain values and judges them itself. */
function foreignOptions(
  node: MapNode,
  { otherKeys }: OptionsReader,
): Readonly<Record<string, unknown>> {
  const own = [...node.entries.values()].filter(({ key }) => !otherKeys.includes(key));
  return Object.fromEntries(own.map(({ key, value }) => [key, otherValue(value)]));
}

interface KitFields {
  readonly fields: Readonly<Record<string, FieldDetails>>;
  readonly noun: string;
  readonly otherKeys: readonly string[];
}

function kitOptions(
  node: MapNode,
  scope: Scope,
  { fields, noun, otherKeys }: KitFields,
): Readonly<Record<string, unknown>> {
  const named = Object.entries(fields).map(([name, details]) => ({
    name,
    details,
    key: yamlName(name, details),
  }));
  reportUnknown(node, scope, noun, [...named.map(({ key }) => key), ...otherKeys]);
  const values: Record<string, unknown> = {};
  for (const { name, details, key } of named) {
    const entry = node.entries.get(key);
    if (entry !== undefined) values[name] = fieldOf(details).read(entry.value, inside(scope, key));
    else if (details.presence === "required") reportMissing(node, scope, key, exampleOf(details));
  }
  return values;
}

function exampleOf({ kind, values = [] }: FieldDetails): string | undefined {
  return kind === "port" ? "9000" : kind === "one-of" ? values[0] : undefined;
}

type MakeField = (details: FieldDetails, range: Range) => Field<unknown>;

const FIELDS: Readonly<Record<FieldKind, MakeField>> = {
  string: () => text(),
  secret: () => text(),
  number: (_, range) => number(range),
  integer: (_, range) => integer(range),
  boolean: () => boolean(),
  port: () => port(),
  "one-of": ({ values = [] }) => oneOf(values),
  duration: (_, range) => duration(range),
  size: (_, range) => size(range),
  list: ({ item = OTHER }) => list(fieldOf(item)),
  mapping: ({ item = OTHER, expected }) => mapping(fieldOf(item), expected),
  object: (details) => nested(details),
  other: ({ expected }) => ({ wanted: expected, jsonSchema: {}, read: otherValue }),
};

/** The field that reads what the details describe. */
export function fieldOf(details: FieldDetails): Field<unknown> {
  return FIELDS[details.kind](details, {
    min: details.min ?? -Infinity,
    max: details.max ?? Infinity,
  });
}

const OTHER: FieldDetails = { kind: "other", expected: "a value", presence: "required" };

function nested({ fields = {}, expected }: FieldDetails): Field<unknown> {
  return {
    wanted: expected,
    jsonSchema: fieldsSchema(fields),
    read: (node, scope) =>
      node.kind === "map"
        ? kitOptions(node, scope, { fields, noun: labelOf(scope), otherKeys: [] })
        : wrongType(node, scope, "a mapping"),
  };
}

function mapping(item: Field<unknown>, wanted: string): Field<unknown> {
  return {
    wanted,
    jsonSchema: { type: "object", additionalProperties: item.jsonSchema },
    read(node, scope) {
      if (node.kind !== "map") return wrongType(node, scope, wanted);
      const entries = [...node.entries].map(
        ([key, { value }]) => [key, item.read(value, inside(scope, key))] as const,
      );
      // A problem was reported where a value is undefined.
      return entries.some(([, value]) => value === undefined)
        ? undefined
        : Object.fromEntries(entries);
    },
  };
}

function otherValue(node: ConfigNode): unknown {
  const value = plainValue(node);
  return typeof value === "string" && isModuleReference(value) ? new Unloaded(value, node) : value;
}

/** What only the schema itself knows: patterns, combinations, everything of a foreign schema. */
function reportIssues(
  node: MapNode,
  scope: Scope,
  { schema, type, options }: OptionsReader & { readonly options: unknown },
): void {
  const { issues = [] } = checkOptions(schema, options);
  const { fields = {} } = detailsOf(schema);
  for (const issue of issues) {
    const path = issue.path.map((step) =>
      typeof step === "string" && Object.hasOwn(fields, step)
        ? yamlName(step, fields[step] ?? OTHER)
        : step,
    );
    const label = path.length === 0 ? type : path.map(String).join(".");
    const at = nodeAt(node, path).place;
    const known = Object.keys(fields);
    if (issue.kind === "unknown-key")
      scope.problems.add(
        "CONFIG_KEY_UNKNOWN",
        `${type} has no option ${JSON.stringify(issue.got)}`,
        at,
        suggestion(issue.got, known),
      );
    else if (issue.kind === "missing")
      scope.problems.add("CONFIG_KEY_MISSING", `${scope.path} lacks ${JSON.stringify(label)}`, at);
    else
      scope.problems.add(
        "CONFIG_VALUE",
        issue.got === ""
          ? `${label}: ${issue.message}`
          : `${label} is ${issue.got}, wanted ${issue.expected}`,
        at,
      );
  }
}

/** JSON Schema properties of a type's options, under their names in the file. */
export function optionsProperties(schema: OptionsSchema): {
  readonly properties: Readonly<Record<string, JsonSchema>>;
  readonly required: readonly string[];
} {
  const { fields } = detailsOf(schema);
  if (fields === undefined) return foreignProperties(schema);
  const named = Object.entries(fields).map(([name, details]): readonly [string, FieldDetails] => [
    yamlName(name, details),
    details,
  ]);
  return {
    properties: Object.fromEntries(named.map(([key, details]) => [key, describedField(details)])),
    required: named.filter(([, { presence }]) => presence === "required").map(([key]) => key),
  };
}

function foreignProperties(schema: OptionsSchema): {
  readonly properties: Readonly<Record<string, JsonSchema>>;
  readonly required: readonly string[];
} {
  const { properties, required } = toJsonSchema(schema);
  const isRecord = typeof properties === "object" && properties !== null;
  return {
    properties: isRecord ? Object.fromEntries(Object.entries(properties)) : {},
    required: Array.isArray(required) ? required.filter((key) => typeof key === "string") : [],
  };
}

function fieldsSchema(fields: Readonly<Record<string, FieldDetails>>): JsonSchema {
  const properties = Object.entries(fields).map(([name, details]) => [
    yamlName(name, details),
    describedField(details),
  ]);
  return {
    type: "object",
    properties: Object.fromEntries(properties),
    additionalProperties: false,
  };
}

function describedField(details: FieldDetails): JsonSchema {
  const { jsonSchema } = fieldOf(details);
  return details.defaultValue === undefined || typeof details.defaultValue === "object"
    ? jsonSchema
    : { ...jsonSchema, default: defaultText(details) };
}

function defaultText({ kind, defaultValue }: FieldDetails): unknown {
  if (typeof defaultValue !== "number") return defaultValue;
  if (kind === "duration") return showDuration(defaultValue);
  return kind === "size" ? showSize(defaultValue) : defaultValue;
}
