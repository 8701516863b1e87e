/**
 * Types of receivers, sources and sinks that a file can name. Their modules are loaded when they are named,
 * not before.
 */
import type { Receiver } from "../contract/receiver.ts";
import type { Sink } from "../contract/sink.ts";
import type { DirectSource } from "../contract/source.ts";
import type { OptionsSchema } from "./type-options.ts";

/** Makes values of one type. */
export interface TypeFactory<T> {
  readonly type: string;
  readonly options: OptionsSchema;
  /** @throws CONFIG_ codes for what the schema cannot know */
  readonly create: (name: string, options: object) => T;
}

/** Types by name. */
export interface TypeRegistry<T> {
  readonly names: readonly string[];
  /** Undefined for a name that is none of `names`. */
  load(name: string): Promise<TypeFactory<T> | undefined>;
  /** The type that a module exports, or undefined when the value is none. */
  fromExport(value: unknown): TypeFactory<T> | undefined;
}

/** A factory as `defineReceiver`, `defineSource` and the sinks make them: callable, with its definition. */
interface DefinedFactory {
  (name: string, options: object): unknown;
  readonly definition: { readonly type: string; readonly options: OptionsSchema };
}

type Loaders<T> = Readonly<Record<string, () => Promise<TypeFactory<T>>>>;

const RECEIVERS: Loaders<Receiver> = {
  tcp: async () => defined((await import("../../receivers/tcp/index.ts")).tcp, isReceiver),
  http: async () => defined((await import("../../receivers/http/index.ts")).http, isReceiver),
  kafka: async () => defined((await import("../../receivers/kafka/index.ts")).kafka, isReceiver),
  mqtt: async () => defined((await import("../../receivers/mqtt/index.ts")).mqtt, isReceiver),
  rate: async () => defined((await import("../../receivers/rate/index.ts")).rate, isReceiver),
  websocket: async () =>
    defined((await import("../../receivers/websocket/index.ts")).websocket, isReceiver),
  "mqtt-listener": async () =>
    defined((await import("../../receivers/mqtt-listener/index.ts")).mqttListener, isReceiver),
  "websocket-client": async () =>
    defined((await import("../../receivers/websocket/index.ts")).websocketClient, isReceiver),
};

const SOURCES: Loaders<DirectSource> = {
  kafka: async () =>
    defined((await import("../../receivers/kafka/index.ts")).kafkaDirect, isSource),
};

const SINKS: Loaders<Sink<never>> = {
  "json-lines": async () => {
    const { fileOptions, jsonLines } = await import("../sink/file.ts");
    return sinkFactory("json-lines", fileOptions, jsonLines);
  },
  "raw-lines": async () => {
    const { fileOptions, rawLines } = await import("../sink/file.ts");
    return sinkFactory("raw-lines", fileOptions, rawLines);
  },
  sqlite: async () => {
    const { sqlite, sqliteOptions } = await import("../sink/sqlite.ts");
    return sinkFactory("sqlite", sqliteOptions, sqlite);
  },
  http: async () => {
    const { http, httpOptions } = await import("../sink/http.ts");
    return sinkFactory("http", httpOptions, http);
  },
  console: async () => {
    const { consoleLines, consoleOptions } = await import("../sink/console.ts");
    return sinkFactory("console", consoleOptions, consoleLines);
  },
};

/** Sources that come with Holdfast. */
export const sourceTypes: TypeRegistry<DirectSource> = registry(SOURCES, isSource);
/** Receivers that come with Holdfast. */
export const receiverTypes: TypeRegistry<Receiver> = registry(RECEIVERS, isReceiver);
/** Sinks that come with Holdfast. */
export const sinkTypes: TypeRegistry<Sink<never>> = registry(SINKS, isSink);

function registry<T>(loaders: Loaders<T>, isMade: (value: unknown) => value is T): TypeRegistry<T> {
  return {
    names: Object.keys(loaders),
    load: async (name) => (Object.hasOwn(loaders, name) ? loaders[name]?.() : undefined),
    fromExport: (value) => (isDefinedFactory(value) ? factoryOf(value, isMade) : undefined),
  };
}

/** A type of ours by its factory. */
function defined<T>(factory: unknown, isMade: (value: unknown) => value is T): TypeFactory<T> {
  if (isDefinedFactory(factory)) return factoryOf(factory, isMade);
  throw new TypeError("a type of Holdfast's own lacks its definition");
}

function sinkFactory(
  type: string,
  options: OptionsSchema,
  make: (name: string, options: never) => Sink<never>,
): TypeFactory<Sink<never>> {
  // The options were read by this very schema, and the sink checks them again.
  return { type, options, create: (name, given) => make(name, given as never) };
}

function factoryOf<T>(
  factory: DefinedFactory,
  isMade: (value: unknown) => value is T,
): TypeFactory<T> {
  const { type, options } = factory.definition;
  return {
    type,
    options,
    create(name, given) {
      const made = factory(name, given);
      if (isMade(made)) return made;
      throw new TypeError(`the factory of type ${type} made something else`);
    },
  };
}

function isDefinedFactory(value: unknown): value is DefinedFactory {
  if (typeof value !== "function" || !("definition" in value)) return false;
  const { definition } = value;
  return (
    typeof definition === "object" &&
    definition !== null &&
    "type" in definition &&
    "options" in definition
  );
}

function isReceiver(value: unknown): value is Receiver {
  return kindOf(value) === "receiver";
}

function isSource(value: unknown): value is DirectSource {
  return kindOf(value) === "source";
}

function isSink(value: unknown): value is Sink<never> {
  return kindOf(value) === "sink";
}

function kindOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "kind" in value ? value.kind : undefined;
}
