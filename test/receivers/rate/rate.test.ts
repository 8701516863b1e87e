import assert from "node:assert/strict";
import { test } from "node:test";
import { rate, type RateOptions } from "../../../receivers/rate/index.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { ReceiverHarness } from "../../support/receiver-harness.ts";

interface Reading {
  readonly device: string;
  readonly temperature: number;
  readonly at: number;
}

/** Runs the receiver for a while; the log commits every 10 ms. */
async function run(
  options: Partial<RateOptions>,
  ms: number,
): Promise<{ readonly engine: ReceiverHarness; readonly readings: readonly Reading[] }> {
  const engine = new ReceiverHarness({});
  const session = await engine.open(rate("demo", options));
  const running = session.run?.();
  await pass(engine, ms);
  engine.abort.abort();
  await engine.commit();
  await running;
  await session.close(new AbortController().signal);
  return { engine, readings: engine.durable.map((text) => JSON.parse(text)) };
}

async function pass(engine: ReceiverHarness, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10) {
    await engine.clock.advance(10);
    await engine.commit();
  }
}

test("rate: three devices, a record a second each, stamped with the clock", async () => {
  const { engine, readings } = await run({}, 3_500);
  const startMs = engine.clock.wallMs() - 3_500;
  assert.deepEqual(
    readings.map(({ device, at }) => `${device} ${at - startMs}`),
    [0, 1_000, 2_000, 3_000].flatMap((at) =>
      ["demo-1", "demo-2", "demo-3"].map((device) => `${device} ${at}`),
    ),
  );
  for (const { temperature } of readings) assert.ok(temperature > 0 && temperature < 50);
  assert.deepEqual(engine.failures, []);
});

test("rate: is deterministic with the injected clock and random", async () => {
  const first = await run({ devices: 2, perSecond: 20 }, 500);
  const second = await run({ devices: 2, perSecond: 20 }, 500);
  assert.deepEqual(first.readings, second.readings);
  assert.equal(first.readings.length, 2 * 11);
});

test("rate: keeps a high rate in blocks, not in a tick per record", async () => {
  const { readings } = await run({ devices: 1, perSecond: 1_000 }, 1_000);
  assert.ok(readings.length >= 980 && readings.length <= 1_001, `${readings.length}`);
});

test("rate: while the log is full records are dropped and counted, and not made up for afterwards", async () => {
  const engine = new ReceiverHarness({});
  const session = await engine.open(rate("demo", { devices: 1, perSecond: 10 }));
  const running = session.run?.();
  await pass(engine, 1_000);
  const before = engine.durable.length;
  engine.pause();
  await pass(engine, 10_000);
  assert.equal(engine.durable.length, before);
  assert.ok(engine.droppedCount >= 99 && engine.droppedCount <= 101, `${engine.droppedCount}`);
  engine.resume();
  await pass(engine, 1_000);
  assert.ok(engine.durable.length - before <= 11, `${engine.durable.length - before}`);
  engine.abort.abort();
  await engine.commit();
  await running;
});

test("rate: a store without room drops the record, any other failure fails the unit", async () => {
  const engine = new ReceiverHarness({});
  const session = await engine.open(rate("demo", { devices: 1, perSecond: 10 }));
  engine.refuseWith = new HoldfastError("LOG_FULL", "no room");
  const running = session.run?.();
  await pass(engine, 90);
  assert.equal(engine.droppedCount, 1);
  engine.refuseWith = new HoldfastError("LOG_FAILED", "broken");
  const failed = assert.rejects(running ?? Promise.resolve(), { code: "LOG_FAILED" });
  await pass(engine, 100);
  await failed;
});
