/**
 * A table and its position, in one connection: the part of the SQLite sink that runs in the worker thread.
 *
 * The position row is there from `open` on. A batch's transaction begins with one conditional move of it and ends with
 * the commit of rows and position together, so that either both are there or none.
 */
import type { SinkPosition } from "../contract/sink.ts";
import { HoldfastError, toError } from "../errors.ts";
import { type BatchIdentity, judgeBatch, positionAfter } from "./position.ts";
import type {
  SqlBinding,
  SqliteConnection,
  SqliteDriver,
  SqliteStatement,
} from "./sqlite-driver.ts";
import { isRowError, sqliteError } from "./sqlite-errors.ts";
import type {
  Begun,
  Opened,
  PackedRows,
  RefusedRow,
  RowsAnswer,
  StoreOptions,
} from "./sqlite-protocol.ts";
import {
  createTableSql,
  type DataColumn,
  foundColumns,
  insertOrder,
  insertSql,
  matchTable,
  quoted,
} from "./sqlite-table.ts";
import { type ColumnReader, columnReaders } from "./sqlite-values.ts";

/** Rows of one insert statement; what is left over goes in smaller ones. */
const ROWS_PER_INSERT: readonly number[] = [50, 10, 1];

/** Values that SQLite binds in one statement. */
const BINDINGS_MAX = 32_766;

/** Journal modes with which a commit survives a power cut. */
const DURABLE_JOURNALS: readonly unknown[] = ["wal", "delete", "truncate", "persist"];

/** What `PRAGMA synchronous` answers. */
const SYNCHRONOUS = { full: 2, extra: 3 } as const;

interface Insert {
  readonly rowCount: number;
  readonly statement: SqliteStatement;
}

/** An open store. Every call blocks its thread; errors are HoldfastErrors. */
export class SqliteStore {
  readonly #connection: SqliteConnection;
  readonly #options: StoreOptions;
  /** Columns of the table, once it is committed that there is one. */
  #columns: readonly DataColumn[] | undefined;
  /** Columns of a table that the running transaction has made. */
  #created: readonly DataColumn[] | undefined;
  #inserts: readonly Insert[] = [];
  #inTransaction = false;

