/**
 * The SQLite that this machine has: Node's own where it exists, else the optional package with the same API.
 */
import { HoldfastError } from "../errors.ts";

/** What can be bound. Booleans and undefined cannot. */
export type SqlBinding = string | number | bigint | Uint8Array | null;

export interface SqliteStatement {
  run(...values: SqlBinding[]): { readonly changes: number | bigint };
  all(...values: SqlBinding[]): readonly Readonly<Record<string, SqlBinding>>[];
}

/** A connection. Every call blocks its thread. */
export interface SqliteConnection {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

/** Opens databases. */
export interface SqliteDriver {
  /** Module that it is, for status lines. */
  readonly module: string;
  /** Opens or creates; throws errors with SQLite's number in `errcode`. */
  open(file: string): SqliteConnection;
}

interface SqliteModule {
  readonly DatabaseSync: new (file: string) => SqliteConnection;
}

const BUILT_IN = "node:sqlite";
const PACKAGE = "@photostructure/sqlite";

/** A module that may be there. */
export interface SqliteSource {
  readonly module: string;
  /** Gives the module; undefined or a throw when it is not there. */
  readonly load: () => unknown;
}

const SOURCES: readonly SqliteSource[] = [
  { module: BUILT_IN, load: () => withoutNotice(() => process.getBuiltinModule(BUILT_IN)) },
  { module: PACKAGE, load: () => import(PACKAGE) },
];

/**
 * The first driver that can be loaded.
 *
 * @param sources - other modules, for tests.
 * @throws SQLITE_UNAVAILABLE
 */
export async function loadSqlite(
  sources: readonly SqliteSource[] = SOURCES,
): Promise<SqliteDriver> {
  let cause: unknown;
  for (const { module, load } of sources) {
    try {
      const loaded: unknown = await load();
      if (isSqlite(loaded)) return driverOf(module, loaded);
    } catch (thrown) {
      // The next one may do; the newest reason is the one worth showing.
      cause = thrown;
    }
  }
  throw unavailable(cause);
}

function driverOf(module: string, { DatabaseSync }: SqliteModule): SqliteDriver {
  return { module, open: (file) => new DatabaseSync(file) };
}

function isSqlite(value: unknown): value is SqliteModule {
  return (
    typeof value === "object" &&
    value !== null &&
    "DatabaseSync" in value &&
    typeof value.DatabaseSync === "function"
  );
}

/** Node 22 prints a notice when its SQLite is loaded; this keeps that one back and no other warning. */
function withoutNotice(load: () => unknown): unknown {
  const own = Object.getOwnPropertyDescriptor(process, "emitWarning");
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = (warning: string | Error, ...rest: unknown[]): void => {
    if (rest[0] === "ExperimentalWarning" && String(warning).includes("SQLite")) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  };
  try {
    return load();
  } finally {
    if (own !== undefined) Object.defineProperty(process, "emitWarning", own);
  }
}

function unavailable(cause: unknown): HoldfastError {
  return new HoldfastError(
    "SQLITE_UNAVAILABLE",
    `this Node (${process.version}) has no SQLite, and ${PACKAGE} cannot be loaded`,
    {
      cause,
      fix: `npm install ${PACKAGE}, or use Node 22.13 or newer`,
    },
  );
}
