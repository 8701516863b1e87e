/**
 * What other pools got wrong, each as a test, numbered as in docs/pools.md: 1 to 4.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { watchGarbage } from "../../src/pool/forgotten.ts";
import { acquireMany, endings, leaks, releaseAll } from "../support/pool-callers.ts";
import { pooled, type PoolScene, ScriptedPeer } from "../support/scripted-peer.ts";
import { watch } from "../support/watched.ts";

/** The most connects that were in flight at once, sampled whenever time stops. */
async function advanceWatching({ peer, clock }: PoolScene, ms: number): Promise<readonly number[]> {
  const seen: number[] = [];
  for (let passedMs = 0; passedMs < ms; passedMs += 10) {
    await clock.advance(10);
    if (seen.at(-1) !== peer.inFlight) seen.push(peer.inFlight);
  }
  return seen;
}

test("1 exhaustion: a lifetime that ends under load takes no connection away before its replacement is there", async () => {
  const scene = pooled({ connectionsMax: 4, connectionsMin: 3, lifetimeMs: 1_000 });
  const { pool, peer, clock, events } = scene;
  peer.set({ kind: "slow", ms: 50 });
  const readyMin: number[] = [];
  await clock.advance(300);
  for (let round = 0; round < 100; round++) {
    const used = acquireMany(scene, 2);
    await clock.advance(20);
    const { idle, leased, checking } = pool.stats();
    readyMin.push(idle + leased + checking);
    deepEqual(
      used.map(({ status }) => status),
      ["done", "done"],
    );
    releaseAll(used);
  }
  equal(Math.min(...readyMin), 3);
  ok(endings(events).filter((why) => why === "retired").length >= 3);
  await pool.close();
});

test("1 exhaustion: at its limit of connections the pool still replaces them, one after the other", async () => {
  const scene = pooled({ connectionsMax: 2, lifetimeMs: 1_000 });
  const { pool, clock, events } = scene;
  for (let round = 0; round < 200; round++) {
    const used = acquireMany(scene, 2);
    await clock.advance(10);
    deepEqual(
      used.map(({ status }) => status),
      ["done", "done"],
    );
    releaseAll(used);
  }
  ok(endings(events).filter((why) => why === "retired").length >= 2);
  await pool.close();
});

test("2 leaks: a connect that ends after its deadline is pooled if there is a place, else destroyed, and counted once", async () => {
  const scene = pooled({ connectDeadlineMs: 100, connectionsMax: 1 });
  const { pool, peer, clock, events } = scene;
  peer.set({ kind: "late", ms: 150 });
  const [waiting] = acquireMany(scene, 1);
  await clock.advance(120);
  equal(pool.stats().endpoints[0]?.lateConnects, 1);
  // The second connect, begun at the deadline of the first, has the only place.
  await clock.advance(40);
  deepEqual([waiting?.status, peer.connections[0]?.destroyed], ["waiting", 1]);
  // Its own deadline has freed the place when it comes.
  await clock.advance(90);
  equal(waiting?.status, "done");
  deepEqual(
    events.flatMap((event) => (event.kind === "connected" ? [event.isLate] : [])),
    [true],
  );
  await clock.advance(1_000);
  deepEqual([peer.open().length, pool.stats().total], [1, 1]);
  equal(pool.stats().endpoints[0]?.lateConnects, 0);
  waiting.value?.release();
  await pool.close();
});

test("2 leaks: a connection whose callers have left is pooled; one that comes after the end is destroyed", async () => {
  const { pool, peer, clock } = pooled({ connectDeadlineMs: 100 });
  peer.set({ kind: "slow", ms: 50 });
  const abort = new AbortController();
  const left = watch(pool.acquire({ signal: abort.signal }));
  abort.abort(new Error("left"));
  await clock.advance(50);
  equal(left.status, "failed");
  equal(pool.stats().idle, 1);
  peer.set({ kind: "late", ms: 5_000 });
  const held = await pool.acquire();
  const more = watch(pool.acquire());
  const closed = pool.close();
  held.release();
  deepEqual(await closed, { notReturned: [], lateConnects: 1 });
  equal(more.status, "failed");
  await clock.advance(5_000);
  equal(peer.connections.length, 2);
  equal(peer.open().length, 0);
});

test("2 leaks: a lease held for long is reported once, with its place in the code", async () => {
  const { pool, clock, events } = pooled({ leakAfterMs: 1_000 });
  const lease = await pool.acquire();
  await clock.advance(999);
  deepEqual(leaks(events), []);
  await clock.advance(5_000);
  const [leak, ...more] = leaks(events);
  deepEqual(more, []);
  ok(leak?.kind === "leak");
  deepEqual([leak.heldMs, leak.isReclaimed], [1_000, false]);
  match(leak.site, /failure-modes\.test\.[jt]s:\d+/);
  lease.release();
  equal(pool.stats().totals.leaks, 1);
  await pool.close();
});

