/**
 * The sink that writes a table of a SQLite database.
 */
import { dirname, resolve } from "node:path";
import type { Mode, Sink, SinkContext, SinkSession } from "../contract/sink.ts";
import { codeOf, HoldfastError } from "../errors.ts";
import { customField, type ObjectSchema, schema } from "../schema.ts";
import { checkSinkOptions } from "./options.ts";
import { SqliteSession, type ResolvedSqliteOptions } from "./sqlite-session.ts";
import { type OriginColumn, SQL_TYPES, type SqlType, type TableWish } from "./sqlite-table.ts";

export type { OriginColumn, SqlType } from "./sqlite-table.ts";

/** A value that a column takes. Booleans become 0 and 1, undefined becomes NULL. */
export type SqlValue = string | number | bigint | boolean | null | undefined | Uint8Array;

/** Names of columns; with types where the table is to be made with them. */
export type Columns<C extends string> = readonly C[] | Readonly<Record<C, SqlType>>;

/** Options of {@link sqlite}. */
export interface SqliteOptions<C extends string = string> {
  /** Database, made if needed (its directory is not), relative to the working directory. */
  readonly file: string;
  /** Made with the first rows if it is not there. */
  readonly table: string;
  /**
   * Fields that become columns; others are left out. Columns of a table that is made get the given type or that of
   * most first rows (REAL for numbers). @defaultValue the table's columns, or the fields of the first rows
   */
  readonly columns?: Columns<C>;
  /** Columns whose values identify a row; needed for mode `update`. @defaultValue none */
  readonly key?: readonly NoInfer<C>[];
  /**
   * Columns filled from the record: `log_offset`, `received_at` (milliseconds since 1970), `receiver`, and `body`, the
   * record as it came (text, or bytes where it is no UTF-8 or holds a zero byte). @defaultValue none
   */
  readonly originColumns?: readonly OriginColumn[];
  /** SQLite's `synchronous`; less than full would lose commits in a power cut. @defaultValue full */
  readonly synchronous?: "full" | "extra";
  /** How long one attempt waits for a lock that another process holds, 0 .. 60,000. @defaultValue 2,000 */
  readonly busyTimeoutMs?: number;
}

interface CheckedOptions {
  readonly file: string;
  readonly table: string;
  readonly columns?: Columns<string>;
  readonly key: readonly string[];
  readonly originColumns: readonly OriginColumn[];
  readonly synchronous: "full" | "extra";
  readonly busyTimeoutMs: number;
}

/** Options as the configuration reads them: `columns` as a list, or as a mapping of names to types. */
export const sqliteOptions: ObjectSchema<SqliteOptions, CheckedOptions> = schema.object({
  file: schema.string({ pattern: /^[^\0]+$/ }),
  table: schema.string({ pattern: /^[^\0]+$/, bytesMax: 128 }),
  columns: schema.optional(
    customField<Columns<string>>(
      "a list of column names, or a mapping of names to INTEGER, REAL, TEXT, BLOB or ANY",
      parseColumns,
    ),
  ),
  key: schema.withDefault(schema.list(schema.string()), []),
  originColumns: schema.withDefault(
    schema.list(schema.oneOf("log_offset", "received_at", "receiver", "body")),
    [],
  ),
  synchronous: schema.withDefault(schema.oneOf("full", "extra"), "full"),
  busyTimeoutMs: schema.durationMs({ default: 2_000, min: 0, max: 60_000 }),
});

/** Most columns of a sink: one row must fit into one statement. */
const COLUMNS_MAX = 500;

/** What a table is never called: SQLite's own, and where positions lie. */
const RESERVED_TABLE = /^(sqlite_|holdfast_positions$)/i;

/**
 * Writes rows to a table, exactly once: rows and the position of their batch are committed in one transaction.
 *
 * Mode `append` inserts, `update` inserts or replaces by `key`, `complete` replaces the whole table with each batch.
 * A row whose values do not fit the columns, or that the table refuses, becomes a dead letter (ROW_TYPE) and the others
 * are written. While another process has the database locked, batches wait.
 *
 * The database works in a thread of its own, in WAL mode; `holdfast_positions` is made beside the table.
 *
 * @throws CONFIG_VALUE, CONFIG_KEY_MISSING, CONFIG_KEY_UNKNOWN, CONFIG_TYPE, CONFIG_OUT_OF_RANGE, CONFIG_CONFLICT
 */
