/**
 * Streams: values from which pipelines are built. Each method gives a new stream, so using one twice branches.
 * Nothing runs here: the methods make frozen nodes of `src/contract/graph.ts`.
 */
import type {
  DecodeNode,
  Decoder,
  FromNode,
  GraphNode,
  Output,
  RecordOrigin,
  RowNode,
} from "../contract/graph.ts";
import type { Receiver } from "../contract/receiver.ts";
import type { Mode, OriginalBytes, Sink } from "../contract/sink.ts";
import type { DirectSource } from "../contract/source.ts";
import { HoldfastError } from "../errors.ts";

/** What the compiler knows about a stream beside its row type. */
export interface Facts {
  readonly from: string;
  readonly bytes: "original" | "changed";
  readonly modes: Mode;
  readonly origin: RecordOrigin;
}

type Changed<F extends Facts> = {
  readonly [K in keyof Facts]: K extends "bytes" ? "changed" : F[K];
};

/** What a sink must accept: the row, and its original bytes while nothing changed it. */
type Written<T, F extends Facts> = F["bytes"] extends "original" ? T & OriginalBytes : T;

type WriteArguments<F extends Facts, M extends Mode> = "append" extends F["modes"]
  ? [options?: { readonly mode?: Extract<F["modes"], M> }]
  : [options: { readonly mode: Extract<F["modes"], M> }];

/** Records as bytes: decode them, or forward them without making an object per record. */
export interface RawStream<F extends Facts> {
  decode<T>(decoder: Decoder<T>): Stream<T, F>;
  writeTo(
    sink: Sink<OriginalBytes, "append">,
    options?: { readonly mode?: "append" },
  ): Output<Uint8Array, F["from"]>;
}

/**
 * Rows. The functions must be pure: a batch that is replayed after a crash calls them again. A throw sets the
 * record aside as a dead letter, unless the pipeline's supervision decides otherwise. `origin` is a view that is
 * valid during the call.
 */
export interface Stream<T, F extends Facts> {
  /** Keeps rows; one that nothing else changes leaves as the bytes it came in. */
  filter<U extends T>(keep: (row: T, origin: F["origin"]) => row is U): Stream<U, F>;
  filter(keep: (row: T, origin: F["origin"]) => boolean): Stream<T, F>;
  map<U>(to: (row: T, origin: F["origin"]) => U): Stream<U, Changed<F>>;
  flatMap<U>(to: (row: T, origin: F["origin"]) => Iterable<U>): Stream<U, Changed<F>>;
  /** Ends the stream. A sink that lacks a mode or a column is a compile error. */
  writeTo<M extends Mode>(
    sink: Sink<Written<T, F>, M>,
    ...options: WriteArguments<F, NoInfer<M>>
  ): Output<T, F["from"]>;
}

/** The row type of a stream: `RowOf<typeof readings>`. */
export type RowOf<S> = S extends Stream<infer T, infer _F> ? T : never;

type Received<N extends string> = RawStream<{
  from: N;
  bytes: "original";
  modes: "append";
  origin: RecordOrigin;
}>;

/**
 * A stream of what these receivers stored, in log order.
 *
 * @throws CONFIG_VALUE when no receiver is given or one is given twice.
 */
export function from<N extends string>(
  ...receivers: readonly [Receiver<N>, ...Receiver<N>[]]
): Received<N>;
/** A stream of one source that is read directly, in the order of each of its partitions. */
export function from(source: DirectSource): Received<never>;
export function from(...inputs: readonly (Receiver | DirectSource)[]): Received<string> {
  const names = inputs.map(({ name }) => name);
  const source = inputs.find((input) => input.kind === "source");
  if (source !== undefined && inputs.length > 1) {
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `from() got source ${source.name} and ${inputs.length - 1} others; a source is read by itself`,
    );
  }
  if (names.length === 0 || new Set(names).size !== names.length) {
    throw new HoldfastError(
      "CONFIG_VALUE",
      `from() got ${names.length} receivers, ${new Set(names).size} different ones; it takes one or more, each once`,
    );
  }
  const node: FromNode = Object.freeze({ kind: "from", receivers: Object.freeze(names), source });
  return Object.freeze({
    decode: <T>(decoder: Decoder<T>) =>
      rows<T, { from: string; bytes: "original"; modes: "append"; origin: RecordOrigin }>(
        decodeNode(node, decoder),
      ),
    writeTo: (sink: Sink<OriginalBytes, "append">) =>
      output<Uint8Array, string>(node, sink, "append"),
  });
}

function decodeNode(input: FromNode, decoder: Decoder<unknown>): DecodeNode {
  return Object.freeze({ kind: "decode", input, decoder });
}

/** The name under which a step shows in dead letters and in the graph hash. */
function stepName(kind: string, step: { readonly name: string }): string {
  return step.name === "" ? kind : step.name;
}

function rows<T, F extends Facts>(node: RowNode): Stream<T, F> {
  const next = <U, G extends Facts>(made: RowNode): Stream<U, G> => rows<U, G>(Object.freeze(made));
  type Step<R> = (row: unknown, origin: RecordOrigin) => R;
  const stream = {
    filter: (keep: Step<boolean>) =>
      next({ kind: "filter", input: node, name: stepName("filter", keep), keep }),
    map: (to: Step<unknown>) => next({ kind: "map", input: node, name: stepName("map", to), to }),
    flatMap: (to: Step<Iterable<unknown>>) =>
      next({ kind: "flat-map", input: node, name: stepName("flat-map", to), to }),
    writeTo: (sink: Sink<never>, options?: { readonly mode?: Mode }) =>
      output(node, sink, options?.mode ?? "append"),
  };
  // The graph is untyped data; the types of its rows live in the stream alone.
  return Object.freeze(stream) as unknown as Stream<T, F>;
}

function output<Row, From extends string>(
  input: GraphNode,
  sink: Sink<never>,
  mode: Mode,
): Output<Row, From> {
  if (!sink.modes.includes(mode)) {
    throw new HoldfastError(
      "MODE_UNSUPPORTED",
      `${sink.name}: sink type ${sink.type} cannot take mode ${mode}, only ${sink.modes.join(", ")}`,
      {
        fix: `mode: ${sink.modes[0] ?? "append"}`,
      },
    );
  }
  if (sink.input === "original-bytes" && !keepsBytes(input)) {
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `${sink.name}: ${sink.type} writes records as they came, but the stream has a step that changes rows`,
      {
        fix: "use a json-lines sink, or leave out map and flatMap",
      },
    );
  }
  return Object.freeze({ kind: "output", input, sink, mode });
}

/** Whether each row of the node still stands for exactly one record. */
export function keepsBytes(node: GraphNode): boolean {
  switch (node.kind) {
    case "from":
    case "decode":
      return true;
    case "filter":
      return keepsBytes(node.input);
    case "map":
    case "flat-map":
      return false;
  }
}

/** Whether rows of the node may leave as the bytes they came in: nothing changed them, not even their decoder. */
export function isFaithful(node: GraphNode): boolean {
  switch (node.kind) {
    case "from":
      return true;
    case "decode":
      return node.decoder.faithful;
    case "filter":
      return isFaithful(node.input);
    case "map":
    case "flat-map":
      return false;
  }
}
