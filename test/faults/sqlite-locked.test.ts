/**
 * A SQLite file that another process holds. A sink waits `busyTimeout` for a lock, backs off and tries again, any
 * number of times; each attempt is like the one before. So a test holds the lock over many short attempts and stands
 * for a minute of the default ones: what counts is that acknowledgements never wait for the sink.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { Document } from "yaml";
import {
  countStored,
  listening,
  processAndStop,
  startGateway,
  whileAlive,
} from "../crash/incarnation.ts";
import { RecordBook } from "../crash/record-book.ts";
import { runTcpClient } from "../crash/tcp-client.ts";
import { within } from "../support/deadline.ts";
import { scrape } from "../support/metrics.ts";
import type { RunningProgram } from "../support/running-program.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { openSqlite } from "../support/sqlite-reader.ts";
import { holdDatabase } from "./held-database.ts";
import { layOut, type Place } from "./place.ts";
import { readiness } from "./session.ts";

const LIMIT = { timeout: 60_000 };

/** Acknowledgements that are given while the file is locked. */
const acknowledgements = 2_000;
const deadlineMs = 30_000;

function impatient(document: Document): void {
  document.setIn(["sinks", "store", "busyTimeout"], "50ms");
}

async function rowCount({ databasePath }: Place): Promise<number> {
  const database = await openSqlite(databasePath);
  try {
    return Number(database.prepare("SELECT count(*) AS count FROM readings").all()[0]?.["count"]);
  } finally {
    database.close();
  }
}

test(
  "sqlite: while another process holds the file acknowledgements go on, and every row arrives once it is free",
  LIMIT,
  async (context) => {
    const place = await layOut(context, { change: impatient });
    const program = startGateway(place);
    const book = new RecordBook();
    const ended = new AbortController();
    let holder: RunningProgram | undefined;
    try {
      await listening(place, program);
      holder = await holdDatabase(place);
      const options = { port: place.tcpPort, random: createSeededRandom(1), book };
      const client = runTcpClient({ ...options, name: "t", stop: ended.signal });
      await whileAlive(program, "acknowledgements", book.acknowledgedMore(acknowledgements));
      equal(await rowCount(place), 0);
      ok(
        (await scrape(place.consolePort)).sum("holdfast_pipeline_lag_records") >= acknowledgements,
      );
      await holder.kill();
      await whileAlive(program, "more acknowledgements", book.acknowledgedMore(1));
      ended.abort();
      await within(deadlineMs, "end of the client", client);
      await processAndStop(place, program);
    } finally {
      ended.abort();
      await holder?.kill();
      await program.kill();
    }
    const stored = await countStored(place, book);
    deepEqual(stored.problems, []);
    equal(stored.acknowledged, stored.sent);
  },
);

test(
  "sqlite: a file that is locked at the start holds back its pipeline and no acknowledgement",
  LIMIT,
  async (context) => {
    const place = await layOut(context, { change: impatient });
    const holder = await holdDatabase(place);
    const program = startGateway(place);
    const book = new RecordBook();
    const ended = new AbortController();
    try {
      await listening(place, program);
      await whileAlive(program, "notice", program.line(/^readings is not running yet: /));
      const options = { port: place.tcpPort, random: createSeededRandom(1), book };
      const client = runTcpClient({ ...options, name: "t", stop: ended.signal });
      await whileAlive(program, "acknowledgements", book.acknowledgedMore(acknowledgements));
      equal((await readiness(place)).status, 503);
      await holder.kill();
      ended.abort();
      await within(deadlineMs, "end of the client", client);
      await processAndStop(place, program);
    } finally {
      ended.abort();
      await holder.kill();
      await program.kill();
    }
    const stored = await countStored(place, book);
    deepEqual(stored.problems, []);
    equal(stored.acknowledged, stored.sent);
  },
);
