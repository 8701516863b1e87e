/**
 * Columns, their types, and the SQL around them. Pure: used on both sides of the worker.
 */
import { HoldfastError } from "../errors.ts";
import type { SqlBinding } from "./sqlite-driver.ts";

/** What a column takes. ANY takes every SQL value and keeps it as it is. */
export type SqlType = "INTEGER" | "REAL" | "TEXT" | "BLOB" | "ANY";
export const SQL_TYPES: readonly SqlType[] = ["INTEGER", "REAL", "TEXT", "BLOB", "ANY"];

/** Columns that the sink fills from where a row's record came from. */
export type OriginColumn = "log_offset" | "received_at" | "receiver" | "body";
export const ORIGIN_COLUMNS: readonly OriginColumn[] = [
  "log_offset",
  "received_at",
  "receiver",
  "body",
];

/** A column that a row's field goes to. */
export interface DataColumn {
  readonly name: string;
  readonly type: SqlType;
  readonly isNullable: boolean;
}

/** What the sink wants of its table. */
export interface TableWish {
  readonly table: string;
  /** Names and, where given, types; undefined: whatever the table has, or the first rows. */
  readonly columns:
    | readonly { readonly name: string; readonly type: SqlType | undefined }[]
    | undefined;
  readonly key: readonly string[];
  readonly originColumns: readonly OriginColumn[];
}

/** A column as the database describes it. */
export interface FoundColumn {
  readonly name: string;
  readonly declared: string;
  readonly isNotNull: boolean;
  readonly hasDefault: boolean;
  /** Place in the primary key, 0 for none. */
  readonly keyIndex: number;
}

const ORIGIN_TYPES: Readonly<Record<OriginColumn, string>> = {
  log_offset: "INTEGER NOT NULL",
  received_at: "INTEGER NOT NULL",
  receiver: "TEXT NOT NULL",
  body: "TEXT",
};

/** An identifier as SQL has it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Names in the order in which values are bound: origin, data, body last. */
export function insertOrder(
  { originColumns }: Pick<TableWish, "originColumns">,
  data: readonly DataColumn[],
): readonly string[] {
  const front = ORIGIN_COLUMNS.filter((name) => name !== "body" && originColumns.includes(name));
  const back = originColumns.includes("body") ? ["body"] : [];
  return [...front, ...data.map(({ name }) => name), ...back];
}

export function createTableSql(wish: TableWish, data: readonly DataColumn[]): string {
  const declared = new Map<string, string>(
    data.map((column) => [column.name, declarationOf(column)]),
  );
  for (const name of wish.originColumns) declared.set(name, ORIGIN_TYPES[name]);
  const columns = insertOrder(wish, data).map((name) =>
    `${quoted(name)} ${declared.get(name) ?? ""}`.trimEnd(),
  );
  const key = wish.key.length === 0 ? [] : [`PRIMARY KEY (${wish.key.map(quoted).join(", ")})`];
  return `CREATE TABLE ${quoted(wish.table)} (${[...columns, ...key].join(", ")})`;
}

/** A column without a type keeps every value as it is; "ANY" would turn text that looks like a number into one. */
function declarationOf({ type, isNullable }: DataColumn): string {
  return `${type === "ANY" ? "" : type} ${isNullable ? "" : "NOT NULL"}`.trim();
}

/** An insert of `rowCount` rows; in update mode rows with a known key replace the old values. */
export function insertSql(
  wish: TableWish,
  names: readonly string[],
  shape: { readonly rowCount: number; readonly isUpdate: boolean },
): string {
  const row = `(${names.map(() => "?").join(", ")})`;
  const values = Array.from({ length: shape.rowCount }, () => row).join(", ");
  const insert = `INSERT INTO ${quoted(wish.table)} (${names.map(quoted).join(", ")}) VALUES ${values}`;
  if (!shape.isUpdate) return insert;
  const rest = names.filter((name) => !wish.key.includes(name));
  const change =
    rest.length === 0
      ? "NOTHING"
      : `UPDATE SET ${rest.map((name) => `${quoted(name)} = excluded.${quoted(name)}`).join(", ")}`;
  return `${insert} ON CONFLICT (${wish.key.map(quoted).join(", ")}) DO ${change}`;
}

/** SQLite's affinity of a declared type, as what we let into such a column. */
export function typeOfDeclaration(declared: string): SqlType {
  const upper = declared.toUpperCase();
  if (upper.includes("INT")) return "INTEGER";
  if (/CHAR|CLOB|TEXT/.test(upper)) return "TEXT";
  if (upper.includes("BLOB")) return "BLOB";
  return /REAL|FLOA|DOUB/.test(upper) ? "REAL" : "ANY";
}

/**
 * The data columns of a table that is there.
 *
 * @throws SINK_TABLE when a column is missing, or when a column that the sink does not fill must have a value.
 */
