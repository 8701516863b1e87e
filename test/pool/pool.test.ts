import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../src/errors.ts";
import { pooled, ScriptedPeer } from "../support/scripted-peer.ts";
import { watch } from "../support/watched.ts";

const textOf = (error: unknown): string => (error instanceof Error ? error.message : "no error");

test("pool: a connection is made when it is asked for, and used again", async () => {
  const { pool, peer } = pooled();
  equal(peer.connects.length, 0);
  const first = await pool.acquire();
  first.release();
  const second = await pool.acquire();
  equal(second.connection, first.connection);
  equal(peer.connects.length, 1);
  second.release();
  deepEqual(await pool.close(), { notReturned: [], lateConnects: 0 });
  equal(peer.open().length, 0);
  equal(peer.clock.timerCount, 0);
});

test("pool: connectionsMin are kept ready, also after one broke", async () => {
  const { pool, peer, clock } = pooled({ connectionsMin: 2 });
  await clock.settle();
  equal(pool.stats().idle, 2);
  peer.connections[0]?.broke(new Error("unplugged"));
  await clock.settle();
  equal(pool.stats().idle, 2);
  equal(peer.connections[0]?.destroyed, 1);
  await pool.close();
});

test("waiters: served in the order of asking", async () => {
  const { pool, clock } = pooled({ connectionsMax: 1 });
  const held = await pool.acquire();
  const order: number[] = [];
  const take = async (id: number): Promise<void> => {
    await using lease = await pool.acquire();
    ok(lease.connection);
    order.push(id);
  };
  const all = [take(1), take(2), take(3)];
  held.release();
  await Promise.all(all);
  deepEqual(order, [1, 2, 3]);
  await pool.close();
  equal(clock.timerCount, 0);
});

test("waiters: one that gave up takes no connection", async () => {
  const { pool, clock } = pooled({ connectionsMax: 1 });
  const held = await pool.acquire();
  const abort = new AbortController();
  const first = watch(pool.acquire({ signal: abort.signal }));
  const second = watch(pool.acquire());
  abort.abort(new Error("changed my mind"));
  held.release();
  await clock.settle();
  equal(first.status, "failed");
  equal(textOf(first.error), "changed my mind");
  equal(second.status, "done");
  second.value?.release();
  await rejects(pool.acquire({ signal: abort.signal }), { message: "changed my mind" });
  deepEqual((await pool.close()).notReturned, []);
});

