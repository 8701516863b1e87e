/**
 * A pipeline as frozen data: nodes with a `kind`, outputs, trigger. Streams build it, `src/operator/compile.ts`
 * turns it into one loop per block, `src/batch/` runs that.
 */
import type { Mode, Sink } from "./sink.ts";
import type { DirectSource } from "./source.ts";
import type { Strategy } from "./unit.ts";

/** Bytes of one record to a value. A throw sets the record aside as a dead letter. */
export interface Decoder<T> {
  readonly kind: "decoder";
  /** For the graph hash and dead letters: "json", "raw". */
  readonly format: string;
  /** Whether the value says the same as the bytes, so that an unchanged row may leave as its bytes. */
  readonly faithful: boolean;
  /** Decodes `bytes[start, end)`. The bytes die after the call: copy what the value keeps. */
  readonly decode: (bytes: Buffer, start: number, end: number) => T;
  /** The same from text, where the bytes are known to be ASCII: many records share one conversion. */
  readonly decodeText?: (text: string) => T;
}

/** Where a row's record came from: a view that is valid during the call. */
export interface RecordOrigin {
  readonly receiver: string;
  readonly channel: string;
  readonly offset: number;
  readonly receivedAtMs: number;
  readonly key: string | undefined;
  readonly timestampMs: number | undefined;
  readonly header: (name: string) => string | undefined;
}

/** Records of these receivers, or of one source that is read directly, undecoded. */
export interface FromNode {
  readonly kind: "from";
  /** What blocks say where they are from: names of receivers, or the source's. */
  readonly receivers: readonly string[];
  readonly source: DirectSource | undefined;
}
export interface DecodeNode {
  readonly kind: "decode";
  readonly input: FromNode;
  readonly decoder: Decoder<unknown>;
}
export interface FilterNode {
  readonly kind: "filter";
  readonly input: RowNode;
  readonly name: string;
  readonly keep: (row: unknown, origin: RecordOrigin) => boolean;
}
export interface MapNode {
  readonly kind: "map";
  readonly input: RowNode;
  readonly name: string;
  readonly to: (row: unknown, origin: RecordOrigin) => unknown;
}
export interface FlatMapNode {
  readonly kind: "flat-map";
  readonly input: RowNode;
  readonly name: string;
  readonly to: (row: unknown, origin: RecordOrigin) => Iterable<unknown>;
}
/** A node whose rows are decoded. */
export type RowNode = DecodeNode | FilterNode | MapNode | FlatMapNode;
export type GraphNode = FromNode | RowNode;

/** The end of a stream: its rows go to one sink. The type parameters are only there for the compiler. */
export interface Output<Row, From extends string> {
  readonly kind: "output";
  readonly input: GraphNode;
  readonly sink: Sink<never>;
  readonly mode: Mode;
  readonly row?: Row;
  readonly from?: From;
}

/** When batches start. */
export type Trigger =
  | { readonly kind: "asap"; readonly minIntervalMs: number }
  | { readonly kind: "interval"; readonly everyMs: number }
  | { readonly kind: "available-now" }
  | { readonly kind: "once" };

/** A pipeline as a value: outputs that move together, with one cursor. */
export interface Pipeline<From extends string = string> {
  readonly kind: "pipeline";
  readonly name: string;
  readonly outputs: readonly Output<unknown, string>[];
  readonly trigger: Trigger;
  /** What it reads instead of the log. */
  readonly source: DirectSource | undefined;
  /** Where a new pipeline begins in the log or source. */
  readonly startAt: "oldest" | "now";
  readonly batchRecordsMax: number;
  readonly batchBytesMax: number;
  /** Share of set-aside records, of at least 100, beyond which the pipeline parks: 0 .. 1. */
  readonly deadLetterRatioMax: number;
  readonly supervision: Strategy | undefined;
  readonly from?: From;
}
