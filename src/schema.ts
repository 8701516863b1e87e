/**
 * The schema kit: small schemas for options and rows, zod underneath. Each is a Standard Schema.
 *
 * Rows are checked, not cleaned: a row that a schema accepts comes back as the very same object, keys it does
 * not name included, unless the schema has a default or a human unit to fill in. Options are strict: see
 * {@link checkOptions}.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import * as z from "zod";
import { HoldfastError } from "./errors.ts";
import { type FieldDetails, type FieldKind, rangeText } from "./schema-details.ts";
import type { SchemaIssue } from "./contract/schema-issue.ts";
import { issuesOf } from "./schema-issues.ts";
import { parseDuration, parseSize } from "./units.ts";

/** A schema of a value that is given as it is read. */
export interface Field<T> extends StandardSchemaV1<unknown, T> {}
/** What a field gives. */
export type FieldOf<F> = F extends StandardSchemaV1<unknown, infer T> ? T : never;
/** A field that may be left out. */
export interface Optional<T> extends Field<T | undefined> {
  readonly optional: true;
}
/** A field that has a value when it is left out. */
export interface Defaulted<T> extends StandardSchemaV1<unknown, T> {
  readonly defaulted: true;
}
type Flat<T> = { [K in keyof T]: T[K] } & {};
type OptionalKeys<O> = { [K in keyof O]: O[K] extends { optional: true } ? K : never }[keyof O];
type OpenKeys<O> = {
  [K in keyof O]: O[K] extends { optional: true } | { defaulted: true } ? K : never;
}[keyof O];
/** What an object schema of these fields gives. */
export type ObjectOf<O> = Flat<
  { readonly [K in Exclude<keyof O, OptionalKeys<O>>]: FieldOf<O[K]> } & {
    readonly [K in OptionalKeys<O>]?: Exclude<FieldOf<O[K]>, undefined>;
  }
>;
/** What one writes for an object schema of these fields: what has a default may be left out. */
export type InputOf<O> = Flat<
  { readonly [K in Exclude<keyof O, OpenKeys<O>>]: FieldOf<O[K]> } & {
    readonly [K in OpenKeys<O>]?: Exclude<FieldOf<O[K]>, undefined>;
  }
>;
/** A schema of an object; `In` is what one writes, `Out` what one gets. */
export interface ObjectSchema<In, Out> extends StandardSchemaV1<In, Out> {}
/** What a schema gives: `type Reading = Infer<typeof Reading>`. */
export type Infer<S extends StandardSchemaV1> = StandardSchemaV1.InferOutput<S>;

/** Smallest and largest allowed value, inclusive. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

/** What a text has to be. */
export interface TextRules {
  readonly bytesMax?: number;
  readonly pattern?: RegExp;
  readonly wanted?: string;
}

/** The kit. All functions are pure; the schemas are frozen and may be shared. */
export interface SchemaKit {
  /** An object. Keys that it does not name are left alone in rows and refused in options. */
  object<const O extends Record<string, StandardSchemaV1>>(
    fields: O,
  ): ObjectSchema<InputOf<O>, ObjectOf<O>>;
  /** A list of any length. */
  list<T>(item: Field<T>): Field<readonly T[]>;
  /** An object with any keys, each value of which is this field. */
  mapping<T>(item: Field<T>): Field<Readonly<Record<string, T>>>;
  /** Text; `bytesMax` counts UTF-8. `wanted` says in words what `pattern` asks for: "a host and a port". */
  string(options?: TextRules): Field<string>;
  /** A finite number. */
  number(options?: Bounds): Field<number>;
  /** A whole number that a double holds exactly. */
  integer(options?: Bounds): Field<number>;
  boolean(): Field<boolean>;
  /** A TCP or UDP port: 0 .. 65535, where 0 takes a free one. */
  port(): Field<number>;
  /** One of these texts. */
  oneOf<const V extends readonly string[]>(...values: V): Field<V[number]>;
  /** The field, or `value` when it is left out. */
  withDefault<T>(field: Field<T>, value: NoInfer<T>): Defaulted<T>;
  /** Milliseconds as a number, or text such as `500ms`, `10s`, `1m`, `2h`. Not below 0. */
  durationMs(options: Bounds & { readonly default: number }): Defaulted<number>;
  /** Bytes as a number, or text such as `64KiB`, `16MiB`, `1GiB`. Not below 0. */
  sizeBytes(options: Bounds & { readonly default: number }): Defaulted<number>;
  optional<T>(field: Field<T>): Optional<T>;
  /** Text that no message, log or status may show. */
  secret(): Field<string>;
}

