/**
 * `defineReceiver`: makes a factory of receivers from a type, a schema of options and an `open`.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { FileLook } from "./contract/file-look.ts";
import type {
  Receiver,
  ReceiverContext,
  ReceiverOptions,
  ReceiverSession,
} from "./contract/receiver.ts";
import type { Strategy } from "./contract/unit.ts";
import { HoldfastError } from "./errors.ts";
import { checkName, resolveOptions } from "./defined-options.ts";
import { detailsOf, extendObject, schema } from "./schema.ts";

/** What a type of receivers is. */
export interface ReceiverDefinition<In, Out> {
  /** For YAML, messages and status: `[a-z][a-z0-9-]{0,62}`. */
  readonly type: string;
  /** Any Standard Schema of an object; the `schema` kit also reads YAML units and exports JSON Schema. */
  readonly options: StandardSchemaV1<In, Out>;
  /** Whether its upstream sends again what was not acknowledged; may depend on the options. */
  readonly redelivers: boolean | ((options: Out) => boolean);
  /**
   * Whether it connects to what may be away for weeks, as a broker: then it is tried for ever where nobody has chosen a
   * strategy, and one that listens is parked after 10 restarts in a minute. @defaultValue false
   */
  readonly dials?: boolean;
  /**
   * For a receiver that hears from its upstream even when there is nothing to store: without a record or a call of
   * `alive` for longer its incarnation fails with UNIT_STALLED. Milliseconds. @defaultValue it may be silent
   */
  readonly aliveWithinMs?: (options: Out) => number;
  /** What the schema cannot know: combinations that exclude each other. Throws CONFIG_CONFLICT. */
  readonly check?: (options: Out) => void;
  /**
   * Reads the files that the options name and rejects with CONFIG_VALUE for one that cannot be used: `holdfast validate`
   * calls it. `open` reads them again. @defaultValue the options name none
   */
  readonly checkFiles?: (look: FileLook & NamedOptions<Out>) => Promise<unknown>;
  /** Connects or binds; rejects when that fails. Its deadline is the supervisor's. */
  readonly open: (context: ReceiverContext<Out>) => Promise<ReceiverSession>;
}

interface NamedOptions<Out> {
  readonly name: string;
  readonly options: Out;
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
  const { type, options, redelivers, aliveWithinMs, dials, checkFiles } = definition;
  const owner = `${type} "${name}"`;
  const { own, common, supervision } = splitOptions(owner, given);
  const knownKeys = [
    ...Object.keys(detailsOf(options).fields ?? {}),
    ...Object.keys(COMMON),
    "supervision",
  ];
  const ownOptions = resolveOptions<Out>(options, own, { owner, knownKeys });
  const commonOptions = resolveOptions(COMMON_SCHEMA, common, { owner, knownKeys });
  definition.check?.(ownOptions);
  return Object.freeze({
    kind: "receiver",
    name,
    type,
    redelivers: typeof redelivers === "function" ? redelivers(ownOptions) : redelivers,
    ...(dials === undefined ? {} : { dials }),
    ...(aliveWithinMs === undefined ? {} : { aliveWithinMs: aliveWithinMs(ownOptions) }),
    ...(checkFiles === undefined
      ? {}
      : { checkFiles: (look: FileLook) => checkFiles({ ...look, name, options: ownOptions }) }),
    options: ownOptions,
    common: Object.freeze({
      ...commonOptions,
      ...(supervision === undefined ? {} : { supervision }),
    }),
    // Decode boundary: the engine hands back `options` of this very receiver.
    open: (context: ReceiverContext<unknown>) => definition.open(context as ReceiverContext<Out>),
  });
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
