import { deepEqual, equal, rejects } from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Sink } from "../../src/contract/sink.ts";
import { codeOf } from "../../src/errors.ts";
import { sqlite } from "../../src/sink/sqlite.ts";
import { mappedChunk } from "../support/sink-batch.ts";
import { SqlitePlace } from "../support/sqlite-place.ts";
import { openSqlite } from "../support/sqlite-reader.ts";

const signal: AbortSignal = new AbortController().signal;

let place: SqlitePlace;

beforeEach(async () => {
  place = await SqlitePlace.make();
});

afterEach(() => place.remove());

const readings = (): Sink<never> =>
  sqlite("out", { file: place.file, table: "readings", columns: ["device", "temperature"] });

test("sqlite: while another process has the file locked the batch backs off, and is written afterwards", async () => {
  const session = await place.open(
    sqlite("out", { file: place.file, table: "t", columns: ["v"], busyTimeoutMs: 0 }),
  );
  await place.pipeline.run(session, [mappedChunk([{ v: 1 }])]);
  const other = await openSqlite(place.file, { readOnly: false });
  other.exec("BEGIN IMMEDIATE");
  const delays: number[] = [];
  for (let attempt = 0; attempt < 8; attempt++) {
    const result = await place.pipeline.run(session, [mappedChunk([{ v: 2 }])]);
    if (result.kind === "back-off") delays.push(result.delayMs);
  }
  deepEqual(delays, [100, 200, 400, 800, 1_600, 3_200, 4_000, 4_000]);
  other.exec("ROLLBACK");
  other.close();
  equal((await place.pipeline.run(session, [mappedChunk([{ v: 2 }])])).kind, "written");
  deepEqual(await place.query("SELECT v FROM t"), [{ v: 1 }, { v: 2 }]);
});

test("sqlite: a file that is locked can be opened again, and a new one is tried until the lock is gone", async () => {
  await place.pipeline.run(await place.open(readings()), [
    mappedChunk([{ device: "a", temperature: 1 }]),
  ]);
  const other = await openSqlite(place.file, { readOnly: false });
  other.exec("BEGIN IMMEDIATE");
  equal((await place.open(readings())).last === "none", false);
  const opening = place.open(
    sqlite("new", { file: place.file, table: "t", columns: ["v"], busyTimeoutMs: 0 }),
  );
  // The attempts wait on the virtual clock; the lock goes after a few.
  const endpoint = () => place.pipeline.pools.at(-1)?.stats().endpoints[0];
  while (endpoint()?.status !== "down") await place.pipeline.clock.settle();
  equal(codeOf(endpoint()?.lastError), "SINK_BUSY");
  other.exec("ROLLBACK");
  other.close();
  await place.pipeline.clock.advance(250);
  equal((await opening).last, "none");
});

test("sqlite: a file that stays locked is the error that the supervisor gets", async () => {
  await place.pipeline.run(await place.open(readings()), [
    mappedChunk([{ device: "a", temperature: 1 }]),
  ]);
  const other = await openSqlite(place.file, { readOnly: false });
  other.exec("BEGIN IMMEDIATE");
  const opening = rejects(
    place.open(sqlite("new", { file: place.file, table: "t", columns: ["v"], busyTimeoutMs: 0 })),
    { code: "SINK_BUSY" },
  );
  while (place.pipeline.pools.length < 2) await place.pipeline.clock.settle();
  const pool = place.pipeline.pools.at(-1);
  // The worker is a real one: time stands still while it tries.
  while (pool?.stats().status === "open")
    await place.pipeline.clock.advance(pool.stats().connecting > 0 ? 0 : 1_000);
  await opening;
  other.close();
});

test("sqlite: a worker that is gone is replaced by the next batch", async () => {
  const session = await place.open(readings());
  await place.pipeline.run(session, [mappedChunk([{ device: "a", temperature: 1 }])]);
  const lease = await place.pipeline.pools.at(-1)?.acquire();
  lease?.poison(new Error("gone"));
  const result = await place.pipeline.run(session, [
    mappedChunk([{ device: "b", temperature: 2 }]),
  ]);
  equal(result.kind, "written");
  deepEqual(await place.query("SELECT device FROM readings"), [{ device: "a" }, { device: "b" }]);
  deepEqual(place.pipeline.failures, []);
});

test("sqlite: a batch that cannot be handed to the worker fails alone", async () => {
  const session = await place.open(readings());
  await place.pipeline.run(session, [mappedChunk([{ device: "a", temperature: 1 }])]);
  const batch = place.pipeline.batch([mappedChunk([{ device: "b", temperature: 2 }])]);
  await rejects(
    session.write({ ...batch, ranges: Object({ log: { "0": [() => 1, 2] } }) }, signal),
  );
  await place.pipeline.run(session, [mappedChunk([{ device: "b", temperature: 2 }])]);
  equal((await place.query("SELECT count(*) AS n FROM readings"))[0]?.["n"], 2);
});

test("sqlite: places that cannot be used have clear codes", async () => {
  const at = (path: string): Promise<unknown> =>
    place.pipeline.open(sqlite("out", { file: path, table: "t", columns: ["v"] }));
  await rejects(at(join(place.directory, "missing", "x.db")), { code: "DIRECTORY_UNWRITABLE" });
  await mkdir(join(place.directory, "folder"));
  await rejects(at(join(place.directory, "folder")), { code: "DIRECTORY_UNWRITABLE" });
  await writeFile(
    join(place.directory, "text.db"),
    "this is no database, but a text of some length\n".repeat(100),
  );
  await rejects(at(join(place.directory, "text.db")), {
    code: "SINK_TABLE",
    message: /is not a usable SQLite database/,
  });
});

const TABLES: readonly [title: string, sql: string, columns: readonly string[], message: RegExp][] =
  [
    ["lacks a column", "CREATE TABLE t (v REAL)", ["v", "w"], /has 1 columns, but not w/],
    [
      "needs a column that the sink does not fill",
      "CREATE TABLE t (v REAL, must TEXT NOT NULL)",
      ["v"],
      /column must of table t is NOT NULL/,
    ],
    [
      "has no unique index on the key",
      "CREATE TABLE t (v REAL, w TEXT)",
      ["v", "w"],
      /has no unique index on 1 columns v/,
    ],
  ];

for (const [title, sql, columns, message] of TABLES) {
  test(`sqlite: a table that ${title} is SINK_TABLE at open`, async () => {
    await place.execute(sql);
    place.pipeline.mode = title.includes("key") ? "update" : "append";
    await rejects(
      place.pipeline.open(sqlite("out", { file: place.file, table: "t", columns, key: ["v"] })),
      {
        code: "SINK_TABLE",
        message,
      },
    );
  });
}

test("sqlite: an existing table is used as it is, with its types, defaults and rowid", async () => {
  await place.execute(
    'CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY, Device VARCHAR(9) NOT NULL, made TEXT NOT NULL DEFAULT \'now\')',
  );
  const session = await place.open(
    sqlite("out", { file: place.file, table: 'odd "name', columns: ["id", "device"] }),
  );
  await place.pipeline.run(session, [
    mappedChunk([{ device: "a" }, { device: null }, { device: "b", id: 7 }]),
  ]);
  deepEqual(await place.query('SELECT * FROM "odd ""name"'), [
    { id: 1, Device: "a", made: "now" },
    { id: 7, Device: "b", made: "now" },
  ]);
  equal(place.pipeline.setAside[0]?.message, "device: expected text, got null");
});