test("2 leaks: a lease that nobody holds any more is named, and its place is free again", async () => {
  const tokens = new Map<object, object>();
  let reclaim: (token: never) => void = () => undefined;
  const { pool, peer, clock, events } = pooled({
    connectionsMax: 1,
    forgotten: (found) => {
      reclaim = found;
      return {
        watch: (lease, token) => void tokens.set(lease, token),
        unwatch: () => undefined,
      };
    },
  });
  const forgotten = await pool.acquire();
  const next = watch(pool.acquire());
  reclaim(tokens.get(forgotten) as never);
  await clock.settle();
  const [leak] = leaks(events);
  ok(leak?.kind === "leak" && leak.isReclaimed);
  match(leak.site, /failure-modes\.test/);
  equal(peer.connections[0]?.destroyed, 1);
  equal(next.status, "done");
  forgotten.release();
  // Given back before the collector looked: nothing is reclaimed.
  next.value?.release();
  for (const token of tokens.values()) reclaim(token as never);
  equal(pool.stats().idle, 1);
  await pool.close();
});

test("2 leaks: the garbage collector finds a forgotten lease", async () => {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  ok(typeof collect === "function");
  const { pool, events } = pooled({ forgotten: watchGarbage });
  await pool.acquire();
  for (let turn = 0; turn < 1_000 && leaks(events).length === 0; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  equal(leaks(events).length, 1);
  await pool.close();
});

test("3 create-failure loops: an endpoint that refuses is not asked in a hot loop, however many wait", async () => {
  const scene = pooled({ connectionsMax: 100, acquireDeadlineMs: 60_000 });
  const { pool, peer, clock } = scene;
  peer.set("refuse");
  const waiting = acquireMany(scene, 1_000);
  await clock.advance(59_999);
  ok(peer.connects.length <= 25, `${peer.connects.length} connects in a minute`);
  peer.set("accept");
  await clock.advance(1);
  ok(waiting.every(({ status }) => status === "failed"));
  await pool.close();
});

test("3 create-failure loops: none goes on after close", async () => {
  const peer = new ScriptedPeer();
  peer.set("refuse");
  const scene = pooled({ connectionsMin: 2 }, peer);
  const { pool, clock } = scene;
  acquireMany(scene, 3);
  await clock.advance(10_000);
  await pool.close();
  const count = peer.connects.length;
  await clock.advance(3_600_000);
  equal(peer.connects.length, count);
  equal(clock.timerCount, 0);
});

test("3 create-failure loops: a peer that accepts and then kicks is down, however often it accepts", async () => {
  const { pool, peer, clock } = pooled({ connectionsMin: 3 });
  peer.set({ kind: "kick", ms: 1 });
  await clock.advance(60_000);
  ok(peer.connects.length <= 60, `${peer.connects.length} connects in a minute`);
  peer.set("accept");
  await clock.advance(10_000);
  equal(pool.stats().idle, 3);
  await pool.close();
});

test("4 thundering herd: the first connects come 1, 2, 4 at a time, and so do those after an outage", async () => {
  const scene = pooled({ connectionsMax: 20 });
  const { pool, peer, clock } = scene;
  peer.set({ kind: "slow", ms: 100 });
  const first = acquireMany(scene, 20);
  deepEqual(await advanceWatching(scene, 600), [1, 2, 4, 8, 5, 0]);
  for (const connection of peer.open()) connection.broke(new Error("restarted"));
  peer.set("refuse");
  const second = acquireMany(scene, 20);
  await clock.advance(3_000);
  equal(pool.stats().endpoints[0]?.status, "down");
  peer.set({ kind: "slow", ms: 100 });
  const seen = (await advanceWatching(scene, 5_600)).filter((count) => count > 0);
  deepEqual(seen, [1, 2, 4, 8, 4]);
  releaseAll(first);
  releaseAll(second);
  equal(pool.stats().endpoints[0]?.status, "up");
  await pool.close();
});

test("4 thundering herd: lifetimes differ by up to a tenth, and one retirement is under way at a time", async () => {
  const scene = pooled({
    connectionsMax: 30,
    connectionsMin: 20,
    lifetimeMs: 10_000,
    idleTimeoutMs: Infinity,
  });
  const { pool, clock, events } = scene;
  await clock.advance(8_999);
  deepEqual(endings(events), []);
  const perStep: number[] = [];
  for (let step = 0; step < 20; step++) {
    const before = endings(events).length;
    await clock.advance(100.1);
    perStep.push(endings(events).length - before);
  }
  equal(endings(events).length, 20);
  ok(Math.max(...perStep) <= 5, perStep.join(" "));
  await pool.close();
});
