import { deepEqual, equal, match, throws } from "node:assert/strict";
import { test } from "node:test";
import type { Sink } from "../../src/contract/sink.ts";
import { sqlite, type SqliteOptions } from "../../src/sink/sqlite.ts";
import {
  createTableSql,
  inferColumns,
  insertSql,
  type TableWish,
  typeOfDeclaration,
} from "../../src/sink/sqlite-table.ts";

const base = { file: "r.db", table: "t", columns: ["device", "temperature"] } as const;

const WRONG: readonly [title: string, changes: object, code: string][] = [
  ["no table", { table: undefined }, "CONFIG_KEY_MISSING"],
  ["a misspelt option", { tabel: "t" }, "CONFIG_KEY_UNKNOWN"],
  ["a database in memory", { file: ":memory:" }, "CONFIG_VALUE"],
  ["the table of positions", { table: "Holdfast_Positions" }, "CONFIG_VALUE"],
  ["columns as text", { columns: "device" }, "CONFIG_VALUE"],
  ["an unknown type", { columns: { device: "STRING" } }, "CONFIG_VALUE"],
  ["no column at all", { columns: [] }, "CONFIG_VALUE"],
  ["a column twice", { columns: ["device", "Device"] }, "CONFIG_CONFLICT"],
  [
    "a column that is an origin column too",
    { columns: ["body"], originColumns: ["body"] },
    "CONFIG_CONFLICT",
  ],
  [
    "too many columns",
    { columns: Array.from({ length: 501 }, (_, index) => `c${index}`) },
    "CONFIG_OUT_OF_RANGE",
  ],
  ["a key that is no column", { key: ["id"] }, "CONFIG_VALUE"],
  ["an unknown origin column", { originColumns: ["key"] }, "CONFIG_VALUE"],
  ["less than full synchronous", { synchronous: "normal" }, "CONFIG_VALUE"],
  ["a busy timeout of an hour", { busyTimeoutMs: 3_600_000 }, "CONFIG_OUT_OF_RANGE"],
];

for (const [title, changes, code] of WRONG) {
  test(`sqlite: ${title} is refused`, () => {
    // What a program without types may pass.
    const options = { ...base, ...changes } as SqliteOptions & { columns: readonly string[] };
    throws(() => sqlite("out", options), { code });
  });
}

test("sqlite: defaults, absolute place and modes", () => {
  const sink = sqlite("out", base);
  match(String(sink.settings["file"]), /^\/.*\/r\.db$/);
  deepEqual(
    [sink.settings["synchronous"], sink.settings["busyTimeoutMs"], sink.settings["originColumns"]],
    ["full", 2_000, []],
  );
  deepEqual(sink.modes, ["append", "complete"]);
  deepEqual(sqlite("out", { ...base, key: ["device"] }).modes, ["append", "update", "complete"]);
  equal(sink.exclusive, sqlite("other", { ...base, table: "T" }).exclusive);
  deepEqual(sqlite("out", { ...base, columns: { a: "REAL", b: "ANY" } }).settings["columns"], [
    { name: "a", type: "REAL" },
    { name: "b", type: "ANY" },
  ]);
});

test("sqlite: its rows are typed by its columns", () => {
  type RowOf<S> = S extends Sink<infer Row> ? Row : never;
  const named = sqlite("out", base);
  const row: RowOf<typeof named> = { device: "a", temperature: 21.5 };
  // @ts-expect-error a column that the row lacks
  const lacking: RowOf<typeof named> = { device: "a" };
  // @ts-expect-error a value that no column takes
  const nested: RowOf<typeof named> = { device: {}, temperature: 1 };
  // @ts-expect-error a key that is no column
  throws(() => sqlite("out", { ...base, key: ["id"] }), { code: "CONFIG_VALUE" });
  const typed = sqlite("out", { ...base, columns: { device: "TEXT" } });
  const narrow: RowOf<typeof typed> = { device: "a" };
  const open = sqlite("out", { file: "r.db", table: "t" });
  const any: RowOf<typeof open> = { whatever: 1 };
  equal([row, lacking, nested, narrow, any].length, 5);
});

const wish: TableWish = {
  table: 'a"b',
  columns: [
    { name: "k", type: "TEXT" },
    { name: "v", type: "ANY" },
  ],
  key: ["k"],
  originColumns: ["body", "log_offset"],
};
const columns = [
  { name: "k", type: "TEXT", isNullable: false },
  { name: "v", type: "ANY", isNullable: true },
] as const;

test("sqlite table: the statement that makes it", () => {
  equal(
    createTableSql(wish, columns),
    'CREATE TABLE "a""b" ("log_offset" INTEGER NOT NULL, "k" TEXT NOT NULL, "v", "body" TEXT, PRIMARY KEY ("k"))',
  );
});

test("sqlite table: inserts of several rows, and those that replace", () => {
  equal(
    insertSql(wish, ["k", "v"], { rowCount: 2, isUpdate: false }),
    'INSERT INTO "a""b" ("k", "v") VALUES (?, ?), (?, ?)',
  );
  equal(
    insertSql(wish, ["k", "v"], { rowCount: 1, isUpdate: true }),
    'INSERT INTO "a""b" ("k", "v") VALUES (?, ?) ON CONFLICT ("k") DO UPDATE SET "v" = excluded."v"',
  );
  equal(
    insertSql(wish, ["k"], { rowCount: 1, isUpdate: true }),
    'INSERT INTO "a""b" ("k") VALUES (?) ON CONFLICT ("k") DO NOTHING',
  );
});

test("sqlite table: types come from the affinity of what was declared", () => {
  const declared = [
    "INT",
    "bigint",
    "VARCHAR(20)",
    "clob",
    "BLOB",
    "",
    "double precision",
    "FLOAT",
    "NUMERIC",
    "ANY",
    "CHARINT",
  ];
  deepEqual(declared.map(typeOfDeclaration), [
    "INTEGER",
    "INTEGER",
    "TEXT",
    "TEXT",
    "BLOB",
    "ANY",
    "REAL",
    "REAL",
    "ANY",
    "ANY",
    "INTEGER",
  ]);
});

test("sqlite table: the type that most first rows have wins, and named columns are always made", () => {
  const rows = [
    { a: "n/a", b: 1 },
    { a: 1, c: new Uint8Array(1) },
    { a: 2, d: {} },
    "no row",
    null,
  ];
  const made = inferColumns({ ...wish, columns: undefined, key: [] }, rows);
  deepEqual(
    made.map(({ name, type }) => `${name} ${type}`),
    ["a REAL", "b REAL", "c BLOB"],
  );
  const named = inferColumns(
    {
      ...wish,
      columns: [
        { name: "d", type: undefined },
        { name: "k", type: "TEXT" },
      ],
    },
    rows,
  );
  deepEqual(
    named.map(({ name, type, isNullable }) => `${name} ${type} ${isNullable}`),
    ["d ANY true", "k TEXT false"],
  );
});
