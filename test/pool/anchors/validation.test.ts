import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { Pool as TarnPool } from "tarn";
import { runToEnd } from "../../support/run-to-end.ts";
import { ours } from "./ours.ts";
import { factoryOf, pass, type PeerConnection, withMachineTime } from "./peer.ts";

const LOST = "fault: a check that rejects costs a place in the pool for good";

/** In a process of its own, because the rejection that nobody handles ends it. */
const REJECTING_CHECK = `
import genericPool from "generic-pool";
let connects = 0;
const pool = genericPool.createPool(
  {
    create: async () => ({ id: ++connects }),
    destroy: async () => undefined,
    validate: async () => { throw new Error("the check broke"); },
  },
  { max: 1, testOnBorrow: true },
);
if (process.argv.includes("handled")) process.on("unhandledRejection", () => undefined);
pool.acquire().then(() => console.log("served"));
for (let turns = 0; turns < 100; turns += 1) await new Promise(setImmediate);
const { size, available, borrowed, pending } = pool;
console.log(JSON.stringify({ connects, size, available, borrowed, pending }));
`;

/** Runs it with this argument. */
function rejectingCheck(argument: string): ReturnType<typeof runToEnd> {
  return runToEnd(process.execPath, ["--input-type=module", "-e", REJECTING_CHECK, argument]);
}

test(`${LOST}: generic-pool has it, and the process ends by it`, async () => {
  const ended = await rejectingCheck("unhandled");
  equal(ended.code, 1);
  match(ended.output, /the check broke/);
  const lost = await rejectingCheck("handled");
  deepEqual(lost, {
    code: 0,
    output: `${JSON.stringify({ connects: 1, size: 1, available: 0, borrowed: 0, pending: 1 })}\n`,
  });
});

const EACH_TIME = "fault: every borrowing costs a round trip";

test(`${EACH_TIME}: tarn has it`, () =>
  withMachineTime(async (peer) => {
    let checkCount = 0;
    const pool = new TarnPool({
      ...factoryOf(peer),
      min: 0,
      max: 1,
      validate: () => (checkCount += 1) > 0,
    });
    for (let times = 0; times < 100; times += 1) pool.release(await pool.acquire().promise);
    equal(checkCount, 100);
    await pass(1_000);
  }));

test(`${LOST}: ours has not`, async () => {
  const broken: PeerConnection[] = [];
  const { pool, peer, clock } = ours(
    { connectionsMax: 1 },
    {
      check: (connection) =>
        connection.id === 1
          ? (broken.push(connection), Promise.reject(new Error("the check broke")))
          : Promise.resolve(),
    },
  );
  (await pool.acquire()).release();
  await clock.advance(1_000);
  const served = pool.acquire();
  await clock.advance(5_000);
  const lease = await served;
  deepEqual([broken.length, lease.connection.id, peer.endedMs], [1, 2, [1_000]]);
  deepEqual([pool.stats().total, pool.stats().totals.checksFailed], [1, 1]);
  lease.release();
  await pool.close();
});

test(`${EACH_TIME}: ours has not while the connection is in use, and asks after a pause`, async () => {
  const { pool, peer, clock } = ours({ connectionsMax: 1 });
  for (let times = 0; times < 100; times += 1) (await pool.acquire()).release();
  equal(peer.checkCount, 0);
  await clock.advance(501);
  (await pool.acquire()).release();
  deepEqual([peer.checkCount, peer.attemptCount], [1, 1]);
  await pool.close();
});
