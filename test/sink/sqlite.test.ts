import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { stat } from "node:fs/promises";
import { afterEach, beforeEach, test } from "node:test";
import type { Sink } from "../../src/contract/sink.ts";
import { sqlite } from "../../src/sink/sqlite.ts";
import { jsonChunk, mappedChunk, stopped } from "../support/sink-batch.ts";
import { SqlitePlace } from "../support/sqlite-place.ts";

const signal: AbortSignal = new AbortController().signal;

let place: SqlitePlace;

beforeEach(async () => {
  place = await SqlitePlace.make();
});

afterEach(() => place.remove());

const readings = (): Sink<never> =>
  sqlite("out", { file: place.file, table: "readings", columns: ["device", "temperature"] });

test("sqlite: makes the table from the first rows and writes rows and position in one transaction", async () => {
  const session = await place.open(readings());
  deepEqual([session.guarantee, session.by, session.last], ["exactly-once", "transaction", "none"]);
  await place.pipeline.run(session, [
    jsonChunk([{ device: "a", temperature: 20 }, { device: "ü" }]),
    mappedChunk([{ device: "c", temperature: 21.5, extra: 1 }]),
  ]);
  deepEqual(
    await place.query(
      "SELECT device, temperature, typeof(temperature) AS type FROM readings ORDER BY rowid",
    ),
    [
      { device: "a", temperature: 20, type: "real" },
      { device: "ü", temperature: null, type: "null" },
      { device: "c", temperature: 21.5, type: "real" },
    ],
  );
  deepEqual(await place.query("SELECT writer, sink, batch, epoch, ends FROM holdfast_positions"), [
    { writer: place.pipeline.writerId, sink: "out", batch: 1, epoch: 1, ends: '{"log":{"0":3}}' },
  ]);
  equal((await stat(place.file)).mode & 0o777, 0o600);
});

test("sqlite: origin columns say where a row came from, body as it came", async () => {
  const sink = sqlite("out", {
    file: place.file,
    table: "readings",
    columns: ["device"],
    originColumns: ["body", "received_at", "log_offset", "receiver"],
  });
  const session = await place.open(sink);
  const bad = Buffer.from([0x7b, 0xff]).toString("latin1");
  await place.pipeline.run(session, [
    { texts: ["skipped"], recordIndexes: [] },
    jsonChunk([{ device: "a" }, { device: "ä" }], {
      receivedAtMs: 1_700_000_000_123.75,
      receiver: "roof",
    }),
  ]);
  await place.pipeline.run(session, [
    {
      texts: ["r1", "r2", "r3"],
      rows: [{ device: "x" }, { device: "y" }, { device: "z" }],
      recordIndexes: [0, 2, 2],
    },
  ]);
  await place.pipeline.run(session, [
    { texts: ["zero\0byte", bad], rows: [{}, {}], block: { delimiter: "" } },
  ]);
  deepEqual(
    await place.query(
      "SELECT log_offset, received_at, receiver, device, body FROM readings ORDER BY rowid LIMIT 5",
    ),
    [
      {
        log_offset: 1,
        received_at: 1_700_000_000_123,
        receiver: "roof",
        device: "a",
        body: '{"device":"a"}',
      },
      {
        log_offset: 2,
        received_at: 1_700_000_000_123,
        receiver: "roof",
        device: "ä",
        body: '{"device":"ä"}',
      },
      { log_offset: 3, received_at: 1_000, receiver: "meters", device: "x", body: "r1" },
      { log_offset: 5, received_at: 1_000, receiver: "meters", device: "y", body: "r3" },
      { log_offset: 5, received_at: 1_000, receiver: "meters", device: "z", body: "r3" },
    ],
  );
  deepEqual(
    await place.query(
      "SELECT typeof(body) AS type, hex(body) AS bytes FROM readings ORDER BY rowid LIMIT 1 OFFSET 5",
    ),
    [{ type: "blob", bytes: Buffer.from("zero\0byte").toString("hex").toUpperCase() }],
  );
  deepEqual(
    (await place.query("PRAGMA table_info(readings)")).map(({ name }) => name),
    ["log_offset", "received_at", "receiver", "device", "body"],
  );
});

test("sqlite: many rows over many chunks arrive in order, whatever is left over for small statements", async () => {
  const session = await place.open(
    sqlite("out", {
      file: place.file,
      table: "t",
      columns: ["id", "name"],
      originColumns: ["body"],
    }),
  );
  const rows = Array.from({ length: 3_087 }, (_, id) => ({
    id,
    name: `name ${id} ${"é".repeat(id % 7)}`,
  }));
  const chunks = [0, 1_000, 1_061, 2_000].map((from, index, starts) =>
    jsonChunk(rows.slice(from, starts[index + 1])),
  );
  await place.pipeline.run(session, chunks);
  const found = await place.query("SELECT id, name, body FROM t ORDER BY rowid");
  deepEqual(
    found,
    rows.map((row) => ({ ...row, body: JSON.stringify(row) })),
  );
});

