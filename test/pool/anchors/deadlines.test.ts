import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import genericPool from "generic-pool";
import PgPool from "pg-pool";
import { Pool as TarnPool } from "tarn";
import { ours } from "./ours.ts";
import { factoryOf, fateOf, pass, type Peer, pgClientOf, withMachineTime } from "./peer.ts";

const FAULT = "fault: a caller waits without end when nobody thought of a deadline";
const HOUR_MS = 3_600_000;

/** Somebody who asks for a connection. */
type Caller = () => Promise<unknown>;

const anchors: readonly (readonly [string, (peer: Peer) => Caller])[] = [
  [
    "generic-pool",
    (peer) => {
      const pool = genericPool.createPool(factoryOf(peer), { max: 1 });
      return () => pool.acquire();
    },
  ],
  [
    "pg-pool",
    (peer) => {
      const pool = new PgPool({ Client: pgClientOf(peer), max: 1 });
      return () => pool.connect();
    },
  ],
];

for (const [name, prepare] of anchors)
  test(`${FAULT}: ${name} has it`, () =>
    withMachineTime(async (peer) => {
      const ask = prepare(peer);
      await ask();
      const waiting = ask();
      await pass(HOUR_MS);
      deepEqual([await fateOf(waiting), peer.open.size], ["pending", 1]);
    }));

const SILENT = "fault: the error of a caller says nothing of the pool";

test(`${SILENT}: tarn has it`, () =>
  withMachineTime(async (peer) => {
    const pool = new TarnPool({ ...factoryOf(peer), min: 0, max: 1 });
    await pool.acquire().promise;
    const waiting = pool.acquire().promise.catch(String);
    await pass(30_000);
    equal(await waiting, "Error: operation timed out for an unknown reason");
  }));

test(`${FAULT}: ours has not, and its error says how the pool stands`, async () => {
  const { pool, clock } = ours({ connectionsMax: 1 });
  const held = await pool.acquire();
  const waiting = pool.acquire().catch((error: unknown) => error);
  await clock.advance(29_999);
  equal(await fateOf(waiting), "pending");
  await clock.advance(1);
  const error = await waiting;
  equal(Reflect.get(Object(error), "code"), "POOL_TIMEOUT");
  match(String(error), /no connection within 30000 ms: 1 of 1 connections \(1 leased, 0 idle/);
  match(String(error), /oldest lease 30000 ms at .*anchors\/deadlines\.test/);
  held.release();
  await pool.close();
});