  private constructor(connection: SqliteConnection, options: StoreOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  /**
   * Opens the database, makes the position row, and the table if all its columns have types.
   *
   * @throws SINK_BUSY, SINK_TABLE, SINK_FAILED, DIRECTORY_UNWRITABLE
   */
  static open(
    driver: SqliteDriver,
    options: StoreOptions,
  ): { readonly store: SqliteStore; readonly opened: Opened } {
    const { sink, file } = options;
    let connection: SqliteConnection | undefined;
    try {
      connection = driver.open(file);
      const store = new SqliteStore(connection, options);
      store.#configure();
      const last = store.#transaction(() => store.#prepareTables());
      return { store, opened: { module: driver.module, last } };
    } catch (thrown) {
      connection?.close();
      throw sqliteError(sink, file, thrown);
    }
  }

  /**
   * Starts the batch's transaction with the move of the position; without one when the batch is there already.
   *
   * @throws SINK_BUSY, SINK_CONFLICT, SINK_BEHIND, SINK_TABLE, SINK_FAILED
   */
  begin(batch: BatchIdentity): Begun {
    return this.#guarded(() => {
      this.rollback();
      this.#connection.exec("BEGIN IMMEDIATE");
      this.#inTransaction = true;
      if (!this.#movePosition(batch)) {
        this.rollback();
        return { kind: "already-written" };
      }
      this.#columns ??= this.#findTable();
      if (this.#options.mode === "complete" && this.#columns !== undefined)
        this.#connection.exec(`DELETE FROM ${quoted(this.#options.table)}`);
      return { kind: "new", columns: this.#columns };
    });
  }

  /**
   * Inserts rows. Refused ones come back; unless they are isolated, one stands for all and the batch is lost.
   *
   * @throws SINK_BUSY, SINK_TABLE, SINK_FAILED
   */
  rows(rows: PackedRows, create: readonly DataColumn[] | undefined, isolate: boolean): RowsAnswer {
    return this.#guarded(() => {
      if (create !== undefined) this.#createTable(create);
      const readers = columnReaders(rows, this.#options.originColumns);
      const refused: RefusedRow[] = [];
      let from = 0;
      for (const insert of this.#preparedInserts()) {
        for (; rows.count - from >= insert.rowCount; from += insert.rowCount) {
          const failure = attempt(insert, readers, from);
          if (failure === undefined) continue;
          if (!isolate) return [{ index: from, message: failure.message }];
          refused.push(...this.#isolate(insert, readers, from));
        }
      }
      return refused;
    });
  }

  /** @throws SINK_BUSY, SINK_FAILED */
  commit(): void {
    this.#guarded(() => this.#connection.exec("COMMIT"));
    this.#inTransaction = false;
    this.#columns ??= this.#created;
    this.#created = undefined;
  }

  /** Undoes the running transaction, if there is one. */
  rollback(): void {
    if (!this.#inTransaction) return;
    this.#inTransaction = false;
    if (this.#created !== undefined) this.#inserts = [];
    this.#created = undefined;
    try {
      this.#connection.exec("ROLLBACK");
    } catch (thrown) {
      // After a full disk or an IO error SQLite has rolled back by itself.
      if (!toError(thrown).message.includes("no transaction"))
        throw sqliteError(this.#options.sink, this.#options.file, thrown);
    }
  }

  close(): void {
    this.rollback();
    this.#connection.close();
  }

  #configure(): void {
    const { sink, file, synchronous, busyTimeoutMs } = this.#options;
    this.#connection.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    const journal = this.#pragma("journal_mode = WAL");
    if (!DURABLE_JOURNALS.includes(journal))
      throw new HoldfastError(
        "SINK_TABLE",
        `${sink}: ${file} has journal mode ${String(journal)}, wanted is wal`,
      );
    this.#connection.exec(`PRAGMA synchronous = ${synchronous}`);
    const level = this.#pragma("synchronous");
    if (Number(level) === SYNCHRONOUS[synchronous]) return;
    throw new HoldfastError(
      "SINK_FAILED",
      `${sink}: ${file} has synchronous ${String(level)}, wanted is ${SYNCHRONOUS[synchronous]}`,
    );
  }

  /** The first value of what a pragma answers. */
  #pragma(text: string): SqlBinding | undefined {
    const [row] = this.#connection.prepare(`PRAGMA ${text}`).all();
    return row === undefined ? undefined : Object.values(row)[0];
  }

  #prepareTables(): Opened["last"] {
    this.#columns = this.#findTable();
    const { columns } = this.#options;
    const typed = columns?.flatMap(({ name, type }) =>
      type === undefined ? [] : [{ name, type, isNullable: !this.#options.key.includes(name) }],
    );
    if (this.#columns === undefined && typed !== undefined && typed.length === columns?.length) {
      this.#begin();
      this.#connection.exec(createTableSql(this.#options, typed));
      this.#columns = typed;
    }
    const last = this.#hasTable(POSITIONS_TABLE) ? this.#readPosition() : undefined;
    if (last !== undefined) return last.batchId === 0 ? "none" : last;
    this.#begin();
    this.#connection.exec(CREATE_POSITIONS);
    this.#connection.prepare(INSERT_POSITION).run(this.#options.writerId, this.#options.sink);
    return "none";
  }

  /** A transaction only where something is to be written: a database that is locked can still be opened. */
  #transaction<T>(work: () => T): T {
    try {
      const result = work();
      if (this.#inTransaction) this.#connection.exec("COMMIT");
      this.#inTransaction = false;
      return result;
    } catch (thrown) {
      this.rollback();
      throw thrown;
    }
  }

  #begin(): void {
    if (this.#inTransaction) return;
    this.#connection.exec("BEGIN IMMEDIATE");
    this.#inTransaction = true;
  }

  /** False when the batch is there already. */
  #movePosition(batch: BatchIdentity): boolean {
    const { sink, file, writerId } = this.#options;
    const stored = this.#readPosition();
    if (stored === undefined)
      throw new HoldfastError(
        "SINK_BEHIND",
        `${sink}: ${file} has 0 position rows of this pipeline, 1 was made when it was opened`,
      );
    if (judgeBatch(stored, batch) === "already-written") return false;
    const { batchId, epoch, ends } = positionAfter(stored, batch);
    const { changes } = this.#connection
      .prepare(MOVE_POSITION)
      .run(batchId, epoch, JSON.stringify(ends), writerId, sink, batchId, epoch);
    if (Number(changes) === 1) return true;
    throw new HoldfastError(
      "SINK_CONFLICT",
      `${sink}: ${file} moved ${changes} position rows, wanted is 1`,
    );
  }

  #readPosition(): SinkPosition | undefined {
    const { writerId, sink } = this.#options;
    const [row] = this.#connection.prepare(READ_POSITION).all(writerId, sink);
    if (row === undefined) return undefined;
    // Decode boundary: nobody else writes this table.
    const ends = JSON.parse(String(row["ends"])) as SinkPosition["ends"];
    return { batchId: Number(row["batch"]), epoch: Number(row["epoch"]), ends };
  }

  #hasTable(name: string): boolean {
    return (
      this.#connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")
        .all(name).length > 0
    );
  }

