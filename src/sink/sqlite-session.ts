/**
 * A SQLite sink while it is open: packs rows and hands them to its worker.
 */
import type {
  RejectedRow,
  RowChunk,
  SinkBatch,
  SinkContext,
  SinkPosition,
  SinkSession,
  WriteResult,
} from "../contract/sink.ts";
import type { Pool } from "../contract/pool.ts";
import { codeOf, HoldfastError, toError } from "../errors.ts";
import { detached } from "./detached.ts";
import type { SqliteClient } from "./sqlite-client.ts";
import { storeError, storePool, type StoreConnection } from "./sqlite-connection.ts";
import { packChunk, type PackedChunk } from "./sqlite-pack.ts";
import type { Begun, Opened, RefusedRow, RowsAnswer, StoreOptions } from "./sqlite-protocol.ts";
import { type DataColumn, inferColumns } from "./sqlite-table.ts";

/** Chunks that the worker may have before the next one is asked for. */
const CHUNKS_IN_FLIGHT_MAX = 2;

/** Batches for which refused rows are looked for one chunk at a time, after one was refused. */
const CAREFUL_BATCHES = 16;

/** Waits between attempts while the file is locked: doubled from the first to the last. */
const BUSY_DELAY_MS_MIN = 100;
const BUSY_DELAY_MS_MAX = 4_000;

/** Options of the sink with nothing left open; the rest comes from the context. */
export type ResolvedSqliteOptions = Omit<StoreOptions, "sink" | "writerId" | "mode">;

/** A batch on its way into the table. */
interface Filling {
  columns: readonly DataColumn[] | undefined;
  /** Whether the table is still to be made, with these columns. */
  isNewTable: boolean;
  readonly rejected: RejectedRow[];
  readonly inFlight: Promise<RowsAnswer>[];
  readonly isCareful: boolean;
  readonly client: SqliteClient;
  readonly signal: AbortSignal;
}

/** The table refused a row while several chunks were on their way: the batch is to be written again, carefully. */
class RowRefused extends Error {
  override readonly name = "RowRefused";
}

export class SqliteSession implements SinkSession<unknown> {
  readonly guarantee = "exactly-once";
  readonly by = "transaction";
  readonly last: SinkPosition | "none";
  readonly #context: SinkContext;
  readonly #options: ResolvedSqliteOptions;
  readonly #pool: Pool<StoreConnection>;
  readonly #closing: AbortController;
  /** Batches that are still written carefully. */
  #careful = 0;
  #busyCount = 0;

  private constructor(
    context: SinkContext,
    options: ResolvedSqliteOptions,
    store: { readonly pool: Pool<StoreConnection>; readonly closing: AbortController },
    last: Opened["last"],
  ) {
    this.#context = context;
    this.#options = options;
    this.#pool = store.pool;
    this.#closing = store.closing;
    this.last = last;
  }

  /**
   * Starts the worker and opens the database in it.
   *
   * @throws SINK_BUSY, SINK_TABLE, SINK_FAILED, DIRECTORY_UNWRITABLE, SQLITE_UNAVAILABLE
   */
  static async open(context: SinkContext, options: ResolvedSqliteOptions): Promise<SqliteSession> {
    const store: StoreOptions = {
      ...options,
      sink: context.name,
      writerId: context.writerId,
      mode: context.mode,
    };
    const closing = new AbortController();
    const pool = storePool(context, store, closing.signal);
    try {
      const { signal } = context;
      const opened = await pool.with((connection) => Promise.resolve(connection.opened), {
        signal,
      });
      context.logger.debug("sqlite opened", { file: options.file, module: opened.module });
      return new SqliteSession(context, options, { pool, closing }, opened.last);
    } catch (cause) {
      await pool.close(0);
      throw storeError(cause);
    }
  }

  async write(batch: SinkBatch<unknown>, signal: AbortSignal): Promise<WriteResult> {
    try {
      return await this.#pool.with(({ client }) => this.#write(batch, client, signal), { signal });
    } catch (cause) {
      return this.#backOff(storeError(cause));
    }
  }

  async close(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#closing.abort(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    await this.#pool.close();
    signal.removeEventListener("abort", stop);
  }

