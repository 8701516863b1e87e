/**
 * Position and rows move together: the store is driven as its worker drives it, and left at every point.
 */
import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { realFiles } from "../../src/host/real-files.ts";
import { sqlite } from "../../src/sink/sqlite.ts";
import { loadSqlite, type SqliteDriver } from "../../src/sink/sqlite-driver.ts";
import type { PackedRows, StoreOptions } from "../../src/sink/sqlite-protocol.ts";
import { SqliteStore } from "../../src/sink/sqlite-store.ts";
import { mappedChunk, SinkPipeline } from "../support/sink-batch.ts";
import { openSqlite } from "../support/sqlite-reader.ts";

const signal: AbortSignal = new AbortController().signal;
const driver: SqliteDriver = await loadSqlite();

let directory = "";
let options: StoreOptions;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "holdfast-sqlite-"));
  options = {
    sink: "out",
    file: join(directory, "s.db"),
    table: "t",
    columns: [{ name: "v", type: "REAL" }],
    key: [],
    originColumns: [],
    writerId: "writer-a",
    mode: "append",
    synchronous: "full",
    busyTimeoutMs: 0,
  };
});

afterEach(() => rm(directory, { recursive: true, force: true }));

function numbers(...values: readonly number[]): PackedRows {
  const origin = {
    receiver: "meters",
    firstOffset: 0,
    recordIndexes: undefined,
    receivedAtMs: undefined,
    body: undefined,
  };
  return {
    count: values.length,
    columns: [{ kind: "numbers", values: Float64Array.from(values), nulls: undefined }],
    origin,
  };
}

function identity(
  batchId: number,
  from: number,
  to: number,
  epoch = 1,
): Parameters<SqliteStore["begin"]>[0] {
  return { sink: "out", batchId, epoch, ranges: { log: { "0": [from, to] } } };
}

async function stored(): Promise<{ rows: unknown[]; positions: unknown[] }> {
  const database = await openSqlite(options.file);
  const rows = database
    .prepare("SELECT v FROM t ORDER BY rowid")
    .all()
    .map(({ v }) => v);
  const positions = database
    .prepare("SELECT writer, batch FROM holdfast_positions ORDER BY writer")
    .all()
    .map(({ writer, batch }) => `${String(writer)} ${String(batch)}`);
  database.close();
  return { rows, positions };
}

/** Opens a store over what another one left behind, as after a kill: the old connection never hears of it. */
function open(changes: Partial<StoreOptions> = {}): { store: SqliteStore; last: unknown } {
  const { store, opened } = SqliteStore.open(driver, { ...options, ...changes });
  return { store, last: opened.last };
}

test("sqlite: position and rows are committed together or not at all, wherever the process ends", async () => {
  const { store } = open();
  const steps: readonly (() => void)[] = [
    () => void store.begin(identity(1, 0, 3)),
    () => void store.rows(numbers(1, 2), undefined, false),
    () => void store.rows(numbers(3), undefined, false),
    () => store.commit(),
  ];
  for (const [done, step] of steps.entries()) {
    step();
    const isCommitted = done === steps.length - 1;
    deepEqual(
      await stored(),
      isCommitted
        ? { rows: [1, 2, 3], positions: ["writer-a 1"] }
        : { rows: [], positions: ["writer-a 0"] },
    );
  }
  deepEqual(open().last, { batchId: 1, epoch: 1, ends: { log: { "0": 3 } } });
});

test("sqlite: a connection that goes in the middle of a batch leaves nothing of it", async () => {
  const first = open().store;
  first.begin(identity(1, 0, 2));
  first.rows(numbers(1, 2), undefined, false);
  first.close();
  const { store, last } = open();
  equal(last, "none");
  equal(store.begin(identity(1, 0, 2)).kind, "new");
  store.rows(numbers(1, 2), undefined, false);
  store.commit();
  deepEqual(await stored(), { rows: [1, 2], positions: ["writer-a 1"] });
  store.close();
});

test("sqlite: the same batch again is there already, an overlap and an older epoch conflict", async () => {
  const { store } = open();
  store.begin(identity(1, 0, 3, 2));
  store.rows(numbers(1), undefined, false);
  store.commit();
  deepEqual(store.begin(identity(1, 0, 3, 2)), { kind: "already-written" });
  throws(() => store.begin(identity(1, 0, 4, 2)), { code: "SINK_CONFLICT" });
  throws(() => store.begin(identity(2, 2, 4, 2)), { code: "SINK_CONFLICT" });
  throws(() => store.begin(identity(2, 3, 4, 1)), { code: "SINK_CONFLICT" });
  equal(store.begin(identity(2, 3, 4, 2)).kind, "new");
  store.close();
  deepEqual(await stored(), { rows: [1], positions: ["writer-a 1"] });
});

