/**
 * `defineReceiver`: makes a factory of receivers from a type, a schema of options and an `open`.
 */
import { NAME_PATTERN } from "./contract/name.ts";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { suggestion } from "./config/suggest.ts";
import type {
  Receiver,
  ReceiverContext,
  ReceiverOptions,
  ReceiverSession,
} from "./contract/receiver.ts";
import type { Strategy } from "./contract/unit.ts";
import { type Code, HoldfastError } from "./errors.ts";
import { checkOptions, detailsOf, extendObject, schema } from "./schema.ts";
import type { IssueKind, SchemaIssue } from "./contract/schema-issue.ts";

/** What a type of receivers is. */
export interface ReceiverDefinition<In, Out> {
  /** For YAML, messages and status: `[a-z][a-z0-9-]{0,62}`. */
  readonly type: string;
  /** Any Standard Schema of an object; the `schema` kit also reads YAML units and exports JSON Schema. */
  readonly options: StandardSchemaV1<In, Out>;
  /** Whether its upstream sends again what was not acknowledged; may depend on the options. */
  readonly redelivers: boolean | ((options: Out) => boolean);
  /** What the schema cannot know: combinations that exclude each other. Throws CONFIG_CONFLICT. */
  readonly check?: (options: Out) => void;
  /** Connects or binds; rejects when that fails. Its deadline is the supervisor's. */
  readonly open: (context: ReceiverContext<Out>) => Promise<ReceiverSession>;
}

/**
 * Makes a receiver: a value, nothing is opened before the ingest starts.
 *
 * @throws CONFIG_VALUE for a name that does not match `[a-z][a-z0-9-]{0,62}`, CONFIG_KEY_UNKNOWN,
 * CONFIG_KEY_MISSING, CONFIG_TYPE, CONFIG_OUT_OF_RANGE, CONFIG_VALUE, CONFIG_CONFLICT for the options
 */
export interface ReceiverFactory<In> {
  <const Name extends string>(name: Name, options: In & ReceiverOptions): Receiver<Name>;
  /** What a configuration file needs to know: the options include those that every receiver has. */
  readonly definition: { readonly type: string; readonly options: StandardSchemaV1<In, unknown> };
}

/** Options that every receiver has, `supervision` aside: that is a value that only code can make. */
const COMMON = {
  ingestRateMax: schema.optional(schema.number({ min: 0.001 })),
  inflightBytesMax: schema.sizeBytes({ default: 8 * 2 ** 20, min: 64 * 2 ** 10, max: 2 ** 30 }),
  storeTimeoutMs: schema.durationMs({ default: 30_000, min: 0, max: 3_600_000 }),
} as const;
const COMMON_SCHEMA = schema.object(COMMON);

/**
 * A factory of receivers of a new type.
 *
 * @throws CONFIG_VALUE for a type that does not match `[a-z][a-z0-9-]{0,62}`
 */
export function defineReceiver<In, Out>(
  definition: ReceiverDefinition<In, Out>,
): ReceiverFactory<In> {
  const { type, options } = definition;
  checkName("a type", type);
  const own = detailsOf(options).fields;
  const clash = Object.keys(own ?? {}).find((key) => key in COMMON || key === "supervision");
  if (clash !== undefined)
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `${type}: every receiver has an option "${clash}" already`,
    );
  const create = <const Name extends string>(
    name: Name,
    given: In & ReceiverOptions,
  ): Receiver<Name> => {
    checkName(type, name);
    return makeReceiver(definition, name, given);
  };
  const everything = extendObject(options, COMMON);
  return Object.freeze(
    Object.assign(create, { definition: Object.freeze({ type, options: everything }) }),
  );
}

function makeReceiver<In, Out, const Name extends string>(
  definition: ReceiverDefinition<In, Out>,
  name: Name,
  given: In & ReceiverOptions,
): Receiver<Name> {
  const { type, options, redelivers } = definition;
  const owner = `${type} "${name}"`;
  const { own, common, supervision } = splitOptions(owner, given);
  const knownKeys = [
    ...Object.keys(detailsOf(options).fields ?? {}),
    ...Object.keys(COMMON),
    "supervision",
  ];
  const ownOptions = resolve<Out>(options, own, { owner, knownKeys });
  const commonOptions = resolve(COMMON_SCHEMA, common, { owner, knownKeys });
  definition.check?.(ownOptions);
  return Object.freeze({
    kind: "receiver",
    name,
    type,
    redelivers: typeof redelivers === "function" ? redelivers(ownOptions) : redelivers,
    options: ownOptions,
    common: Object.freeze({
      ...commonOptions,
      ...(supervision === undefined ? {} : { supervision }),
    }),
    // Decode boundary: the engine hands back `options` of this very receiver.
    open: (context: ReceiverContext<unknown>) => definition.open(context as ReceiverContext<Out>),
  });
}