  async #write(
    batch: SinkBatch<unknown>,
    client: SqliteClient,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const { sink, batchId, epoch, ranges } = batch;
    const begun = await client.ask<"begin">(
      { kind: "begin", batch: { sink, batchId, epoch, ranges } },
      signal,
    );
    if (begun.kind === "already-written") return { kind: "already-written" };
    await this.#fill(batch, begun, { client, signal });
    await client.ask<"commit">({ kind: "commit" }, signal);
    this.#busyCount = 0;
    this.#careful = Math.max(0, this.#careful - 1);
    return { kind: "written" };
  }

  async #fill(
    batch: SinkBatch<unknown>,
    begun: Extract<Begun, { kind: "new" }>,
    { client, signal }: Pick<Filling, "client" | "signal">,
  ): Promise<void> {
    const filling: Filling = {
      columns: begun.columns,
      isNewTable: begun.columns === undefined,
      rejected: [],
      inFlight: [],
      isCareful: this.#careful > 0,
      client,
      signal,
    };
    for await (const chunk of batch.chunks) {
      signal.throwIfAborted();
      if (chunk.count > 0) await this.#send(chunk, filling);
    }
    for (const answer of filling.inFlight) refuseAny(await answer);
    // Last, and once: the same rows in the same order, however often the batch is written.
    if (filling.rejected.length > 0) await this.#context.reject(filling.rejected);
    signal.throwIfAborted();
  }

  /** Hands a chunk to the worker. When this resolves nothing needs the chunk any more. */
  async #send(chunk: RowChunk<unknown>, filling: Filling): Promise<void> {
    const { originColumns } = this.#options;
    filling.columns ??= this.#newColumns(chunk);
    const packed = packChunk(chunk, { columns: filling.columns, originColumns });
    if (packed.rows.count === 0) return void setAside(chunk, packed, [], filling);
    const create = filling.isNewTable ? filling.columns : undefined;
    const answer = filling.client.ask<"rows">(
      { kind: "rows", rows: packed.rows, create, isolate: filling.isCareful },
      filling.signal,
      packed.buffers,
    );
    filling.isNewTable = false;
    if (filling.isCareful) return setAside(chunk, packed, await answer, filling);
    setAside(chunk, packed, [], filling);
    // Its failure is met when it is waited for; until then it is not unhandled.
    answer.catch(() => undefined);
    filling.inFlight.push(answer);
    if (filling.inFlight.length >= CHUNKS_IN_FLIGHT_MAX)
      refuseAny((await filling.inFlight.shift()) ?? []);
  }

  #newColumns({ rows }: RowChunk<unknown>): readonly DataColumn[] {
    const columns = inferColumns(this.#options, rows ?? []);
    if (columns.length + this.#options.originColumns.length > 0) return columns;
    throw new HoldfastError(
      "SINK_TABLE",
      `${this.#context.name}: the first ${rows?.length ?? 0} rows have 0 fields that a table ${this.#options.table} could be made of`,
      {
        fix: "name the columns",
      },
    );
  }

  #backOff(thrown: unknown): WriteResult {
    if (thrown instanceof RowRefused) {
      this.#careful = CAREFUL_BATCHES;
      return { kind: "back-off", delayMs: 0, cause: thrown };
    }
    if (codeOf(thrown) !== "SINK_BUSY") throw thrown;
    return { kind: "back-off", delayMs: busyDelayMs(this.#busyCount++), cause: toError(thrown) };
  }
}

function busyDelayMs(attempt: number): number {
  return Math.min(BUSY_DELAY_MS_MIN * 2 ** attempt, BUSY_DELAY_MS_MAX);
}

function refuseAny([first]: RowsAnswer): void {
  if (first !== undefined) throw new RowRefused(first.message);
}

/** Notes the rows of a chunk that are not written, in order, with copies of their records. */
function setAside(
  { block, recordIndexes }: RowChunk<unknown>,
  { bad, indexes }: PackedChunk,
  refused: readonly RefusedRow[],
  { rejected }: Filling,
): void {
  const byTable = refused.map(({ index, message }) => ({
    index: indexes[index] ?? 0,
    cause: new HoldfastError("ROW_TYPE", message),
  }));
  const all = [...bad, ...byTable].toSorted((a, b) => a.index - b.index);
  for (const { index, cause } of all)
    rejected.push({ ...detached(block, recordIndexes[index] ?? 0), cause });
}
