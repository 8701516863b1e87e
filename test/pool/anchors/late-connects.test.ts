import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import genericPool from "generic-pool";
import PgPool from "pg-pool";
import { Pool as TarnPool } from "tarn";
import { ours } from "./ours.ts";
import { factoryOf, fateOf, pass, pgClientOf, withMachineTime } from "./peer.ts";

const CONNECTIONS_MAX = 2;

const BEYOND = "fault: connects that take long go beyond the pool's limit";

test(`${BEYOND}: tarn has it`, () =>
  withMachineTime(async (peer) => {
    const pool = new TarnPool({
      ...factoryOf(peer),
      min: 0,
      max: CONNECTIONS_MAX,
      createTimeoutMillis: 1_000,
      acquireTimeoutMillis: 120_000,
    });
    peer.mode = "silent";
    const callers = [pool.acquire().promise, pool.acquire().promise];
    await pass(60_000, 100);
    // Two more every 1.2 s, from the start to the 60th second, and all of them still on their way.
    equal(peer.mostUnanswered, 51 * CONNECTIONS_MAX);
    peer.mode = "up";
    peer.answer();
    await pass(2_000, 100);
    await Promise.all(callers);
    equal(peer.open.size, CONNECTIONS_MAX);
  }));

const HUNG = "fault: a connect that hangs holds its place for good";

test(`${HUNG}: generic-pool has it`, () =>
  withMachineTime(async (peer) => {
    const pool = genericPool.createPool(factoryOf(peer), { max: CONNECTIONS_MAX });
    peer.mode = "silent";
    const callers = [pool.acquire(), pool.acquire(), pool.acquire()];
    await pass(60_000);
    peer.mode = "up";
    await pass(3_600_000);
    const fates = await Promise.all(callers.map(fateOf));
    deepEqual([fates, peer.attemptCount], [["pending", "pending", "pending"], CONNECTIONS_MAX]);
  }));

// node-postgres#2262 and #3543: the deadline is not looked at when the connect comes through after it.
const LATE = "fault: a caller is served long after its deadline";

test(`${LATE}: pg-pool has it`, () =>
  withMachineTime(async (peer) => {
    const pool = new PgPool({
      Client: pgClientOf(peer),
      max: CONNECTIONS_MAX,
      connectionTimeoutMillis: 1_000,
    });
    peer.mode = "silent";
    const caller = pool.connect();
    await pass(60_000);
    equal(await fateOf(caller), "pending");
    peer.answer();
    equal(await fateOf(caller), "resolved");
    // The client was ended at its deadline, and is the pool's nevertheless.
    deepEqual([pool.totalCount, peer.open.size], [1, 1]);
  }));

test(`${BEYOND}: ours has not`, async () => {
  const { pool, peer, clock } = ours({
    connectionsMax: CONNECTIONS_MAX,
    connectDeadlineMs: 1_000,
    acquireDeadlineMs: 120_000,
  });
  peer.mode = "silent";
  const callers = [pool.acquire(), pool.acquire()];
  await clock.advance(60_000);
  deepEqual([peer.mostUnanswered <= CONNECTIONS_MAX, peer.open.size], [true, 0]);
  peer.mode = "up";
  peer.answer();
  await clock.advance(6_000);
  for (const caller of callers) (await caller).release();
  ok(peer.open.size <= CONNECTIONS_MAX);
  await pool.close();
});

test(`${BEYOND}: with a connector that cannot give up, ours stops at 16 and takes or ends what comes late`, async () => {
  const { pool, peer, clock } = ours(
    { connectionsMax: CONNECTIONS_MAX, connectDeadlineMs: 1_000, acquireDeadlineMs: 600_000 },
    { connect: () => peer.connect() },
  );
  peer.mode = "silent";
  const callers = [pool.acquire(), pool.acquire()];
  await clock.advance(300_000);
  deepEqual([peer.mostUnanswered, pool.stats().endpoints[0]?.lateConnects], [16, 16]);
  peer.mode = "up";
  peer.answer();
  await clock.settle();
  equal(peer.open.size, CONNECTIONS_MAX);
  for (const caller of callers) (await caller).release();
  deepEqual([await fateOf(pool.close()), peer.open.size], ["resolved", 0]);
});

test(`${HUNG}: ours has not`, async () => {
  const { pool, peer, clock } = ours({
    connectionsMax: CONNECTIONS_MAX,
    acquireDeadlineMs: 120_000,
  });
  peer.mode = "silent";
  const callers = [pool.acquire(), pool.acquire(), pool.acquire()];
  await clock.advance(60_000);
  peer.mode = "up";
  const served = callers.map(async (caller) => (await caller).release());
  await clock.advance(10_000);
  await Promise.all(served);
  await pool.close();
});

test(`${LATE}: ours has not, and keeps the connection for the next one`, async () => {
  const { pool, peer, clock } = ours(
    { connectionsMax: CONNECTIONS_MAX, acquireDeadlineMs: 1_000, connectDeadlineMs: 5_000 },
    { connect: () => peer.connect() },
  );
  peer.mode = "silent";
  const refused = pool.acquire().catch((error: unknown) => Reflect.get(Object(error), "code"));
  await clock.advance(1_000);
  equal(await refused, "POOL_TIMEOUT");
  await clock.advance(5_000);
  peer.answer();
  await clock.settle();
  deepEqual([pool.stats().idle, pool.stats().total, peer.open.size], [1, 1, 1]);
  (await pool.acquire()).release();
  equal(peer.attemptCount, 1);
  await pool.close();
  equal(peer.open.size, 0);
});