test("sqlite: rows of a wrong type are set aside and the others written", async () => {
  const columns = {
    whole: "INTEGER",
    real: "REAL",
    text: "TEXT",
    bytes: "BLOB",
    any: "ANY",
  } as const;
  const session = await place.open(
    sqlite("out", { file: place.file, table: "t", columns, key: ["text"] }),
  );
  const good = { whole: 1, real: 1.5, text: "a", bytes: new Uint8Array([1]), any: "007" };
  const wrong: readonly [row: unknown, message: string][] = [
    [{ ...good, real: "n/a" }, 'real: expected a number, got "n/a"'],
    [{ ...good, real: Number.NaN }, "real: expected a number, got NaN"],
    [{ ...good, real: Infinity }, "real: expected a number, got Infinity"],
    [{ ...good, whole: 1.5 }, "whole: expected a whole number, got 1.5"],
    [{ ...good, text: { a: 1 } }, "text: expected text, got an object"],
    [{ ...good, text: 5 }, "text: expected text, got 5"],
    [{ ...good, text: "a\0b" }, 'text: expected text without zero characters, got "a\\u0000b"'],
    [{ ...good, text: undefined }, "text: expected text, got nothing"],
    [{ ...good, bytes: "text" }, 'bytes: expected bytes, got "text"'],
    [{ ...good, any: [1] }, "any: expected text, a number or bytes, got a list"],
    [{ ...good, whole: 2n ** 64n }, "whole: expected a whole number, got 18446744073709551616"],
    ["no row", 'expected an object, got "no row"'],
    [null, "expected an object, got null"],
  ];
  await place.pipeline.run(session, [
    mappedChunk([
      good,
      ...wrong.map(([row]) => row),
      { ...good, text: "b", whole: true, real: null, any: 20 },
    ]),
  ]);
  await place.pipeline.run(session, [
    mappedChunk([{ ...good, text: "c", whole: 2n ** 60n, real: false, any: 2n ** 60n }]),
  ]);
  deepEqual(
    place.pipeline.setAside.map(({ message }) => message),
    wrong.map(([, message]) => message),
  );
  deepEqual(
    place.pipeline.setAside.map(({ offset }) => offset),
    wrong.map((_, index) => index + 1),
  );
  ok(
    place.pipeline.setAside.every(
      ({ code, body }, index) => code === "ROW_TYPE" && body === `record ${index + 1}`,
    ),
  );
  deepEqual(
    await place.query(
      "SELECT text, CAST(whole AS TEXT) AS whole, real, hex(bytes) AS bytes, typeof(any) AS type, CAST(any AS TEXT) AS any FROM t ORDER BY text",
    ),
    [
      { text: "a", whole: "1", real: 1.5, bytes: "01", type: "text", any: "007" },
      { text: "b", whole: "1", real: null, bytes: "01", type: "integer", any: "20" },
      {
        text: "c",
        whole: String(2n ** 60n),
        real: 0,
        bytes: "01",
        type: "integer",
        any: String(2n ** 60n),
      },
    ],
  );
});

test("sqlite: a chunk of nothing but wrong rows is set aside and leaves the table to the next", async () => {
  const session = await place.open(
    sqlite("out", { file: place.file, table: "t", columns: { n: "REAL" } }),
  );
  await place.pipeline.run(session, [mappedChunk([1, 2]), mappedChunk([{ n: 3 }])]);
  equal(place.pipeline.setAside.length, 2);
  deepEqual(await place.query("SELECT n FROM t"), [{ n: 3 }]);
});

test("sqlite: columns come from the first rows' fields when none are named", async () => {
  const session = await place.open(
    sqlite("out", { file: place.file, table: "t", originColumns: ["log_offset"] }),
  );
  const nothing = null;
  await place.pipeline.run(session, [
    mappedChunk([
      { device: "a", on: true, nothing, nested: {} },
      { device: "b", at: 5, log_offset: 9 },
    ]),
  ]);
  await place.pipeline.run(session, [mappedChunk([{ device: "c", later: 1 }])]);
  deepEqual(await place.query("SELECT * FROM t ORDER BY rowid"), [
    { log_offset: 0, device: "a", on: 1, at: null },
    { log_offset: 1, device: "b", on: null, at: 5 },
    { log_offset: 2, device: "c", on: null, at: null },
  ]);
});