test("sqlite: a lost answer to a commit is found out by the next session", async () => {
  const { store } = open();
  store.begin(identity(1, 0, 3));
  store.rows(numbers(1), undefined, false);
  store.commit();
  const next = open();
  deepEqual(next.last, { batchId: 1, epoch: 1, ends: { log: { "0": 3 } } });
  deepEqual(next.store.begin(identity(1, 0, 3)), { kind: "already-written" });
  deepEqual(await stored(), { rows: [1], positions: ["writer-a 1"] });
});

test("sqlite: a new log beside a kept database is another writer with a position of its own", async () => {
  const old = open();
  old.store.begin(identity(1, 0, 3));
  old.store.rows(numbers(1), undefined, false);
  old.store.commit();
  old.store.close();
  const { store, last } = open({ writerId: "writer-b" });
  equal(last, "none");
  equal(store.begin(identity(1, 0, 3)).kind, "new");
  store.rows(numbers(2), undefined, false);
  store.commit();
  store.close();
  deepEqual(await stored(), { rows: [1, 2], positions: ["writer-a 1", "writer-b 1"] });
});

test("sqlite: two writers on one table wait for each other and both get through", async () => {
  const [a, b] = [open().store, open({ writerId: "writer-b" }).store];
  a.begin(identity(1, 0, 1));
  throws(() => b.begin(identity(1, 0, 1)), { code: "SINK_BUSY" });
  a.rows(numbers(1), undefined, false);
  a.commit();
  equal(b.begin(identity(1, 0, 1)).kind, "new");
  b.rows(numbers(2), undefined, false);
  b.commit();
  deepEqual(await stored(), { rows: [1, 2], positions: ["writer-a 1", "writer-b 1"] });
});

test("sqlite: two copies of one writer cannot both write a batch", async () => {
  const [a, b] = [open().store, open().store];
  for (const store of [a, b]) {
    const begun = store.begin(identity(1, 0, 1));
    if (begun.kind === "already-written") continue;
    store.rows(numbers(1), undefined, false);
    store.commit();
  }
  deepEqual(await stored(), { rows: [1], positions: ["writer-a 1"] });
  a.begin(identity(2, 1, 9));
  a.rows(numbers(2), undefined, false);
  a.commit();
  throws(() => b.begin(identity(2, 1, 5)).kind === "new" || b.begin(identity(3, 5, 9)), {
    code: "SINK_CONFLICT",
  });
});

test("sqlite: a position row that disappears is SINK_BEHIND", async () => {
  const { store } = open();
  const other = await openSqlite(options.file, { readOnly: false });
  other.exec("DELETE FROM holdfast_positions");
  other.close();
  throws(() => store.begin(identity(1, 0, 1)), { code: "SINK_BEHIND" });
});

test("sqlite: synchronous is full and the journal is a write-ahead log", () => {
  const { store } = open();
  const asked: string[] = [];
  const watching: SqliteDriver = {
    module: "watching",
    open(file) {
      const connection = driver.open(file);
      return {
        ...connection,
        exec: (sql) => connection.exec(sql),
        close: () => connection.close(),
        prepare: (sql) => (
          asked.push(sql), connection.prepare(sql.replace("PRAGMA synchronous", "SELECT 1"))
        ),
      };
    },
  };
  throws(() => SqliteStore.open(watching, options), {
    code: "SINK_FAILED",
    message: /has synchronous 1, wanted is 2/,
  });
  deepEqual(asked, ["PRAGMA journal_mode = WAL", "PRAGMA synchronous"]);
  store.close();
});

test("sqlite: the sink's replay of a batch whose commit was lost writes nothing twice", async () => {
  const pipeline = new SinkPipeline(realFiles);
  const sink = sqlite("out", { file: options.file, table: "t", columns: ["v"] });
  const first = await pipeline.open(sink);
  equal((await first.write(pipeline.batch([mappedChunk([{ v: 1 }])]), signal)).kind, "written");
  await first.close(signal);
  pipeline.epoch++;
  const second = await pipeline.open(sink);
  deepEqual(second.last, { batchId: 1, epoch: 1, ends: { log: { "0": 1 } } });
  const replay = pipeline.batch([mappedChunk([{ v: 1 }])], { epoch: 1 });
  equal((await second.write(replay, signal)).kind, "already-written");
  pipeline.commit(replay, { kind: "already-written" });
  await pipeline.run(second, [mappedChunk([{ v: 2 }])]);
  await rejects(
    second.write(
      pipeline.batch([mappedChunk([{ v: 9 }])], { ranges: { log: { "0": [1, 3] } } }),
      signal,
    ),
    { code: "SINK_CONFLICT" },
  );
  await second.close(signal);
  deepEqual((await stored()).rows, [1, 2]);
});