type Strictness = "rows" | "options";

/** What a schema of the kit is made of. */
interface Parts {
  readonly details: FieldDetails;
  /** Whether every accepted value comes back as it is. */
  readonly faithful: boolean;
  readonly zod: (strictness: Strictness) => z.ZodType;
  /** Of an object: its fields as they were given. */
  readonly fields?: Readonly<Record<string, StandardSchemaV1>>;
}

/** The result of a check: the value, or at least one issue. */
export type Checked<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** A schema of the kit, as the kit sees it. */
class KitSchema<In, Out> implements StandardSchemaV1<In, Out> {
  readonly "~standard": StandardSchemaV1.Props<In, Out>;
  readonly parts: Parts;
  readonly optional?: true;
  readonly defaulted?: true;
  #rows: z.ZodType | undefined;
  #options: z.ZodType | undefined;

  constructor(parts: Parts) {
    this.parts = parts;
    const { presence } = parts.details;
    if (presence === "optional") this.optional = true;
    if (presence === "defaulted") this.defaulted = true;
    // The vendor tells decoders whether an accepted row still says the same as its bytes.
    const vendor = parts.faithful ? "holdfast" : "holdfast-changing";
    const validate = (value: unknown): StandardSchemaV1.Result<Out> => this.check(value, "rows");
    this["~standard"] = Object.freeze({ version: 1, vendor, validate });
    Object.freeze(this);
  }

  check(value: unknown, strictness: Strictness): Checked<Out> {
    const result = this.zod(strictness).safeParse(value);
    if (!result.success)
      return { issues: issuesOf(result.error.issues, value, this.parts.details) };
    // Decode boundary: zod has just checked it. Its copy is dropped where the original says the same.
    return { value: (this.parts.faithful ? value : result.data) as Out };
  }

