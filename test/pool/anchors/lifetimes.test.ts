import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import PgPool from "pg-pool";
import { pass, pgClientOf, withMachineTime } from "./peer.ts";

const FAULT = "fault: connections that were made together end together";
const CONNECTIONS_MAX = 10;
const LIFETIME_MS = 1_800_000;

test(`${FAULT}: pg-pool has it`, () =>
  withMachineTime(async (peer) => {
    const pool = new PgPool({
      Client: pgClientOf(peer),
      max: CONNECTIONS_MAX,
      idleTimeoutMillis: 0,
      maxLifetimeSeconds: LIFETIME_MS / 1_000,
    });
    const clients = await Promise.all(
      Array.from({ length: CONNECTIONS_MAX }, () => pool.connect()),
    );
    for (const client of clients) client.release();
    await pass(LIFETIME_MS - 1_000);
    equal(pool.idleCount, CONNECTIONS_MAX);
    await pass(1_000);
    deepEqual([...new Set(peer.endedMs)], [LIFETIME_MS]);
    deepEqual([peer.endedMs.length, peer.open.size], [CONNECTIONS_MAX, 0]);
  }));
