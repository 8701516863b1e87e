/**
 * `defineSource`: makes a factory of sources that pipelines read directly, from a type, a schema of options and an `open`.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { LOG_SOURCE } from "./batch/log-source.ts";
import type { FileLook } from "./contract/file-look.ts";
import type { DirectSource, Source, SourceContext } from "./contract/source.ts";
import { checkName, resolveOptions } from "./defined-options.ts";
import { HoldfastError } from "./errors.ts";
import { detailsOf } from "./schema.ts";

/** What a type of sources is. */
export interface SourceDefinition<In, Out> {
  /** For YAML, messages and the graph hash: `[a-z][a-z0-9-]{0,62}`. */
  readonly type: string;
  /** Any Standard Schema of an object. */
  readonly options: StandardSchemaV1<In, Out>;
  /** What the schema cannot know: combinations that exclude each other. Throws CONFIG_CONFLICT. */
  readonly check?: (options: Out) => void;
  /**
   * Reads the files that the options name and rejects with CONFIG_VALUE for one that cannot be used: `holdfast validate`
   * calls it. `open` reads them again. @defaultValue the options name none
   */
  readonly checkFiles?: (
    look: FileLook & { readonly name: string; readonly options: Out },
  ) => Promise<unknown>;
  /** Connects; rejects when that fails. */
  readonly open: (context: SourceContext<Out>) => Promise<Source>;
}

/**
 * Makes a source: a value, nothing is opened before the ingest starts.
 *
 * @throws CONFIG_VALUE for a name that does not match `[a-z][a-z0-9-]{0,62}` or is `log`, and the codes of its options
 */
export interface SourceFactory<In> {
  <const Name extends string>(name: Name, options: In): DirectSource<Name>;
  /** What a configuration file needs to know. */
  readonly definition: { readonly type: string; readonly options: StandardSchemaV1<In, unknown> };
}

/**
 * A factory of sources of a new type.
 *
 * @throws CONFIG_VALUE for a type that does not match `[a-z][a-z0-9-]{0,62}`
 */
export function defineSource<In, Out>(definition: SourceDefinition<In, Out>): SourceFactory<In> {
  const { type, options, checkFiles } = definition;
  checkName("a type", type);
  const create = <const Name extends string>(name: Name, given: In): DirectSource<Name> => {
    checkName(type, name);
    if (name === LOG_SOURCE)
      throw new HoldfastError("CONFIG_VALUE", `${type}: a source cannot be called ${name}`, {
        fix: "any other name: this one is the log's in every plan",
      });
    const knownKeys = Object.keys(detailsOf(options).fields ?? {});
    const own = resolveOptions<Out>(options, given, { owner: `${type} "${name}"`, knownKeys });
    definition.check?.(own);
    return Object.freeze({
      kind: "source",
      name,
      type,
      ...(checkFiles === undefined
        ? {}
        : { checkFiles: (look: FileLook) => checkFiles({ ...look, name, options: own }) }),
      options: own,
      // Decode boundary: the engine hands back `options` of this very source.
      open: (context: SourceContext<unknown>) => definition.open(context as SourceContext<Out>),
    });
  };
  return Object.freeze(Object.assign(create, { definition: Object.freeze({ type, options }) }));
}