function checkName(what: string, name: unknown): void {
  if (typeof name === "string" && NAME_PATTERN.test(name)) return;
  throw new HoldfastError(
    "CONFIG_VALUE",
    `name of ${what} is ${JSON.stringify(name)}, allowed is ${NAME_PATTERN.source}`,
    {
      fix: "small letters, digits and -, a letter first, at most 63",
    },
  );
}

interface SplitOptions {
  readonly own: Readonly<Record<string, unknown>>;
  readonly common: Readonly<Record<string, unknown>>;
  readonly supervision: Strategy | undefined;
}

function splitOptions(owner: string, given: unknown): SplitOptions {
  if (typeof given !== "object" || given === null) {
    throw new HoldfastError(
      "CONFIG_TYPE",
      `${owner}: options are ${given === null ? "null" : typeof given}, wanted an object`,
    );
  }
  const { supervision, ...rest }: Readonly<Record<string, unknown>> = { ...given };
  const entries = Object.entries(rest);
  const isCommon = ([key]: readonly [string, unknown]): boolean => key in COMMON;
  return {
    own: Object.fromEntries(entries.filter((entry) => !isCommon(entry))),
    common: Object.fromEntries(entries.filter(isCommon)),
    supervision: supervision === undefined ? undefined : checkStrategy(owner, supervision),
  };
}

function checkStrategy(owner: string, supervision: unknown): Strategy {
  const isStrategy =
    typeof supervision === "object" &&
    supervision !== null &&
    "scope" in supervision &&
    "decide" in supervision;
  // Decode boundary: strategies come from oneForOne and its like, which have checked their numbers.
  if (isStrategy) return supervision as Strategy;
  throw new HoldfastError("CONFIG_TYPE", `${owner}: supervision is no strategy`, {
    fix: "oneForOne({ maxRestarts: 10, withinMs: 60_000 })",
  });
}

interface ResolveContext {
  readonly owner: string;
  readonly knownKeys: readonly string[];
}

const CODE_OF: Readonly<Record<IssueKind, Code>> = {
  missing: "CONFIG_KEY_MISSING",
  "unknown-key": "CONFIG_KEY_UNKNOWN",
  type: "CONFIG_TYPE",
  range: "CONFIG_OUT_OF_RANGE",
  value: "CONFIG_VALUE",
};

function resolve<Out>(
  options: StandardSchemaV1<unknown, Out>,
  given: unknown,
  context: ResolveContext,
): Out {
  const checked = checkOptions<Out>(options, given);
  if (checked.issues === undefined) return checked.value;
  const [first] = checked.issues;
  if (first === undefined)
    throw new HoldfastError(
      "CONFIG_VALUE",
      `${context.owner}: its schema refuses the options without a reason`,
    );
  throw new HoldfastError(CODE_OF[first.kind], messageOf(first, context), {
    fix: fixOf(first, context),
  });
}

function messageOf(
  { kind, path, expected, got, message }: SchemaIssue,
  { owner }: ResolveContext,
): string {
  const label = path.map(String).join(".");
  if (kind === "unknown-key") return `${owner} has no option ${JSON.stringify(label)}`;
  if (kind === "missing") return `${owner} lacks ${JSON.stringify(label)}: ${expected}`;
  if (got === "") return `${owner}: ${label === "" ? message : `${label}: ${message}`}`;
  return kind === "range"
    ? `${owner}: ${label} is ${got}, allowed are ${expected}`
    : `${owner}: ${label} is ${got}, wanted ${expected}`;
}

function fixOf({ kind, path, got, expected }: SchemaIssue, { knownKeys }: ResolveContext): string {
  if (kind !== "unknown-key") return "";
  return suggestion(got, path.length === 1 ? knownKeys : expected.split(", "));
}
