import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { Emit } from "../../src/contract/events.ts";
import type { Pool } from "../../src/contract/pool.ts";
import { createPools, type Pools } from "../../src/pool/registry.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { type PeerConnection, ScriptedPeer } from "../support/scripted-peer.ts";
import { watch } from "../support/watched.ts";

interface Scene {
  readonly pools: Pools;
  readonly pool: Pool<PeerConnection>;
  readonly peer: ScriptedPeer;
  /** Kinds of public events, in order, with the address. */
  readonly told: readonly string[];
}

function scene(): Scene {
  const peer = new ScriptedPeer();
  const told: string[] = [];
  const emit: Emit = (kind, event) => {
    const parked = "isParked" in event && event.isParked ? " for good" : "";
    if ("address" in event) told.push(`${kind} ${event.address}${parked}`);
  };
  const pools = createPools({ clock: peer.clock, random: createSeededRandom(1), emit });
  return {
    pools,
    peer,
    told,
    pool: pools.create({ name: "store", addresses: ["a"], connector: peer, leakAfterMs: 1_000 }),
  };
}

test("pools: an outage is told once, its end when something has proved itself", async () => {
  const { peer, pool, told } = scene();
  peer.set("refuse");
  const waiting = watch(pool.acquire());
  await peer.clock.advance(20_000);
  deepEqual(told, ["pool-down a"]);
  peer.set("accept");
  await peer.clock.advance(5_000);
  equal(waiting.status, "done");
  deepEqual(told.slice(0, 1), ["pool-down a"]);
  ok(!told.includes("pool-up a"));
  waiting.value?.release();
  await peer.clock.settle();
  equal(told.at(-1), "pool-up a");
  await pool.close();
});

test("pools: an endpoint that refuses for good is told as such, also after it was down", async () => {
  const { peer, pool, told } = scene();
  peer.set("refuse");
  const waiting = watch(pool.acquire());
  await peer.clock.advance(1_000);
  peer.set("forbid");
  await peer.clock.advance(5_000);
  equal(waiting.status, "failed");
  deepEqual(told, ["pool-down a", "pool-down a for good"]);
  await pool.close();
});

test("pools: a leak is told", async () => {
  const { peer, pool, told } = scene();
  const lease = await pool.acquire();
  await peer.clock.advance(1_000);
  deepEqual(told, ["pool-leak a"]);
  lease.release();
  await pool.close();
});

test("pools: the open ones are seen, of two with one name the newer", async () => {
  const { peer, pools, pool } = scene();
  const second = pools.create({ name: "store", addresses: ["b"], connector: peer });
  deepEqual(
    pools.stats().map(({ endpoints }) => endpoints[0]?.address),
    ["b"],
  );
  await pool.close();
  await peer.clock.settle();
  equal(pools.stats().length, 1);
  await second.close();
  await peer.clock.settle();
  ok(pools.stats().length === 0);
});