export function sqlite<const C extends string>(
  name: string,
  options: SqliteOptions<C> & { readonly columns: Columns<C> },
): Sink<{ readonly [K in C]: SqlValue }>;
export function sqlite(
  name: string,
  options: SqliteOptions & { readonly columns?: undefined },
): Sink<object>;
export function sqlite(name: string, options: SqliteOptions): Sink<never> {
  const checked = checkSinkOptions({ type: "sqlite", name }, sqliteOptions, options);
  checkPlace(name, checked);
  const columns = checked.columns === undefined ? undefined : wishedColumns(checked.columns);
  if (columns !== undefined) checkColumns(name, checked, columns);
  const resolved: ResolvedSqliteOptions = Object.freeze({
    ...checked,
    columns,
    file: resolve(checked.file),
  });
  const modes: readonly Mode[] =
    resolved.key.length > 0 ? ["append", "update", "complete"] : ["append", "complete"];
  return Object.freeze({
    kind: "sink",
    name,
    type: "sqlite",
    modes,
    input: "rows",
    settings: resolved,
    exclusive: `table ${resolved.table.toLowerCase()} in ${resolved.file}`,
    open: (context: SinkContext) => open(context, resolved),
  });
}

async function open(
  context: SinkContext,
  options: ResolvedSqliteOptions,
): Promise<SinkSession<never>> {
  await makeFile(context, options.file);
  return await SqliteSession.open(context, options);
}

/** SQLite would make the file readable for everybody, and would not make its name durable. */
async function makeFile({ name, files }: SinkContext, file: string): Promise<void> {
  const directory = dirname(file);
  if ((await files.stat(file)) !== undefined) return;
  try {
    const handle = await files.open(file, "create");
    await handle.close();
    await files.syncDirectory(directory);
  } catch (cause) {
    const code = codeOf(cause);
    if (code === "EEXIST") return;
    throw new HoldfastError("DIRECTORY_UNWRITABLE", `${name}: ${file} cannot be made: ${code}`, {
      cause,
      fix: `mkdir -p ${directory}, or check its permissions`,
    });
  }
}

function parseColumns(value: unknown): Columns<string> | undefined {
  if (Array.isArray(value)) {
    const names: unknown[] = value;
    return names.every((name) => typeof name === "string") ? names : undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const entries = Object.entries(value).flatMap(([name, given]) => {
    const type = SQL_TYPES.find(
      (each) => typeof given === "string" && each === given.toUpperCase(),
    );
    return type === undefined ? [] : [[name, type] as const];
  });
  return entries.length === Object.keys(value).length ? Object.fromEntries(entries) : undefined;
}

function isList(columns: Columns<string>): columns is readonly string[] {
  return Array.isArray(columns);
}

function wishedColumns(columns: Columns<string>): NonNullable<TableWish["columns"]> {
  if (isList(columns)) return columns.map((name) => ({ name, type: undefined }));
  return Object.entries(columns).map(([name, type]) => ({ name, type }));
}

function checkPlace(sink: string, { file, table }: CheckedOptions): void {
  if (file.startsWith(":") || file.startsWith("file:"))
    throw refusal(sink, `file ${file} names no file`, "give a path, or use a memory sink");
  if (RESERVED_TABLE.test(table))
    throw refusal(sink, `table ${table} is reserved`, "choose another name");
}

function checkColumns(
  sink: string,
  { key, originColumns }: CheckedOptions,
  columns: NonNullable<TableWish["columns"]>,
): void {
  const names = [...originColumns, ...columns.map(({ name }) => name)];
  if (names.length === 0) throw refusal(sink, "has 0 columns", "name one, or leave columns out");
  if (names.length > COLUMNS_MAX) {
    throw new HoldfastError(
      "CONFIG_OUT_OF_RANGE",
      `${sink}: sqlite has ${names.length} columns, allowed are 1 to ${COLUMNS_MAX}`,
    );
  }
  if (names.some((name) => name === "" || name.includes("\0")))
    throw refusal(sink, "has a column without a usable name", "give each column a name");
  const folded = names.map((name) => name.toLowerCase());
  const twice = names.find((_, index) => folded.indexOf(folded[index] ?? "") < index);
  if (twice !== undefined) {
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `${sink}: sqlite has 2 columns called ${twice}, 1 is allowed`,
      { fix: "case does not tell columns apart" },
    );
  }
  const unknown = key.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw refusal(
      sink,
      `key ${unknown} is none of its ${names.length} columns`,
      `add ${unknown} to columns`,
    );
}

function refusal(sink: string, message: string, fix: string): HoldfastError {
  return new HoldfastError("CONFIG_VALUE", `${sink}: sqlite ${message}`, { fix });
}
