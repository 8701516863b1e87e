import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import genericPool from "generic-pool";
import PgPool from "pg-pool";
import { Pool as TarnPool } from "tarn";
import { ours } from "./ours.ts";
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

for (const [fault, callerCount] of [
  [HOT, 1],
  [STEADY, CONNECTIONS_MAX],
  [EACH, 500],
] as const)
  test(`${fault}: ours has not`, async () => {
    const { pool, peer, clock } = ours({
      connectionsMax: CONNECTIONS_MAX,
      acquireDeadlineMs: 10 * OUTAGE_MS,
    });
    peer.mode = "refusing";
    const callers = Array.from({ length: callerCount }, () => pool.acquire());
    await clock.settle();
    // The second failure in a row brings the endpoint down, and from then on there are probes, one at a time.
    deepEqual(peer.attemptsMs, [0, 0]);
    await clock.advance(OUTAGE_MS);
    const pausesMs = peer.attemptsMs.map((atMs, index) => atMs - (peer.attemptsMs[index - 1] ?? 0));
    ok(peer.attemptCount <= 25, `${peer.attemptCount} connects`);
    ok(Math.min(...pausesMs.slice(2)) >= 125, String(pausesMs));
    ok(Math.min(...pausesMs.slice(8)) >= 2_500, String(pausesMs));
    ok(new Set(pausesMs.slice(8)).size > 5, "all alike");
    peer.mode = "up";
    const served = callers.map(async (caller) => (await caller).release());
    await clock.advance(6_000);
    await Promise.all(served);
    ok(peer.open.size <= CONNECTIONS_MAX);
    await pool.close();
  });

test(`${EACH}: ours has not when connects hang: one at a time`, async () => {
  const { pool, peer, clock } = ours({ connectionsMax: CONNECTIONS_MAX });
  peer.mode = "silent";
  const callers: Promise<unknown>[] = [];
  for (let atMs = 0; atMs < OUTAGE_MS; atMs += 100) {
    callers.push(pool.acquire().catch(String));
    await clock.advance(100);
  }
  ok(peer.attemptCount > 3, String(peer.attemptCount));
  equal(peer.mostUnanswered, 1);
  await pool.close();
  await Promise.all(callers);
});
