import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "../../src/errors.ts";
import { SqliteClient } from "../../src/sink/sqlite-client.ts";
import { loadSqlite } from "../../src/sink/sqlite-driver.ts";
import { isRowError, sqliteError } from "../../src/sink/sqlite-errors.ts";

const signal: AbortSignal = new AbortController().signal;

/** A worker with this script instead of a database. */
function client(script: string, died: (cause: Error) => void = () => undefined): SqliteClient {
  const source = `import { parentPort } from "node:worker_threads"; ${script}`;
  return new SqliteClient(
    "out",
    died,
    new URL(`data:text/javascript,${encodeURIComponent(source)}`),
  );
}

test("sqlite worker: one that dies fails everything that waits, and what comes later", async () => {
  let deaths = 0;
  const dying = client(
    'parentPort.on("message", () => { throw new Error("broken"); });',
    () => deaths++,
  );
  const asked = [dying.ask({ kind: "commit" }, signal), dying.ask({ kind: "rollback" }, signal)];
  for (const result of await Promise.allSettled(asked)) {
    equal(result.status, "rejected");
    if (result.status === "rejected") match(String(result.reason), /ended with code 1: broken/);
  }
  await rejects(dying.ask({ kind: "commit" }, signal), { code: "SINK_FAILED" });
  equal(deaths, 0);
  await dying.close(signal);
});

test("sqlite worker: one that dies while nobody waits reports it", async () => {
  const cause = await new Promise<Error>((resolve) => client("process.exit(3);", resolve));
  match(cause.message, /ended with code 3: no error/);
});

test("sqlite worker: an aborted request ends with the reason, and later answers stay in step", async () => {
  const answers = client(
    'let n = 0; parentPort.on("message", (m) => { n++; if (m.kind !== "begin") parentPort.postMessage({ answer: n }); else parentPort.postMessage({ failure: { code: "SINK_BUSY", message: "locked", fix: "" } }); });',
  );
  const abort = new AbortController();
  const first = answers.ask({ kind: "commit" }, abort.signal);
  abort.abort(new Error("stop"));
  await rejects(first, { message: "stop" });
  equal(await answers.ask({ kind: "rollback" }, signal), 2);
  await rejects(
    answers.ask(
      { kind: "begin", batch: { sink: "out", batchId: 1, epoch: 1, ranges: {} } },
      signal,
    ),
    { code: "SINK_BUSY", message: "locked" },
  );
  await rejects(answers.ask({ kind: "commit" }, abort.signal), { message: "stop" });
  await answers.close(signal);
  await answers.close(signal);
});

test("sqlite worker: close does not wait for a database that hangs", async () => {
  const hanging = client('parentPort.on("message", () => { for (;;); });');
  const waiting = hanging.ask({ kind: "commit" }, signal);
  const failed = rejects(waiting, { code: "SINK_FAILED" });
  const abort = new AbortController();
  const closed = hanging.close(abort.signal);
  abort.abort();
  await closed;
  await failed;
});

test("sqlite worker: loading SQLite prints no warning", async () => {
  const warnings: unknown[] = [];
  const note = (warning: Error): void => void warnings.push(warning.message);
  process.on("warning", note);
  const { module } = await loadSqlite();
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", note);
  deepEqual(warnings, []);
  equal(
    module,
    process.getBuiltinModule("node:sqlite") === undefined
      ? "@photostructure/sqlite"
      : "node:sqlite",
  );
});

test("sqlite driver: the first module that is one is taken", async () => {
  const DatabaseSync = (): void => undefined;
  const sources = [
    { module: "missing", load: () => undefined },
    { module: "broken", load: () => Promise.reject(new Error("no binary")) },
    { module: "good", load: () => Promise.resolve({ DatabaseSync }) },
    { module: "late", load: () => ({ DatabaseSync }) },
  ];
  equal((await loadSqlite(sources)).module, "good");
  await rejects(loadSqlite(sources.slice(0, 2)), { code: "SQLITE_UNAVAILABLE" });
});

const ERRORS: readonly [errcode: number, code: string, isRow: boolean][] = [
  [1, "SINK_TABLE", false],
  [5, "SINK_BUSY", false],
  [517, "SINK_BUSY", false],
  [6, "SINK_BUSY", false],
  [8, "DIRECTORY_UNWRITABLE", false],
  [10, "SINK_FAILED", false],
  [11, "SINK_TABLE", false],
  [13, "SINK_FAILED", false],
  [14, "DIRECTORY_UNWRITABLE", false],
  [19, "SINK_FAILED", true],
  [1299, "SINK_FAILED", true],
  [26, "SINK_TABLE", false],
];

for (const [errcode, code, isRow] of ERRORS) {
  test(`sqlite errors: ${errcode} is ${code}`, () => {
    const thrown = Object.assign(new Error("text"), { errcode });
    equal(sqliteError("out", "s.db", thrown).code, code);
    equal(isRowError(thrown), isRow);
  });
}

test("sqlite errors: ours stay as they are, others may pass by themselves", () => {
  const ours = new HoldfastError("SINK_BEHIND", "text");
  equal(sqliteError("out", "s.db", ours), ours);
  equal(sqliteError("out", "s.db", "text").code, "SINK_FAILED");
});
