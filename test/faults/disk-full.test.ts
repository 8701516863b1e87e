/**
 * A disk that is really full: a tmpfs so small that the log gets no second segment.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
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
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { layOut, type Place } from "./place.ts";
import { smallDisk } from "./tmpfs.ts";

const LIMIT = { timeout: 60_000 };

const diskMebibytes = 40;
/** What is left for the data directory: ledger, dead letters and one segment of 4 MiB, and not a second one. */
const roomBytes = 10 * 1024 * 1024;
/** Records so long that a segment is used up by a few dozen of them. */
const filler = 100_000;
const clientDeadlineMs = 30_000;

/** Another program's file, which leaves little room. Resolves with its path. */
async function fillUp(directory: string): Promise<string> {
  const path = join(directory, "ballast");
  const { bavail, bsize } = await statfs(directory);
  await writeFile(path, Buffer.alloc(bavail * bsize - roomBytes));
  return path;
}

async function post({ httpPort }: Place, record: string): Promise<Response> {
  return fetch(`http://127.0.0.1:${httpPort}/records`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: record,
  });
}

test(
  "disk full: receivers wait, nothing acknowledged is lost, and it goes on when there is room",
  LIMIT,
  async (context) => {
    const disk = await smallDisk(context, diskMebibytes);
    if (disk === undefined) return;
    const ballast = await fillUp(disk);
    const place = await layOut(context, { dataDirectory: join(disk, "data") });
    const program = startGateway(place);
    const book = new RecordBook();
    const ended = new AbortController();
    try {
      await listening(place, program);
      const options = { port: place.tcpPort, random: createSeededRandom(1), book, filler };
      const client = runTcpClient({ ...options, name: "t", stop: ended.signal });
      await whileAlive(program, "a full disk", program.line(/"event":"log-full"/));

      const refused = await post(place, book.write("refused", 0));
      equal(refused.status, 503);
      match(refused.headers.get("retry-after") ?? "", /^[1-9]\d*$/);
      const waiting = book.acknowledged.size;
      equal((await post(place, book.write("refused-again", 0))).status, 503);
      ok(waiting > 0 && waiting < book.sent.size - 2, `${waiting} of ${book.sent.size}`);
      equal(book.acknowledged.size, waiting, "acknowledged with a full disk");

      await rm(ballast);
      await whileAlive(program, "acknowledgements with room", book.acknowledgedMore(100));
      ended.abort();
      await within(clientDeadlineMs, "end of the client", client);
      equal((await post(place, book.write("accepted", 0))).status, 200);
      book.acknowledge(["accepted"]);
      await processAndStop(place, program);
    } finally {
      ended.abort();
      await program.kill();
    }
    const stored = await countStored(place, book);
    deepEqual(stored.problems, []);
    // The connection that waited was not broken: in the end everything it sent is acknowledged, and what was refused is not.
    equal(stored.acknowledged, stored.sent - 2);
    equal(stored.unacknowledgedStored, 0);
  },
);
