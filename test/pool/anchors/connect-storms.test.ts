import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import genericPool from "generic-pool";
import PgPool from "pg-pool";
import { Pool as TarnPool } from "tarn";
import { factoryOf, pass, Peer, pgClientOf, withMachineTime } from "./peer.ts";

const CONNECTIONS_MAX = 20;
const OUTAGE_MS = 60_000;

const HOT = "fault: failed connects are repeated without a pause";

test(`${HOT}: generic-pool has it`, async () => {
  const limit = 20_000;
  const peer = new Peer(() => performance.now());
  const fired: string[] = [];
  const seen = { timers: -1 };
  const pool = genericPool.createPool(
    {
      create: () => {
        // What the loop could do meanwhile is looked at from inside; at the limit the peer is up, or nothing would end.
        if (peer.attemptCount === limit) {
          seen.timers = fired.length;
          peer.mode = "up";
        }
        return peer.connect();
      },
      destroy: (connection) => peer.end(connection),
    },
    { max: 1 },
  );
  peer.mode = "refusing";
  const acquired = pool.acquire();
  const timer = setTimeout(() => fired.push("timer"), 0);
  const immediate = setImmediate(() => fired.push("immediate"));
  await acquired;
  clearTimeout(timer);
  clearImmediate(immediate);
  deepEqual([peer.attemptCount, seen.timers], [limit + 1, 0]);
});

const STEADY = "fault: the pace of connects does not slow down, and grows with the pool";

test(`${STEADY}: tarn has it`, () =>
  withMachineTime(async (peer) => {
    const pool = new TarnPool({
      ...factoryOf(peer),
      min: 0,
      max: CONNECTIONS_MAX,
      acquireTimeoutMillis: 10 * OUTAGE_MS,
    });
    peer.mode = "refusing";
    const callers = Array.from({ length: CONNECTIONS_MAX }, () => pool.acquire().promise);
    await pass(OUTAGE_MS, 50);
    // Every 200 ms, for each of the callers, to the end.
    const lastSecond = peer.attemptsMs.filter((atMs) => atMs > OUTAGE_MS - 1_000);
    ok(peer.attemptCount >= (CONNECTIONS_MAX * OUTAGE_MS) / 250, String(peer.attemptCount));
    ok(lastSecond.length >= CONNECTIONS_MAX * 4, String(lastSecond.length));
    ok(new Set(lastSecond).size <= 5, "all of them in the same millisecond");
    peer.mode = "up";
    await pass(1_000, 50);
    await Promise.all(callers);
  }));

const EACH = "fault: every caller drives a connect of its own";

test(`${EACH}: pg-pool has it`, () =>
  withMachineTime(async (peer) => {
    const pool = new PgPool({ Client: pgClientOf(peer), max: CONNECTIONS_MAX });
    peer.mode = "refusing";
    const callers = Array.from({ length: 500 }, () => pool.connect().catch(String));
    const answers = await Promise.all(callers);
    deepEqual([...new Set(answers)], ["Error: connect failed"]);
    // No time has passed.
    deepEqual([peer.attemptCount, [...new Set(peer.attemptsMs)]], [500, [0]]);
  }));
