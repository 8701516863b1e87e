/**
 * Sinks: where rows go. A sink is a value until a pipeline opens a session of it.
 */
import type { Clock } from "../host/clock.ts";
import type { Files } from "../host/files.ts";
import type { HttpClient } from "../host/http-client.ts";
import type { Random } from "../host/random.ts";
import type { NamesFiles } from "./file-look.ts";
import type { Ends, Ranges } from "./log.ts";
import type { Logger } from "./logger.ts";
import type { PoolFactory } from "./pool.ts";
import type { StoredBlock } from "./record.ts";

/** Output mode: each row once, changed rows by key, or the whole result each time. */
export type Mode = "append" | "update" | "complete";

declare const originalBytes: unique symbol;
/** Marks rows whose bytes are still those that came in; only such rows go to a sink of raw bytes. */
export interface OriginalBytes {
  readonly [originalBytes]: true;
}

/**
 * Some rows of a batch with where they came from: at most a slice of one block. Valid until the next
 * chunk is asked for: `block` is a view of a reader's buffer, `recordIndexes` is reused.
 */
export interface RowChunk<Row> {
  readonly count: number;
  /** The decoded rows; undefined in a stream that only forwards bytes. */
  readonly rows: readonly Row[] | undefined;
  /** Whether row i is still exactly the bytes of record `recordIndexes[i]`. */
  readonly bytes: "original" | "changed";
  readonly block: StoredBlock;
  /** Record of `block` that each row came from; never falls. Only the first `count` count. */
  readonly recordIndexes: Uint32Array;
}

/** Identity and content of one batch for one sink. */
export interface SinkBatch<Row> {
  /** Random identity of the pipeline: a batch id means nothing without it. */
  readonly writerId: string;
  readonly pipeline: string;
  readonly sink: string;
  readonly batchId: number;
  readonly epoch: number;
  readonly ranges: Ranges;
  readonly batchTimeMs: number;
  readonly mode: Mode;
  /**
   * The rows, to be consumed once, in order. When the iteration is done, the dead letters of the stages
   * before are durable, so a sink may commit. It throws what stopped the batch: roll back.
   * A sink that has the batch already returns without iterating.
   */
  readonly chunks: AsyncIterable<RowChunk<Row>>;
}

/** How a write ended. `written`: durable in the store. `back-off`: nothing was written, try the batch again later. */
export type WriteResult =
  | { readonly kind: "written"; readonly token?: Uint8Array }
  | { readonly kind: "already-written" }
  | { readonly kind: "back-off"; readonly delayMs: number; readonly cause: Error };

/** What a sink itself has stored about a writer: its newest batch and where that ended. */
export interface SinkPosition {
  readonly batchId: number;
  readonly epoch: number;
  readonly ends: Ends;
}

/** A row that the sink cannot take. */
export interface RejectedRow {
  readonly block: StoredBlock;
  readonly recordIndex: number;
  readonly cause: Error;
}

/** What a sink gets when it is opened. */
export interface SinkContext {
  readonly name: string;
  readonly pipeline: string;
  readonly writerId: string;
  /** Opening of the log: positions of a higher epoch belong to a newer instance. */
  readonly epoch: number;
  readonly mode: Mode;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly httpClient: HttpClient;
  readonly logger: Logger;
  /** Connections that heal themselves. The sink closes what it makes; names are labels of metrics. */
  readonly pool: PoolFactory;
  /** Token of the newest commit of this sink, or undefined. */
  readonly lastToken: Uint8Array | undefined;
  /** Newest committed batch of the pipeline, 0 before the first. */
  readonly lastBatchId: number;
  /** Where the pipeline stands: the ends of its newest committed batch, or where it started. */
  readonly lastEnds: Ends;
  /** Sets rows aside: resolves when their dead letters are durable. Call it inside `write`, before committing. */
  reject(rows: readonly RejectedRow[]): Promise<void>;
  /** Fails the pipeline's unit from outside a call: a connection that broke while idle. */
  fail(cause: unknown): void;
  /** Counts as progress of the unit and says so in a line: parts finished, connections made. */
  note(message: string, fields?: object): void;
}

/** An opened sink. Calls never overlap. */
export interface SinkSession<Row> {
  readonly guarantee: "exactly-once" | "idempotent" | "at-least-once";
  /** By what: "transaction", "token", "key" ...; for the start line. */
  readonly by: string;
  /** What the store knew of this writer and sink before it was opened; "none" when it knew nothing; absent for sinks that store no position. */
  readonly last?: SinkPosition | "none" | undefined;
  write(batch: SinkBatch<Row>, signal: AbortSignal): Promise<WriteResult>;
  /** After the commit is durable, and again at open for the newest one. Must bear repetition. */
  committed?(batchId: number): Promise<void>;
  /** No batch runs or will: finish what is finishable (open parts). Returns what was done, for the last line. */
  flush?(): Promise<{ readonly finishedParts: number }>;
  close(signal: AbortSignal): Promise<void>;
}

/**
 * A sink as a value: nothing happens before a pipeline that uses it starts. Its type parameters say which rows
 * and modes it takes. `accepts` is only there for the compiler.
 */
export interface Sink<in Row, out Modes extends Mode = Mode> extends NamesFiles {
  readonly kind: "sink";
  readonly name: string;
  readonly type: string;
  readonly modes: readonly Modes[];
  readonly accepts?: (row: Row) => void;
  /** `original-bytes`: writes records as they came; a stream with `map` or `flatMap` is refused. */
  readonly input: "rows" | "original-bytes";
  /** Options as data, for the graph hash and for status; no secrets. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** What two sinks may not share: a directory, a table. Equal text in two sinks is CONFIG_CONFLICT. */
  readonly exclusive: string;
  open(context: SinkContext): Promise<SinkSession<never>>;
}
