import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import PgPool from "pg-pool";
import { ours } from "./ours.ts";
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

test(`${FAULT}: ours has not`, async () => {
  const { pool, peer, clock } = ours({
    connectionsMax: CONNECTIONS_MAX + 1,
    connectionsMin: CONNECTIONS_MAX,
    lifetimeMs: LIFETIME_MS,
  });
  await clock.settle();
  equal(peer.open.size, CONNECTIONS_MAX);
  let least: number = CONNECTIONS_MAX;
  for (let atMs = 0; atMs <= LIFETIME_MS * 1.1; atMs += 1_000) {
    await clock.advance(1_000);
    least = Math.min(least, peer.open.size);
  }
  // Spread over 10 % to both sides, one by one, each with its replacement there before it.
  const first = peer.endedMs.slice(0, CONNECTIONS_MAX);
  deepEqual(
    [first.length, new Set(first).size, least],
    [CONNECTIONS_MAX, CONNECTIONS_MAX, CONNECTIONS_MAX],
  );
  const [earliest, latest] = [Math.min(...first), Math.max(...first)];
  ok(earliest >= LIFETIME_MS * 0.9 && latest <= LIFETIME_MS * 1.1 + 1_000, String(first));
  ok(latest - earliest > LIFETIME_MS * 0.05, String(first));
  await pool.close();
});