  // Built at first use: most schemas are used one way only.
  zod(strictness: Strictness): z.ZodType {
    if (strictness === "rows") return (this.#rows ??= this.parts.zod("rows"));
    return (this.#options ??= this.parts.zod("options"));
  }
}

/** A field for values that only code can make, such as a framing; `expected` names what is wanted. */
export function customField<T>(
  expected: string,
  parse: (value: unknown) => T | undefined,
): Field<T> {
  const zod = z.unknown().transform((value, context) => {
    const parsed = parse(value);
    if (parsed === undefined)
      context.addIssue({ code: "custom", message: `expected ${expected}`, input: value });
    return parsed;
  });
  return leaf({ kind: "other", expected, presence: "required" }, zod, false);
}

/** The kit: see {@link SchemaKit}. */
export const schema: SchemaKit = Object.freeze({
  object: objectSchema,
  list: <T>(item: Field<T>) => collection<readonly T[]>("list", item, (zod) => z.array(zod)),
  mapping: <T>(item: Field<T>) =>
    collection<Readonly<Record<string, T>>>("mapping", item, (zod) => z.record(z.string(), zod)),
  string: ({ bytesMax, pattern, wanted }: TextRules = {}) => {
    let text = z.string();
    // A copy without flags that remember where the last search ended.
    if (pattern !== undefined)
      text = text.regex(new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")));
    if (bytesMax !== undefined) text = text.refine((value) => Buffer.byteLength(value) <= bytesMax);
    const limits = [
      wanted ?? (pattern === undefined ? "text" : `text that matches ${pattern}`),
      ...(bytesMax === undefined ? [] : [`of at most ${bytesMax} bytes`]),
    ];
    return leaf<string>({ kind: "string", expected: limits.join(" "), presence: "required" }, text);
  },
  number: (bounds: Bounds = {}) =>
    leaf<number>(numeric("number", "a number", bounds), bounded(z.number(), bounds)),
  integer: (bounds: Bounds = {}) =>
    leaf<number>(numeric("integer", "a whole number", bounds), bounded(z.int(), bounds)),
  boolean: () =>
    leaf<boolean>(
      { kind: "boolean", expected: "true or false", presence: "required" },
      z.boolean(),
    ),
  port: () => leaf<number>(numeric("port", "a port", PORTS), bounded(z.int(), PORTS)),
  oneOf: <const V extends readonly string[]>(...values: V) => {
    const expected = `one of ${values.join(", ")}`;
    return leaf<V[number]>(
      { kind: "one-of", expected, presence: "required", values },
      z.enum([...values]),
    );
  },
  withDefault: <T>(field: Field<T>, value: NoInfer<T>) => withDefault(field, value),
  durationMs: (options: Bounds & { readonly default: number }) =>
    quantity(
      "duration",
      "a duration such as 10s or a number of milliseconds",
      options,
      parseDuration,
    ),
  sizeBytes: (options: Bounds & { readonly default: number }) =>
    quantity("size", "a size such as 64MiB or a number of bytes", options, parseSize),
  optional: <T>(field: Field<T>): Optional<T> => {
    const { details, faithful, zod } = partsOf(field);
    const parts: Parts = {
      details: { ...details, presence: "optional" },
      faithful,
      zod: (strictness) => zod(strictness).optional(),
    };
    // The constructor has set `optional` from the presence.
    return new KitSchema<unknown, T | undefined>(parts) as Optional<T>;
  },
  secret: () =>
    leaf<string>({ kind: "secret", expected: "text", presence: "required" }, z.string()),
});

const PORTS: Bounds = { min: 0, max: 65_535 };

/**
 * Checks options: keys that the schema does not name are issues too, at every depth. A foreign Standard Schema
 * judges unknown keys itself.
 *
 * @throws SCHEMA_ASYNC when a foreign schema answers with a promise.
 */
export function checkOptions<Out>(
  options: StandardSchemaV1<unknown, Out>,
  value: unknown,
): Checked<Out> {
  if (options instanceof KitSchema) return options.check(value, "options");
  const result = validateNow(options, value);
  return result.issues === undefined
    ? { value: result.value }
    : { issues: result.issues.map(foreignIssue) };
}

/** The schema with more fields; a foreign one is given back as it is. Its names must differ from theirs. */
export function extendObject<In, Out>(
  base: StandardSchemaV1<In, Out>,
  more: Readonly<Record<string, StandardSchemaV1>>,
): StandardSchemaV1<In, Out> {
  if (!(base instanceof KitSchema)) return base;
  const { fields } = base.parts;
  if (fields === undefined) return base;
  const extended = objectSchema({ ...fields, ...more });
  // The same object with more keys: what one writes and gets for the old ones stays.
  return extended as StandardSchemaV1<unknown, unknown> as StandardSchemaV1<In, Out>;
}

/** What a schema of the kit is, as data; a foreign one is `other`. */
export function detailsOf(anySchema: StandardSchemaV1): FieldDetails {
  return anySchema instanceof KitSchema ? anySchema.parts.details : FOREIGN;
}

/** JSON Schema (draft 2020-12) of what one may write, for editors; `{}` for a foreign schema that is not zod's. */
export function toJsonSchema(anySchema: StandardSchemaV1): Readonly<Record<string, unknown>> {
  const zod = partsOf(anySchema).zod("options");
  const { $schema: _, ...rest } = z.toJSONSchema(zod, { io: "input", unrepresentable: "any" });
  return rest;
}

const FOREIGN: FieldDetails = { kind: "other", expected: "a valid value", presence: "required" };

function foreignIssue({ message, path = [] }: StandardSchemaV1.Issue): SchemaIssue {
  const keys = path.map((step) => (typeof step === "object" ? step.key : step));
  return { kind: "value", message, path: keys, expected: message, got: "" };
}

function validateNow<Out>(
  foreign: StandardSchemaV1<unknown, Out>,
  value: unknown,
): StandardSchemaV1.Result<Out> {
  const result = foreign["~standard"].validate(value);
  if (!(result instanceof Promise)) return result;
  throw new HoldfastError(
    "SCHEMA_ASYNC",
    "the schema answered with a promise, only direct answers can be used",
    {
      fix: "use a schema without asynchronous checks",
    },
  );
}

function partsOf(anySchema: StandardSchemaV1): Parts {
  if (anySchema instanceof KitSchema) return anySchema.parts;
  // zod's own types are used as they are: their issues and their JSON Schema are better than a wrapper's.
  if (anySchema instanceof z.ZodType)
    return { details: FOREIGN, faithful: false, zod: () => anySchema };
  const zod = z.unknown().transform((value, context) => {
    const result = validateNow(anySchema, value);
    if (result.issues === undefined) return result.value;
    for (const issue of result.issues) {
      const { message, path } = foreignIssue(issue);
      context.addIssue({ code: "custom", message, path: [...path], input: value });
    }
    return z.NEVER;
  });
  return { details: FOREIGN, faithful: false, zod: () => zod };
}

function leaf<T>(details: FieldDetails, zod: z.ZodType, faithful = true): Field<T> {
  return new KitSchema<unknown, T>({ details, faithful, zod: () => zod });
}

function collection<T>(
  kind: "list" | "mapping",
  item: StandardSchemaV1,
  wrap: (item: z.ZodType) => z.ZodType,
): Field<T> {
  const { details, faithful, zod } = partsOf(item);
  const items = details.kind === "object" ? " of objects" : `, each ${details.expected}`;
  return new KitSchema<unknown, T>({
    details: { kind, expected: `a ${kind}${items}`, presence: "required", item: details },
    faithful,
    zod: (strictness) => wrap(zod(strictness)),
  });
}

function numeric(kind: FieldKind, noun: string, bounds: Bounds): FieldDetails {
  const range = rangeText({ kind, ...bounds });
  return {
    kind,
    expected: range === undefined ? noun : `${noun} (${range})`,
    presence: "required",
    ...bounds,
  };
}

function bounded<Z extends z.ZodNumber>(number: Z, { min, max }: Bounds): Z {
  const low = min === undefined ? number : number.min(min);
  return max === undefined ? low : low.max(max);
}

function withDefault<T>(field: Field<T>, value: T): Defaulted<T> {
  const { details, zod } = partsOf(field);
  const parts: Parts = {
    details: { ...details, presence: "defaulted", defaultValue: value },
    faithful: false,
    zod: (strictness) => zod(strictness).default(value),
  };
  const defaulted = new KitSchema<unknown, T>(parts);
  const { issues } = checkOptions(field, value);
  if (issues !== undefined)
    throw new HoldfastError("CONFIG_VALUE", `the default is refused: ${issues[0]?.message ?? ""}`);
  // The constructor has set `defaulted` from the presence.
  return defaulted as Defaulted<T>;
}

function quantity(
  kind: FieldKind,
  noun: string,
  options: Bounds & { readonly default: number },
  parse: (text: string) => number | undefined,
): Defaulted<number> {
  const bounds = { ...options, min: options.min ?? 0 };
  const { default: value, ...limits } = bounds;
  const written = z.union([z.number(), z.string()]).meta({ description: noun });
  const zod = written
    .transform((input, context) => {
      const number = typeof input === "number" ? input : parse(input);
      if (number === undefined)
        context.addIssue({ code: "custom", message: `expected ${noun}`, input });
      return number ?? z.NEVER;
    })
    .pipe(bounded(z.number(), limits));
  return withDefault(leaf<number>({ ...numeric(kind, noun, limits) }, zod, false), value);
}

function objectSchema<const O extends Record<string, StandardSchemaV1>>(
  fields: O,
): ObjectSchema<InputOf<O>, ObjectOf<O>> {
  const parts = Object.entries(fields).map(([key, field]): readonly [string, Parts] => [
    key,
    partsOf(field),
  ]);
  const faithful = parts.every(([, part]) => part.faithful);
  const details = Object.fromEntries(parts.map(([key, part]) => [key, part.details]));
  return new KitSchema<InputOf<O>, ObjectOf<O>>({
    details: { kind: "object", expected: "an object", presence: "required", fields: details },
    faithful,
    fields,
    zod: (strictness) => {
      const shape = Object.fromEntries(parts.map(([key, part]) => [key, part.zod(strictness)]));
      if (strictness === "options") return z.strictObject(shape);
      // A faithful check hands the original back, so that the cheapest copy will do.
      return faithful ? z.object(shape) : z.looseObject(shape);
    },
  });
}
