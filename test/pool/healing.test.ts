/**
 * What other pools got wrong, each as a test, numbered as in docs/pools.md: 5 to 10, and single faults of single pools.
 */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { acquireMany, endings, releaseAll } from "../support/pool-callers.ts";
import { pooled, ScriptedPeer } from "../support/scripted-peer.ts";
import { watch } from "../support/watched.ts";

test("5 half-open: a lent connection is destroyed when the oldest of its operations is too old", async () => {
  const { pool, peer, clock } = pooled({ progressDeadlineMs: 1_000 });
  const lease = await pool.acquire();
  const first = lease.pending();
  await clock.advance(600);
  lease.pending();
  first();
  await clock.advance(900);
  equal(lease.signal.aborted, false);
  await clock.advance(100);
  equal(lease.signal.aborted, true);
  match(String(lease.signal.reason), /a: no answer within 1000 ms/);
  equal(peer.open().length, 0);
  lease.release();
  await pool.close();
});

test("5 half-open: in `with` the whole call counts, until it says what does", async () => {
  const { pool, clock } = pooled({ progressDeadlineMs: 1_000 });
  const never = new AbortController().signal;
  const whole = watch(pool.with(() => clock.sleep(1_500, never)));
  const parts = watch(
    pool.with(async (_, lease) => {
      for (let part = 0; part < 3; part++) {
        const answered = lease.pending();
        await clock.sleep(500, never);
        answered();
      }
    }),
  );
  await clock.advance(1_500);
  deepEqual([whole.status, parts.status], ["failed", "done"]);
  await pool.close();
});

test("5 half-open: an idle connection whose peer is gone is found before it is lent", async () => {
  const { pool, peer, clock } = pooled({ checkDeadlineMs: 200 });
  (await pool.acquire()).release();
  const [gone] = peer.connections;
  ok(gone);
  gone.isHalfOpen = true;
  await clock.advance(10_000);
  const waiting = watch(pool.acquire());
  await clock.advance(200);
  equal(waiting.status, "done");
  equal(gone.destroyed, 1);
  equal(waiting.value?.connection.id, 1);
  waiting.value?.release();
  await pool.close();
});

test("6 never recovers: whatever is thrown costs one connection, and no place", async () => {
  const peer = new ScriptedPeer();
  const { pool, clock } = pooled(
    {
      connectionsMax: 2,
      connector: {
        connect: peer.connect,
        check: peer.check,
        destroy: (connection) => {
          peer.destroy(connection);
          throw new Error("destroy");
        },
      },
    },
    peer,
  );
  for (let round = 0; round < 50; round++) {
    const lease = await pool.acquire();
    if (round % 3 === 0) lease.poison("poison");
    else if (round % 3 === 1) lease.connection.broke("broke");
    else await rejects(pool.with(() => Promise.reject(new Error("use"))));
    lease.release();
    await clock.advance(6_000);
  }
  const both = [watch(pool.acquire()), watch(pool.acquire())];
  await clock.settle();
  deepEqual(
    both.map(({ status }) => status),
    ["done", "done"],
  );
  releaseAll(both);
  await pool.close();
});

test("6 never recovers: a listener, a judge of errors and a check that throw change nothing", async () => {
  const peer = new ScriptedPeer();
  const { pool, clock } = pooled(
    {
      connectionsMax: 1,
      onEvent: () => {
        throw new Error("listener");
      },
      connector: {
        connect: peer.connect,
        destroy: peer.destroy,
        isPermanent: () => {
          throw new Error("judge");
        },
        check: () => {
          throw new Error("check");
        },
      },
    },
    peer,
  );
  peer.set("refuse");
  const waiting = watch(pool.acquire());
  await clock.advance(1_000);
  equal(pool.stats().endpoints[0]?.status, "down");
  peer.set("accept");
  // Every new connection of an endpoint that is not trusted is checked: it never comes up, and nothing else breaks.
  await clock.advance(20_000);
  equal(waiting.status, "waiting");
  deepEqual([peer.open().length, pool.stats().total], [0, 0]);
  await pool.close();
  equal(clock.timerCount, 0);
});

test("6 never recovers: a rejecting check loses no place", async () => {
  const { pool, peer, clock } = pooled({ connectionsMax: 1 });
  for (let round = 0; round < 20; round++) {
    const lease = await pool.acquire();
    lease.connection.isSick = true;
    lease.release();
    await clock.advance(40_000);
  }
  equal(pool.stats().totals.checksFailed, 19);
  equal(peer.open().length, 1);
  await pool.close();
});

test("7 stale names: each connect asks the connector anew, and an old address ages out", async () => {
  const { pool, peer, clock } = pooled({
    connectionsMin: 1,
    lifetimeMs: 60_000,
    connectionsMax: 2,
  });
  await clock.advance(600_000);
  ok(peer.connects.length >= 9, `${peer.connects.length} connects in ten lifetimes`);
  await pool.close();
});

test("8 validation storms: what was used lately is not checked, and a check has one flight", async () => {
  const { pool, peer, clock } = pooled({ connectionsMax: 1 });
  for (let round = 0; round < 1_000; round++) (await pool.acquire()).release();
  await clock.advance(500);
  (await pool.acquire()).release();
  equal(peer.checks, 0);
  await clock.advance(501);
  const [one, two] = [watch(pool.acquire()), watch(pool.acquire())];
  await clock.settle();
  equal(peer.checks, 1);
  one.value?.release();
  await clock.settle();
  two.value?.release();
  equal(peer.checks, 1);
  await pool.close();
});

