/**
 * Reads SQLite databases from tests and benches: `node:sqlite` where this Node has it, else the same API of the
 * package that the SQLite sink falls back to.
 */

type SqlValue = string | number | bigint | Uint8Array | null;
/** A row of a query. */
export type SqlRow = Readonly<Record<string, SqlValue>>;

interface Statement {
  all(...values: SqlValue[]): SqlRow[];
}
/** An open database. */
export interface SqliteReader {
  prepare(sql: string): Statement;
  exec(sql: string): void;
  close(): void;
}
interface SqliteModule {
  readonly DatabaseSync: new (
    path: string,
    options?: { readonly readOnly: boolean },
  ) => SqliteReader;
}

/** Opens a database; it must exist. `readOnly: false` is for tests that hold its lock. */
export async function openSqlite(
  path: string,
  options: { readonly readOnly: boolean } = { readOnly: true },
): Promise<SqliteReader> {
  const { DatabaseSync } = await sqliteModule();
  return new DatabaseSync(path, options);
}

const pageRows = 20_000;

/** Every row of a table in the order of its row ids, with the given expressions; a table of any size is read in pages. */
export function* rowsOf(
  database: SqliteReader,
  table: string,
  expressions: string,
): Generator<SqlRow> {
  const page = database.prepare(
    `SELECT rowid AS row, ${expressions} FROM ${table} WHERE rowid > ? ORDER BY rowid LIMIT ${pageRows}`,
  );
  let last = Number.MIN_SAFE_INTEGER;
  for (let rows = page.all(last); rows.length > 0; rows = page.all(last)) {
    yield* rows;
    last = Number(rows.at(-1)?.["row"]);
  }
}

async function sqliteModule(): Promise<SqliteModule> {
  // The specifiers are not literals: the types of Node 20 do not know the first, and the second is optional.
  for (const specifier of ["node:sqlite", "@photostructure/sqlite"]) {
    const found: unknown = await import(specifier).catch(() => undefined);
    if (isSqliteModule(found)) return found;
  }
  throw new Error("neither node:sqlite nor @photostructure/sqlite can be loaded");
}

function isSqliteModule(value: unknown): value is SqliteModule {
  return typeof value === "object" && value !== null && "DatabaseSync" in value;
}
