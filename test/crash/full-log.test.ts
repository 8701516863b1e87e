import { deepEqual, ok } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { within } from "../support/deadline.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { openSqlite, type SqliteReader } from "../support/sqlite-reader.ts";
import { type Gateway, layOutGateway } from "./gateway.ts";
import { countStored, listening, processAndStop, startGateway, whileAlive } from "./incarnation.ts";
import { RecordBook } from "./record-book.ts";
import { type ClientOptions, runTcpClient } from "./tcp-client.ts";

/** Records so long that the log's smallest budget is used up by a few hundred of them. */
const filler = 100_000;
const lockWaitMs = 10_000;
const clientDeadlineMs = 30_000;

/** The write lock of the table's database, as a backup or a person with a shell takes it. */
async function lockTable(gateway: Gateway): Promise<SqliteReader> {
  const database = await openSqlite(gateway.databasePath, { readOnly: false });
  database.exec(`PRAGMA busy_timeout = ${lockWaitMs}`);
  database.exec("BEGIN IMMEDIATE");
  return database;
}

/** Starts the gateway with its table locked, sends until the log is full, and kills it. */
async function fillAndKill(gateway: Gateway, options: ClientOptions): Promise<SqliteReader> {
  const program = startGateway(gateway);
  try {
    await listening(gateway, program);
    const lock = await lockTable(gateway);
    const client = runTcpClient(options);
    await whileAlive(program, "a full log", program.line(/"event":"log-full"/));
    await program.kill();
    await within(clientDeadlineMs, "end of the client", client);
    return lock;
  } finally {
    await program.kill();
  }
}

test("full log: killed while a stalled sink holds it, it starts again full, and heals when the sink does", async () => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-full-"));
  const random = createSeededRandom(1);
  const gateway = await layOutGateway(directory, random);
  const book = new RecordBook();
  const stop = new AbortController().signal;
  const options = { port: gateway.tcpPort, random, book, stop, filler };
  const lock = await fillAndKill(gateway, { ...options, name: "before" });
  const program = startGateway(gateway);
  try {
    await listening(gateway, program);
    lock.exec("ROLLBACK");
    lock.close();
    const ended = new AbortController();
    const client = runTcpClient({ ...options, name: "after", stop: ended.signal });
    await whileAlive(program, "an acknowledgement", book.acknowledgedMore(1));
    ended.abort();
    await within(clientDeadlineMs, "end of the client", client);
    await processAndStop(gateway, program);
  } finally {
    await program.kill();
  }
  const stored = await countStored(gateway, book);
  deepEqual(stored.problems, [], `kept: ${directory}`);
  ok(stored.acknowledged > 0);
  await rm(directory, { recursive: true });
});