test("sqlite: records that nobody decoded fill origin columns", async () => {
  const session = await place.open(
    sqlite("out", {
      file: place.file,
      table: "t",
      columns: [],
      originColumns: ["log_offset", "body"],
    }),
  );
  await place.pipeline.run(session, [{ texts: ["a", "b", "c"], recordIndexes: [0, 2] }]);
  deepEqual(await place.query("SELECT * FROM t"), [
    { log_offset: 0, body: "a" },
    { log_offset: 2, body: "c" },
  ]);
});

test("sqlite: update mode replaces by key, also within a batch", async () => {
  place.pipeline.mode = "update";
  const session = await place.open(
    sqlite("out", { file: place.file, table: "t", columns: ["k", "v"], key: ["k"] }),
  );
  await place.pipeline.run(session, [
    mappedChunk([
      { k: "a", v: 1 },
      { k: "b", v: 2 },
      { k: "a", v: 3 },
    ]),
  ]);
  await place.pipeline.run(session, [mappedChunk([{ k: "b", v: 4 }])]);
  deepEqual(await place.query("SELECT k, v FROM t ORDER BY k"), [
    { k: "a", v: 3 },
    { k: "b", v: 4 },
  ]);
});

test("sqlite: complete mode replaces the whole table", async () => {
  place.pipeline.mode = "complete";
  const session = await place.open(sqlite("out", { file: place.file, table: "t", columns: ["v"] }));
  await place.pipeline.run(session, [mappedChunk([{ v: 1 }, { v: 2 }])]);
  await place.pipeline.run(session, [mappedChunk([{ v: 3 }])]);
  deepEqual(await place.query("SELECT v FROM t"), [{ v: 3 }]);
});

test("sqlite: a row that the table refuses is found by writing the batch again", async () => {
  await place.execute("CREATE TABLE t (k TEXT PRIMARY KEY, v REAL CHECK (v < 100))");
  const session = await place.open(
    sqlite("out", { file: place.file, table: "t", columns: ["k", "v"] }),
  );
  const chunks = [
    mappedChunk([
      { k: "a", v: 1 },
      { k: "b", v: 200 },
      { k: "c", v: "n/a" },
    ]),
    mappedChunk([{ k: "d", v: 2 }]),
    mappedChunk([
      { k: "a", v: 3 },
      { k: "e", v: 4 },
    ]),
  ];
  const first = await session.write(place.pipeline.batch(chunks), signal);
  equal(first.kind, "back-off");
  equal(place.pipeline.setAside.length, 0);
  deepEqual(await place.query("SELECT * FROM t"), []);
  equal((await place.pipeline.run(session, chunks)).kind, "written");
  deepEqual(
    place.pipeline.setAside.map(({ offset }) => offset),
    [1, 2, 4],
  );
  match(place.pipeline.setAside[0]?.message ?? "", /CHECK constraint failed/);
  match(place.pipeline.setAside[2]?.message ?? "", /UNIQUE constraint failed/);
  deepEqual(await place.query("SELECT k, v FROM t ORDER BY k"), [
    { k: "a", v: 1 },
    { k: "d", v: 2 },
    { k: "e", v: 4 },
  ]);
});

test("sqlite: a stopped or aborted batch leaves nothing, not even the table it made", async () => {
  const session = await place.open(readings());
  const cause = new Error("stopped");
  const batch = place.pipeline.batch([mappedChunk([{ device: "a", temperature: 1 }])]);
  await rejects(session.write({ ...batch, chunks: stopped(batch.chunks, cause) }, signal), cause);
  const abort = new AbortController();
  const second = place.pipeline.batch([mappedChunk([{ device: 7, temperature: 1 }])]);
  const aborting = {
    async *[Symbol.asyncIterator]() {
      yield* second.chunks;
      abort.abort(cause);
    },
  };
  await rejects(session.write({ ...second, chunks: aborting }, abort.signal), cause);
  await place.pipeline.run(session, [mappedChunk([{ device: "a", temperature: 2 }])]);
  deepEqual(await place.query("SELECT device, temperature FROM readings"), [
    { device: "a", temperature: 2 },
  ]);
});

test("sqlite: rows are set aside before the commit, and a failure to do so rolls back", async () => {
  const context = {
    ...place.pipeline.context("out"),
    reject: () => Promise.reject(new Error("letters are full")),
  };
  const session = await readings().open(context);
  await rejects(session.write(place.pipeline.batch([mappedChunk([{ device: "a" }, 5])]), signal), {
    message: "letters are full",
  });
  await session.close(signal);
  deepEqual(await place.query("SELECT batch FROM holdfast_positions"), [{ batch: 0 }]);
});
