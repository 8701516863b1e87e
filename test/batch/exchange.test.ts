import { deepEqual, equal, rejects } from "node:assert/strict";
import { test } from "node:test";
import { Exchange } from "../../src/batch/exchange.ts";
import type { RowChunk } from "../../src/contract/sink.ts";
import { storedBlock } from "../support/blocks.ts";

function chunk(row: unknown): RowChunk<unknown> {
  return {
    count: 1,
    rows: [row],
    bytes: "changed",
    block: storedBlock([String(row)]),
    recordIndexes: new Uint32Array(1),
  };
}

test("exchange: the giver waits until the taker has asked again", async () => {
  const exchange = new Exchange();
  const order: string[] = [];
  const taking = (async () => {
    for await (const { rows } of exchange) order.push(`took ${String(rows?.[0])}`);
  })();
  for (const row of [1, 2]) {
    await exchange.ready();
    order.push(`gave ${row}`);
    exchange.give(chunk(row));
  }
  await exchange.ready();
  exchange.end();
  await taking;
  deepEqual(order, ["gave 1", "took 1", "gave 2", "took 2"]);
  equal(exchange.rowCount, 2);
});

test("exchange: a cause ends the iteration with a throw", async () => {
  const exchange = new Exchange();
  const taking = (async () => {
    for await (const _ of exchange);
  })();
  await exchange.ready();
  exchange.end(new RangeError("stopped"));
  await rejects(taking, RangeError);
});

test("exchange: a taker that leaves is waited for no longer", async () => {
  const exchange = new Exchange();
  const waiting = exchange.ready();
  exchange.leave();
  await waiting;
  exchange.give(chunk(1));
  equal(exchange.rowCount, 0);
});

test("exchange: an end before the first question is not lost", async () => {
  const exchange = new Exchange();
  exchange.end();
  deepEqual(await exchange.next(), { done: true, value: undefined });
});
