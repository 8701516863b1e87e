/**
 * Disks that answer EIO, take half of a write or lose a sector, under the real program: what was acknowledged is there
 * afterwards, or is an exact gap that was told.
 */
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { test, type TestContext } from "node:test";
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
import type { RunningProgram } from "../support/running-program.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { type DiskFault, type DiskFaults, diskFaults } from "./disk-faults.ts";
import { holdDatabase } from "./held-database.ts";
import { layOut, type Place } from "./place.ts";

const LIMIT = { timeout: 120_000 };
const clientDeadlineMs = 30_000;
/** Records of this length use up a segment of 4 MiB with a few hundred of them. */
const filler = 20_000;

/** A program whose disk can be made to fail. */
interface Load {
  readonly place: Place;
  readonly program: RunningProgram;
  readonly faults: DiskFaults;
  readonly book: RecordBook;
  /** Resolves when this many more records are acknowledged. */
  readonly acknowledged: (more: number) => Promise<void>;
  /** Starts a client: the first, or one behind another whose connection broke. */
  readonly send: () => void;
}

/** Runs a gateway and a client while `work` does something to the disk; then counts what the sinks have. */
async function underLoad(
  context: TestContext,
  work: (load: Load) => Promise<void>,
): Promise<{ readonly place: Place; readonly book: RecordBook } | undefined> {
  const faults = await diskFaults(context);
  if (faults === undefined) return undefined;
  const place = await layOut(context);
  await faults.set();
  const program = startGateway(place, faults.environment);
  const book = new RecordBook();
  const ended = new AbortController();
  const clients: Promise<void>[] = [];
  const send = (): void => {
    const name = `t${clients.length}`;
    const random = createSeededRandom(clients.length + 1);
    const options = { port: place.tcpPort, random, book, name, filler, stop: ended.signal };
    clients.push(runTcpClient(options));
  };
  try {
    await listening(place, program);
    const acknowledged = (more: number): Promise<void> =>
      whileAlive(program, "acknowledgements", book.acknowledgedMore(more));
    await work({ place, program, faults, book, acknowledged, send });
    ended.abort();
    await within(clientDeadlineMs, "end of the clients", Promise.all(clients));
    await processAndStop(place, program);
    return { place, book };
  } finally {
    ended.abort();
    await program.kill();
  }
}

const MIB = 1024 * 1024;
/** Records that are longer together than a segment. */
const SEGMENT_RECORDS = 300;
const SEGMENTS = "*/data/log/seg-*";

const LEDGER = "*/data/ledger/*";
const once = { count: 1 } as const;

const RESCUED: readonly (readonly [string, readonly DiskFault[]])[] = [
  ["a write that fails", [{ call: "write", effect: "eio", path: SEGMENTS, ...once }]],
  [
    "a write that is done and reported as failed",
    [{ call: "write", effect: "late", path: SEGMENTS, ...once }],
  ],
  [
    "half of a write",
    [
      { call: "write", effect: "short", path: SEGMENTS, ...once },
      { call: "write", effect: "eio", path: SEGMENTS, ...once },
    ],
  ],
  [
    "a directory that cannot be synced",
    [{ call: "sync", effect: "eio", path: "*/data/log", ...once }],
  ],
  ["a write to the ledger that fails", [{ call: "write", effect: "eio", path: LEDGER, ...once }]],
  [
    "a write to the ledger that is done and reported as failed",
    [{ call: "write", effect: "late", path: LEDGER, ...once }],
  ],
  [
    "half of a write to the ledger",
    [
      { call: "write", effect: "short", path: LEDGER, ...once },
      { call: "write", effect: "eio", path: LEDGER, ...once },
    ],
  ],
];

for (const [what, failing] of RESCUED) {
  test(
    `disk errors: ${what} is answered with another file, and nobody notices`,
    LIMIT,
    async (context) => {
      const done = await underLoad(context, async ({ acknowledged, faults, program, send }) => {
        send();
        await acknowledged(200);
        await faults.set(...failing);
        await faults.haveStruck(failing.length);
        await acknowledged(500);
        ok(!/"event":"(log-failed|unit-failed|unit-parked)"/.test(program.output), program.output);
      });
      if (done === undefined) return;
      const stored = await countStored(done.place, done.book);
      deepEqual(stored.problems, []);
      // No connection broke, so all that was sent is acknowledged, and stored once.
      equal(stored.acknowledged, stored.sent);
    },
  );
}

async function post({ httpPort }: Place, record: string): Promise<number | "broken"> {
  const answer = fetch(`http://127.0.0.1:${httpPort}/records`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: record,
    signal: AbortSignal.timeout(clientDeadlineMs),
  });
  return answer.then(
    ({ status }) => status,
    () => "broken" as const,
  );
}

test(
  "disk errors: a sector of a sealed segment that cannot be read is one exact gap, and the rest arrives",
  LIMIT,
  async (context) => {
    let gapRecords = 0;
    let holder: RunningProgram | undefined;
    const bytes = [2 * MIB, 2 * MIB + 4096] as const;
    const path = "*/data/log/seg-0000000000000000-*";
    const done = await underLoad(
      context,
      async ({ acknowledged, faults, place, program, send }) => {
        holder = await holdDatabase(place);
        await faults.set({ call: "read", effect: "eio", path, bytes });
        send();
        // More than the first segment takes: it is sealed before its end is read.
        await acknowledged(SEGMENT_RECORDS);
        await holder.kill();
        const told = await within(
          clientDeadlineMs,
          "gap",
          program.line(/"event":"log-gap".*"reason":"unreadable"/),
        );
        const { from, to } = JSON.parse(told) as { from: number; to: number };
        gapRecords = to - from;
        await acknowledged(100);
      },
    );
    await holder?.kill();
    if (done === undefined) return;
    const stored = await countStored(done.place, done.book);
    equal(stored.acknowledged, stored.sent);
    ok(gapRecords > 0);
    equal(stored.inTable, stored.sent - gapRecords);
    equal(stored.inParts, stored.sent - gapRecords);
  },
);

const BROKEN: readonly (readonly [string, DiskFault])[] = [
  ["every write to the log fails", { call: "write", effect: "eio", path: "*/data/log/*" }],
  [
    "every write to the log is done and reported as failed",
    { call: "write", effect: "late", path: "*/data/log/*" },
  ],
  ["every write to the ledger fails", { call: "write", effect: "eio", path: LEDGER }],
  ["no file of the log can be made durable", { call: "sync", effect: "eio", path: "*/data/log*" }],
];

for (const [what, fault] of BROKEN) {
  test(
    `disk errors: while ${what} requests are refused, and afterwards it goes on by itself`,
    LIMIT,
    async (context) => {
      const done = await underLoad(context, async (load) => {
        const { acknowledged, book, faults, place, program, send } = load;
        send();
        await acknowledged(200);
        await faults.set(fault);
        await whileAlive(program, "failure", program.line(/"event":"unit-failed".*"unit":"log"/));
        notEqual(await post(place, book.write("refused", 0)), 200);
        await faults.set();
        const restarted = program.line(/"event":"unit-restarted".*"unit":"log"/);
        await whileAlive(program, "restart of the log", restarted);
        send();
        await acknowledged(200);
      });
      if (done === undefined) return;
      deepEqual((await countStored(done.place, done.book)).problems, []);
    },
  );
}