export function matchTable(
  sink: string,
  wish: TableWish,
  found: readonly FoundColumn[],
): readonly DataColumn[] {
  const byName = new Map(found.map((column) => [column.name.toLowerCase(), column]));
  const isOrigin = (name: string): boolean =>
    wish.originColumns.some((origin) => origin === name.toLowerCase());
  const wanted =
    wish.columns?.map(({ name }) => name) ??
    found.map(({ name }) => name).filter((name) => !isOrigin(name));
  const lacking = [...wish.originColumns, ...wanted].filter(
    (name) => !byName.has(name.toLowerCase()),
  );
  if (lacking.length > 0) {
    throw new HoldfastError(
      "SINK_TABLE",
      `${sink}: table ${wish.table} has ${found.length} columns, but not ${lacking.join(", ")}`,
      {
        fix: `ALTER TABLE ${quoted(wish.table)} ADD COLUMN ${quoted(lacking[0] ?? "")}`,
      },
    );
  }
  const filled = new Set([...wish.originColumns, ...wanted].map((name) => name.toLowerCase()));
  const unfilled = found.find(
    ({ name, isNotNull, hasDefault, keyIndex }) =>
      isNotNull && !hasDefault && keyIndex === 0 && !filled.has(name.toLowerCase()),
  );
  if (unfilled !== undefined) {
    throw new HoldfastError(
      "SINK_TABLE",
      `${sink}: column ${unfilled.name} of table ${wish.table} is NOT NULL without a default, and the sink does not fill it`,
      {
        fix: `add ${unfilled.name} to columns, or give it a default`,
      },
    );
  }
  return wanted.map((name) => dataColumn(name, byName.get(name.toLowerCase()), found));
}

function dataColumn(
  name: string,
  column: FoundColumn | undefined,
  all: readonly FoundColumn[],
): DataColumn {
  if (column === undefined) return { name, type: "ANY", isNullable: true };
  // A lone INTEGER PRIMARY KEY is the rowid: null asks SQLite for a number.
  const isRowid =
    column.keyIndex === 1 &&
    column.declared.toUpperCase() === "INTEGER" &&
    all.filter(({ keyIndex }) => keyIndex > 0).length === 1;
  return {
    name,
    type: typeOfDeclaration(column.declared),
    isNullable: isRowid || (!column.isNotNull && column.keyIndex === 0),
  };
}

/** Most columns that first rows can make. */
export const INFERRED_COLUMNS_MAX = 200;

/**
 * The columns of a table that is to be made, from the fields of its first rows: the type that most of them have.
 * A field that holds no SQL value in any of them makes no column.
 */
export function inferColumns(wish: TableWish, rows: readonly unknown[]): readonly DataColumn[] {
  const counts = new Map<string, Map<SqlType, number>>();
  for (const { name } of wish.columns ?? []) counts.set(name, new Map());
  for (const row of rows)
    if (typeof row === "object" && row !== null) countTypes(wish, row, counts);
  const given = new Map(wish.columns?.map(({ name, type }) => [name, type]));
  const isUsed = ([name, types]: readonly [string, ReadonlyMap<SqlType, number>]): boolean =>
    given.has(name) || types.size > 0;
  return [...counts]
    .filter(isUsed)
    .slice(0, given.size > 0 ? counts.size : INFERRED_COLUMNS_MAX)
    .map(([name, types]) => ({
      name,
      type: given.get(name) ?? mostFrequent(types),
      isNullable: !wish.key.includes(name),
    }));
}

function countTypes(wish: TableWish, row: object, counts: Map<string, Map<SqlType, number>>): void {
  for (const [name, value] of Object.entries(row)) {
    if (wish.columns !== undefined && !counts.has(name)) continue;
    if (wish.originColumns.some((origin) => origin === name)) continue;
    const type = typeOfValue(value);
    const types = counts.get(name) ?? new Map<SqlType, number>();
    counts.set(name, types);
    if (type !== undefined) types.set(type, (types.get(type) ?? 0) + 1);
  }
}

// A whole number may be followed by 21.5: REAL takes both.
function typeOfValue(value: unknown): SqlType | undefined {
  if (typeof value === "string") return "TEXT";
  if (typeof value === "number") return "REAL";
  if (typeof value === "bigint" || typeof value === "boolean") return "INTEGER";
  return value instanceof Uint8Array ? "BLOB" : undefined;
}

function mostFrequent(types: ReadonlyMap<SqlType, number>): SqlType {
  let [best, most]: [SqlType, number] = ["ANY", 0];
  for (const [type, count] of types) if (count > most) [best, most] = [type, count];
  return best;
}

/** Rows of `PRAGMA table_info`. */
export function foundColumns(
  rows: readonly Readonly<Record<string, SqlBinding>>[],
): readonly FoundColumn[] {
  return rows.map((row) => ({
    name: String(row["name"]),
    declared: String(row["type"]),
    isNotNull: Number(row["notnull"]) !== 0,
    hasDefault: row["dflt_value"] !== null,
    keyIndex: Number(row["pk"]),
  }));
}