  /** The data columns of the table, or undefined when there is none. */
  #findTable(): readonly DataColumn[] | undefined {
    const { sink, table, mode } = this.#options;
    const found = foundColumns(
      this.#connection.prepare(`PRAGMA table_info(${quoted(table)})`).all(),
    );
    if (found.length === 0) return undefined;
    const columns = matchTable(sink, this.#options, found);
    if (mode === "update") this.#checkKey();
    return columns;
  }

  /** SQLite itself knows whether the key is unique: it prepares the upsert only then. */
  #checkKey(): void {
    const { sink, table, key } = this.#options;
    try {
      this.#connection.prepare(insertSql(this.#options, key, { rowCount: 1, isUpdate: true }));
    } catch (cause) {
      throw new HoldfastError(
        "SINK_TABLE",
        `${sink}: table ${table} has no unique index on ${key.length} columns ${key.join(", ")}`,
        {
          cause,
          fix: `CREATE UNIQUE INDEX ${quoted(`${table}_key`)} ON ${quoted(table)} (${key.map(quoted).join(", ")})`,
        },
      );
    }
  }

  #createTable(columns: readonly DataColumn[]): void {
    this.#connection.exec(createTableSql(this.#options, columns));
    this.#created = columns;
    this.#inserts = [];
  }

  #preparedInserts(): readonly Insert[] {
    if (this.#inserts.length > 0) return this.#inserts;
    const names = insertOrder(this.#options, this.#created ?? this.#columns ?? []);
    const isUpdate = this.#options.mode === "update";
    this.#inserts = ROWS_PER_INSERT.filter(
      (rowCount) => rowCount * names.length <= BINDINGS_MAX,
    ).map((rowCount) => ({
      rowCount,
      statement: this.#connection.prepare(insertSql(this.#options, names, { rowCount, isUpdate })),
    }));
    return this.#inserts;
  }

  /** A failed statement has inserted nothing: its rows one by one, to find those that are refused. */
  #isolate(
    { rowCount }: Insert,
    readers: readonly ColumnReader[],
    from: number,
  ): readonly RefusedRow[] {
    const single = this.#preparedInserts().at(-1);
    const refused: RefusedRow[] = [];
    if (single === undefined) return refused;
    for (let index = from; index < from + rowCount; index++) {
      const failure = attempt(single, readers, index);
      if (failure !== undefined) refused.push({ index, message: failure.message });
    }
    return refused;
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      throw sqliteError(this.#options.sink, this.#options.file, thrown);
    }
  }
}

const POSITIONS_TABLE = "holdfast_positions";
const CREATE_POSITIONS: string = `CREATE TABLE IF NOT EXISTS ${POSITIONS_TABLE} (writer TEXT NOT NULL, sink TEXT NOT NULL, batch INTEGER NOT NULL, epoch INTEGER NOT NULL, ends TEXT NOT NULL, PRIMARY KEY (writer, sink)) WITHOUT ROWID`;
// Epoch 0: the first batch may be the replay of one that was planned in an earlier epoch.
const INSERT_POSITION: string = `INSERT INTO ${POSITIONS_TABLE} (writer, sink, batch, epoch, ends) VALUES (?, ?, 0, 0, '{}')`;
const READ_POSITION: string = `SELECT batch, epoch, ends FROM ${POSITIONS_TABLE} WHERE writer = ? AND sink = ?`;
const MOVE_POSITION: string = `UPDATE ${POSITIONS_TABLE} SET batch = ?, epoch = ?, ends = ? WHERE writer = ? AND sink = ? AND batch < ? AND epoch <= ?`;

/** Inserts the rows from `from` on; an error that a row is to blame for is returned. */
function attempt(
  { rowCount, statement }: Insert,
  readers: readonly ColumnReader[],
  from: number,
): Error | undefined {
  const values: SqlBinding[] = [];
  for (let index = from; index < from + rowCount; index++) {
    for (const reader of readers) values.push(reader(index));
  }
  try {
    statement.run(...values);
    return undefined;
  } catch (thrown) {
    if (isRowError(thrown)) return toError(thrown);
    throw thrown;
  }
}
