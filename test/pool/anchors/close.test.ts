import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import genericPool from "generic-pool";
import PgPool from "pg-pool";
import { Pool as TarnPool } from "tarn";
import { ours } from "./ours.ts";
import { factoryOf, fateOf, pass, type Peer, pgClientOf, withMachineTime } from "./peer.ts";

const FAULT = "fault: close waits without end for a connection that never comes back";
const HOUR_MS = 3_600_000;

/** A pool of two with one of them lent: its end, and how the connection would come back. */
type Closing = (peer: Peer) => Promise<{
  readonly close: () => Promise<unknown>;
  readonly giveBack: () => unknown;
}>;

const anchors: readonly (readonly [string, Closing])[] = [
  [
    "tarn",
    async (peer) => {
      const pool = new TarnPool({ ...factoryOf(peer), min: 0, max: 2 });
      const leaked = await pool.acquire().promise;
      return { close: () => pool.destroy(), giveBack: () => pool.release(leaked) };
    },
  ],
  [
    "generic-pool",
    async (peer) => {
      const pool = genericPool.createPool(factoryOf(peer), { max: 2 });
      const leaked = await pool.acquire();
      return {
        close: () => pool.drain().then(() => pool.clear()),
        giveBack: () => pool.release(leaked),
      };
    },
  ],
  [
    "pg-pool",
    async (peer) => {
      const pool = new PgPool({ Client: pgClientOf(peer), max: 2 });
      const leaked = await pool.connect();
      return { close: () => pool.end(), giveBack: () => leaked.release() };
    },
  ],
];

for (const [name, prepare] of anchors)
  test(`${FAULT}: ${name} has it`, () =>
    withMachineTime(async (peer) => {
      const { close, giveBack } = await prepare(peer);
      const closed = close();
      await pass(HOUR_MS);
      deepEqual([await fateOf(closed), peer.open.size], ["pending", 1]);
      await giveBack();
      await pass(1_000);
      deepEqual([await fateOf(closed), peer.open.size], ["resolved", 0]);
    }));

test(`${FAULT}: ours has not`, async () => {
  const { pool, peer, clock } = ours({ connectionsMax: 2 });
  const leaked = await pool.acquire();
  const closed = pool.close(5_000);
  await clock.advance(4_999);
  deepEqual([await fateOf(closed), peer.open.size], ["pending", 1]);
  await clock.advance(1);
  const { notReturned } = await closed;
  deepEqual([notReturned.length, notReturned[0]?.heldMs, peer.open.size], [1, 5_000, 0]);
  match(notReturned[0]?.site ?? "", /anchors\/close\.test\.[jt]s:\d+/);
  equal(leaked.signal.aborted, true);
  leaked.release();
  deepEqual([clock.timerCount, peer.endedMs], [0, [5_000]]);
});