test("errors: POOL_TIMEOUT says how the pool stands and who holds a connection", async () => {
  const { pool, clock } = pooled({ connectionsMax: 1, acquireDeadlineMs: 300 });
  const held = await pool.acquire();
  await clock.advance(100);
  const waiting = watch(pool.acquire());
  await clock.advance(299);
  equal(waiting.status, "waiting");
  await clock.advance(1);
  const message = textOf(waiting.error);
  match(message, /^readings: no connection within 300 ms: 1 of 1 connections \(1 leased, 0 idle/);
  match(message, /oldest lease 400 ms at .*pool\.test\.[jt]s:\d+/);
  held.release();
  await pool.close();
});

test("errors: POOL_TIMEOUT carries the last connect error", async () => {
  const { pool, peer, clock } = pooled();
  peer.set("refuse");
  const waiting = watch(pool.acquire());
  await clock.advance(30_000);
  match(textOf(waiting.error), /a is down, last connect error CONNECTION_FAILED "refused"$/);
  ok(waiting.error instanceof Error && waiting.error.cause instanceof Error);
  equal(waiting.error.cause.message, "refused");
  await pool.close();
});

test("errors: POOL_EXHAUSTED at once when too many wait", async () => {
  const { pool } = pooled({ connectionsMax: 1, waitersMax: 1 });
  const held = await pool.acquire();
  const second = pool.acquire();
  await rejects(pool.acquire(), { code: "POOL_EXHAUSTED", message: /1 callers wait, limit 1/ });
  held.release();
  (await second).release();
  await pool.close();
});

test("errors: POOL_CLOSED for who waits and who comes later", async () => {
  const { pool } = pooled({ connectionsMax: 1 });
  const held = await pool.acquire();
  const waiting = rejects(pool.acquire(), { code: "POOL_CLOSED" });
  const closed = pool.close();
  await waiting;
  await rejects(pool.acquire(), { code: "POOL_CLOSED" });
  held.release();
  deepEqual((await closed).notReturned, []);
  equal(pool.close(), closed);
});

test("errors: POOL_PARKED at once when every endpoint refused for good; resume tries again", async () => {
  const { pool, peer, clock } = pooled();
  peer.set("forbid");
  await rejects(pool.acquire(), { code: "POOL_PARKED", message: /a is parked.*wrong password/ });
  await rejects(pool.acquire(), { code: "POOL_PARKED" });
  equal(peer.connects.length, 1);
  await clock.advance(3_600_000);
  equal(peer.connects.length, 1);
  equal(clock.timerCount, 0);
  peer.set("accept");
  pool.resume();
  (await pool.acquire()).release();
  equal(pool.stats().endpoints[0]?.status, "up");
  await pool.close();
});

test("with: gives the connection back, also after an error, checked first", async () => {
  const { pool, peer } = pooled({ connectionsMax: 1 });
  equal(await pool.with(({ id }) => Promise.resolve(id)), 0);
  equal(peer.checks, 0);
  await rejects(
    pool.with(() => {
      throw new Error("mine");
    }),
    { message: "mine" },
  );
  equal(pool.stats().idle, 1);
  equal(await pool.with(({ id }) => Promise.resolve(id)), 0);
  equal(peer.checks, 1);
  await pool.close();
});

test("with: after an error a connection that cannot be checked is destroyed, and its endpoint is still up", async () => {
  const { pool, peer } = scene({});
  for (let index = 0; index < 5; index++)
    await rejects(pool.with(() => Promise.reject(new Error("mine"))));
  equal(pool.stats().endpoints[0]?.status, "up");
  equal(peer.open().length, 0);
  await pool.close();
});

/** Without a check. */
function scene(options: Parameters<typeof pooled>[0]): ReturnType<typeof pooled> {
  const peer = new ScriptedPeer();
  const connector = { connect: peer.connect, destroy: peer.destroy };
  return pooled({ connector, ...options }, peer);
}

test("lease: a second release, and any after the end, is harmless", async () => {
  const { pool, clock } = pooled({ connectionsMax: 1 });
  const first = await pool.acquire();
  first.release();
  const second = await pool.acquire();
  first.release();
  first.poison(new Error("too late"));
  await first[Symbol.asyncDispose]();
  equal(pool.stats().leased, 1);
  const third = watch(pool.acquire());
  await clock.settle();
  equal(third.status, "waiting");
  second.release();
  await clock.settle();
  third.value?.release();
  await pool.close();
});

test("lease: poison destroys this connection and no other", async () => {
  const { pool, peer } = pooled();
  const [one, other] = await Promise.all([pool.acquire(), pool.acquire()]);
  one.poison(new Error("out of step"));
  equal(peer.connections[one.connection.id]?.destroyed, 1);
  equal(one.signal.aborted, false);
  equal(peer.connections[other.connection.id]?.destroyed, 0);
  other.release();
  one.release();
  equal(pool.stats().idle, 1);
  await pool.close();
});

test("lease: given back with an answer outstanding, the connection is not lent again", async () => {
  const { pool, peer } = pooled();
  const lease = await pool.acquire();
  const answered = lease.pending();
  lease.release();
  equal(peer.open().length, 0);
  answered();
  const next = await pool.acquire();
  next.pending()();
  next.release();
  equal(peer.open().length, 1);
  await pool.close();
});

test("suspend: nobody is served until resume, within their deadlines", async () => {
  const { pool, clock, peer } = pooled({ connectionsMin: 1 });
  await clock.settle();
  pool.suspend();
  const patient = watch(pool.acquire());
  const hasty = watch(pool.acquire({ deadlineMs: 50 }));
  await clock.advance(60);
  equal(patient.status, "waiting");
  match(textOf(hasty.error), /suspended/);
  equal(peer.connects.length, 1);
  pool.resume();
  await clock.settle();
  patient.value?.release();
  equal(pool.stats().status, "open");
  await pool.close();
});

test("progress: a holder that waits for a peer that is gone gets CONNECTION_STALLED at its deadline", async () => {
  const { pool, peer, clock } = pooled({ progressDeadlineMs: 1_000 });
  const stuck = watch(pool.with(() => new Promise(() => undefined)));
  await clock.advance(999);
  equal(stuck.status, "waiting");
  await clock.advance(1);
  match(textOf(stuck.error), /^a: no answer within 1000 ms$/);
  equal(codeOf(stuck.error), "CONNECTION_STALLED");
  equal(peer.open().length, 0);
  await pool.close();
  equal(clock.timerCount, 0);
});
