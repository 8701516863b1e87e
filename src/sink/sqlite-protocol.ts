/**
 * What the sink and its worker thread say to each other. Every request gets one reply, in order.
 */
import type { Mode, SinkPosition } from "../contract/sink.ts";
import type { Code } from "../errors.ts";
import type { BatchIdentity } from "./position.ts";
import type { SqlBinding } from "./sqlite-driver.ts";
import type { DataColumn, TableWish } from "./sqlite-table.ts";

/** How the store is opened. */
export interface StoreOptions extends TableWish {
  readonly sink: string;
  readonly file: string;
  readonly writerId: string;
  readonly mode: Mode;
  readonly synchronous: "full" | "extra";
  readonly busyTimeoutMs: number;
}

/** Values of one column, row after row. Buffers are handed over, not copied. */
export type PackedColumn =
  | {
      readonly kind: "numbers";
      readonly values: Float64Array;
      readonly nulls: Uint8Array | undefined;
    }
  /** Texts back to back; `ends` counts UTF-16 units. */
  | {
      readonly kind: "texts";
      readonly joined: string;
      readonly ends: Uint32Array;
      readonly nulls: Uint8Array | undefined;
    }
  | { readonly kind: "values"; readonly values: readonly SqlBinding[] };

/** Where the rows came from; fields are absent when no column wants them. */
export interface PackedOrigin {
  readonly receiver: string;
  readonly firstOffset: number;
  /** Record of each row in its block. */
  readonly recordIndexes: Uint32Array | undefined;
  readonly receivedAtMs: Float64Array | undefined;
  readonly body: PackedBody | undefined;
}

/** Records back to back, each with its delimiter. */
export interface PackedBody {
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
  readonly delimiterBytes: number;
}

/** Rows of one chunk. */
export interface PackedRows {
  readonly count: number;
  readonly columns: readonly PackedColumn[];
  readonly origin: PackedOrigin;
}

/** What the sink asks for. */
export type Request =
  | { readonly kind: "open"; readonly options: StoreOptions }
  | { readonly kind: "begin"; readonly batch: BatchIdentity }
  /** `create`: columns of the table, which is not there yet. `isolate`: find out which rows are refused. */
  | {
      readonly kind: "rows";
      readonly rows: PackedRows;
      readonly create: readonly DataColumn[] | undefined;
      readonly isolate: boolean;
    }
  | { readonly kind: "commit" }
  | { readonly kind: "rollback" }
  | { readonly kind: "close" };

export interface Opened {
  readonly module: string;
  readonly last: SinkPosition | "none";
}

/** `columns` is undefined while there is no table. */
export type Begun =
  | { readonly kind: "new"; readonly columns: readonly DataColumn[] | undefined }
  | { readonly kind: "already-written" };

/** A row that the table does not take. */
export interface RefusedRow {
  /** Place among the rows of the request. */
  readonly index: number;
  readonly message: string;
}

/** Without `isolate` one refused row stands for all: the batch is rolled back. */
export type RowsAnswer = readonly RefusedRow[];

/** The result of each request. */
export interface Answers {
  readonly open: Opened;
  readonly begin: Begun;
  readonly rows: RowsAnswer;
  readonly commit: null;
  readonly rollback: null;
  readonly close: null;
}

/** A failure on its way between threads. */
export interface Failure {
  readonly code: Code;
  readonly message: string;
  readonly fix: string;
}

export type Reply = { readonly answer: Answers[keyof Answers] } | { readonly failure: Failure };
