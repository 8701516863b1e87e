import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { acquireMany, endings, releaseAll } from "../support/pool-callers.ts";
import { pooled } from "../support/scripted-peer.ts";

test("7 failover: one endpoint that does not answer does not block the others", async () => {
  const scene = pooled({ addresses: ["a", "b"], connectDeadlineMs: 1_000 });
  const { pool, peer, clock } = scene;
  peer.set("black-hole", "a");
  const waiting = acquireMany(scene, 5);
  await clock.advance(2_000);
  deepEqual(
    waiting.map(({ value }) => value?.connection.address),
    Array(5).fill("b"),
  );
  deepEqual(
    pool.stats().endpoints.map(({ status }) => status),
    ["down", "up"],
  );
  releaseAll(waiting);
  await pool.close();
});

test("7 failover: when the preferred endpoint is back, connections move to it one by one", async () => {
  const scene = pooled({ addresses: ["a", "b"], connectionsMax: 6 });
  const { pool, peer, clock, events } = scene;
  peer.set("refuse", "a");
  const away = acquireMany(scene, 4);
  await clock.advance(100);
  releaseAll(away);
  equal(pool.stats().endpoints[1]?.connections, 4);
  peer.set({ kind: "slow", ms: 20 }, "a");
  await clock.advance(1_000);
  (await pool.acquire()).release();
  let inFlightMax = 0;
  for (let step = 0; step < 100; step++) {
    inFlightMax = Math.max(inFlightMax, peer.inFlight);
    await clock.advance(10);
  }
  equal(inFlightMax, 1);
  deepEqual(
    pool.stats().endpoints.map(({ connections }) => connections > 0),
    [true, false],
  );
  equal(endings(events).filter((why) => why === "retired").length, 4);
  // The other one is left alone.
  const toB = peer.connectsTo("b");
  await clock.advance(60_000);
  equal(peer.connectsTo("b"), toB);
  await pool.close();
});

test("7 failover: with every place in use elsewhere, one is kept for the preferred endpoint's probe", async () => {
  const scene = pooled({ addresses: ["a", "b"], connectionsMax: 3, leakAfterMs: Infinity });
  const { pool, peer, clock } = scene;
  peer.set("refuse", "a");
  const all = acquireMany(scene, 3);
  await clock.advance(20_000);
  deepEqual(
    all.map(({ status }) => status),
    ["done", "done", "waiting"],
  );
  peer.set("accept", "a");
  await clock.advance(5_000);
  equal(all[2]?.value?.connection.address, "a");
  releaseAll(all);
  await pool.close();
});

test("pg-pool: a server that takes no more connections is not asked at every return of those it has", async () => {
  const scene = pooled({ connectionsMax: 4 });
  const { pool, peer, clock } = scene;
  const two = acquireMany(scene, 2);
  await clock.settle();
  peer.set("refuse");
  releaseAll(two);
  for (let round = 0; round < 500; round++) {
    const three = acquireMany(scene, 3);
    await clock.advance(5);
    releaseAll(three);
    await clock.advance(5);
    releaseAll(three);
    for (const { value } of three) ok(value?.connection.destroyed !== 1);
  }
  ok(peer.connects.length <= 10, `${peer.connects.length} connects in 5 s`);
  equal(pool.stats().totals.leases, 1_502);
  await pool.close();
});

test("governor: what was made before an outage does not prolong it when it fails", async () => {
  const scene = pooled({ connectionsMax: 8 });
  const { pool, peer, clock } = scene;
  const six = acquireMany(scene, 6);
  await clock.settle();
  for (const { value } of six) value?.pending();
  const [first, second, ...rest] = peer.open();
  peer.set("refuse");
  await clock.advance(9_999);
  first?.broke(new Error("one"));
  // The deadline of all six: the first two bring the endpoint down, the others tell nothing new.
  await clock.advance(1);
  const { status, failures, nextProbeInMs } = pool.stats().endpoints[0] ?? {};
  deepEqual([status, failures], ["down", 2]);
  ok((nextProbeInMs ?? Infinity) <= 250, `probe in ${nextProbeInMs} ms`);
  ok([second, ...rest].every((connection) => connection?.destroyed === 1));
  await pool.close();
});

test("governor: a connection that has proved itself may end young without harm to its endpoint", async () => {
  const { pool, clock } = pooled();
  for (let round = 0; round < 10; round++) {
    const lease = await pool.acquire();
    lease.release();
    lease.connection.broke(new Error("one request per connection"));
    await clock.advance(10);
  }
  equal(pool.stats().endpoints[0]?.status, "up");
  await pool.close();
});

test("governor: connects that ignore their signal are let out up to a limit, and the pool goes on when they end", async () => {
  const scene = pooled({ connectDeadlineMs: 100, acquireDeadlineMs: 3_600_000 });
  const { pool, peer, clock } = scene;
  peer.set({ kind: "late", ms: 1_000_000 });
  const [waiting] = acquireMany(scene, 1);
  await clock.advance(500_000);
  equal(peer.connects.length, 16);
  equal(pool.stats().endpoints[0]?.lateConnects, 16);
  peer.set("accept");
  await clock.advance(520_000);
  equal(waiting?.status, "done");
  waiting.value?.release();
  const closed = pool.close();
  await clock.advance(1_000_000);
  deepEqual((await closed).notReturned, []);
  equal(peer.open().length, 0);
});
