import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import genericPool from "generic-pool";
import PgPool from "pg-pool";
import { Pool as TarnPool } from "tarn";
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