test("8 validation storms: two failed checks make the rest suspect and do not close them", async () => {
  const scene = pooled({ connectionsMax: 6 });
  const { pool, peer, clock, events } = scene;
  const all = acquireMany(scene, 6);
  await clock.settle();
  releaseAll(all);
  await clock.advance(1_000);
  for (const connection of peer.open().slice(0, 2)) connection.isSick = true;
  // The two are the ones that were given back first; the newest are asked first.
  for (const connection of peer.open().slice(4)) connection.isSick = true;
  const two = acquireMany(scene, 2);
  await clock.advance(1);
  equal(endings(events).filter((why) => why === "check-failed").length, 2);
  ok(pool.stats().idle + pool.stats().leased >= 4);
  await clock.advance(1_000);
  deepEqual(
    two.map(({ status }) => status),
    ["done", "done"],
  );
  releaseAll(two);
  await pool.close();
});

test("8 validation storms: what is suspect is checked although it was used a moment ago", async () => {
  const { pool, peer, clock } = pooled({ connectionsMin: 3 });
  await clock.settle();
  const { connection } = await pool.with((lent) => Promise.resolve({ connection: lent }));
  peer.set("black-hole");
  for (const other of peer.open()) if (other !== connection) other.broke(new Error("kicked"));
  equal(pool.stats().endpoints[0]?.status, "down");
  equal(peer.checks, 0);
  await pool.with((lent) => Promise.resolve(equal(lent, connection)));
  equal(peer.checks, 1);
  await pool.with((lent) => Promise.resolve(equal(lent, connection)));
  equal(peer.checks, 1);
  await pool.close();
});

test("9 silent wedge: a pool that serves nobody says so at the deadline of each caller, which is there by default", async () => {
  const scene = pooled();
  const { peer, clock, pool } = scene;
  peer.set("black-hole");
  const [waiting] = acquireMany(scene, 1);
  await clock.advance(30_000);
  equal(waiting?.status, "failed");
  match(String(waiting.error), /a is down, last connect error CONNECTION_STALLED/);
  await pool.close();
});

test("10 healing behind our back: what a connection says after its end has no effect", async () => {
  const { pool, peer } = pooled({ connectionsMax: 1 });
  const lease = await pool.acquire();
  const [old] = peer.connections;
  lease.poison(new Error("poison"));
  const next = await pool.acquire();
  old?.broke(new Error("again"));
  old?.broke(new Error("and again"));
  equal(next.signal.aborted, false);
  equal(pool.stats().leased, 1);
  next.release();
  await pool.close();
});

test("tarn: close ends within its deadline with a lease that is never given back, and names it", async () => {
  const { pool, peer, clock } = pooled();
  const lease = await pool.acquire();
  await clock.advance(250);
  const closed = pool.close(1_000);
  await clock.advance(999);
  equal(pool.stats().status, "closing");
  await clock.advance(1);
  const { notReturned } = await closed;
  equal(notReturned.length, 1);
  equal(notReturned[0]?.heldMs, 1_250);
  match(notReturned[0]?.site ?? "", /healing\.test/);
  equal(peer.open().length, 0);
  equal(lease.signal.aborted, true);
  lease.release();
  equal(clock.timerCount, 0);
});

test("close: a connection that is made in the very moment of the close is destroyed", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const scene = pooled();
    const waiting = acquireMany(scene, 1);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    const closed = scene.pool.close();
    await scene.clock.advance(0);
    releaseAll(waiting);
    await closed;
    await scene.clock.settle();
    equal(scene.peer.open().length, 0, `${turns} turns`);
    equal(scene.clock.timerCount, 0);
  }
});

test("ioredis: a goodbye that hangs is cut off at its deadline, also when the pool closes", async () => {
  const peer = new ScriptedPeer();
  const { pool, clock } = pooled(
    {
      closeDeadlineMs: 300,
      idleTimeoutMs: 1_000,
      connector: {
        connect: peer.connect,
        destroy: peer.destroy,
        close: () => new Promise(() => undefined),
      },
    },
    peer,
  );
  (await pool.acquire()).release();
  await clock.advance(1_000);
  equal(pool.stats().closing, 1);
  await clock.advance(300);
  equal(peer.open().length, 0);
  (await pool.acquire()).release();
  const closed = pool.close(100);
  await clock.advance(100);
  deepEqual((await closed).notReturned, []);
  equal(peer.open().length, 0);
  equal(clock.timerCount, 0);
});

test("HikariCP: idle connections above the minimum are closed after a while, the minimum stays", async () => {
  const scene = pooled({ connectionsMin: 1, idleTimeoutMs: 1_000, connectionsMax: 5 });
  const { pool, clock } = scene;
  const all = acquireMany(scene, 4);
  await clock.settle();
  releaseAll(all);
  await clock.advance(1_100);
  equal(pool.stats().idle, 1);
  await clock.advance(100_000);
  equal(pool.stats().idle, 1);
  await pool.close();
});

test("close: a connector that closes the pool once more from within gets the same report", async () => {
  const peer = new ScriptedPeer();
  const again: Promise<unknown>[] = [];
  const scene = pooled(
    {
      connector: {
        connect: peer.connect,
        destroy: (connection) => {
          peer.destroy(connection);
          again.push(scene.pool.close());
        },
      },
    },
    peer,
  );
  (await scene.pool.acquire()).release();
  const report = await scene.pool.close();
  equal(await again[0], report);
});
