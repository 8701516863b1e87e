import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf, HoldfastError } from "../../../src/errors.ts";
import { publish, reached, turns } from "../../support/memory-broker.ts";
import { mqttScene } from "../../support/mqtt-scene.ts";

const MIB = 1024 * 1024;

test("mqtt: while receivers are paused messages are held and not acknowledged, then stored in order", async () => {
  const { engine, peer } = await mqttScene();
  engine.pause();
  peer.send(
    publish("a/1", "one", [1, 1]),
    publish("a/1", "zero", [0]),
    publish("a/1", "two", [1, 2]),
  );
  await turns();
  assert.deepEqual(engine.inflightBlocks, []);
  assert.deepEqual(peer.acks, []);
  engine.resume();
  await engine.commit();
  await turns();
  assert.deepEqual(engine.durable, ["one", "zero", "two"]);
  assert.deepEqual(peer.acks, ["puback 1", "puback 2"]);
  assert.equal(engine.droppedCount, 0);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt: while paused QoS 0 is dropped and counted when 1 MiB is held, and the rest of the stream is read", async () => {
  const { engine, peer } = await mqttScene();
  engine.pause();
  for (let id = 1; id <= 20; id++) {
    peer.send(publish("a/1", Buffer.alloc(100_000, id), [0]));
    await turns(2);
  }
  peer.send(publish("a/1", "needs an answer", [1, 1]));
  await turns();
  assert.equal(peer.unreadBytes, 0);
  assert.equal(engine.droppedCount, 9, "11 of 100,000 bytes reach 1 MiB");
  assert.deepEqual([...engine.dropReasons], ["pressure"]);
  engine.resume();
  for (let commit = 0; commit < 3; commit++) {
    await turns();
    await engine.commit();
  }
  assert.equal(engine.durable.length, 12);
  assert.equal(engine.durable.at(-1), "needs an answer");
  await engine.session.close(AbortSignal.abort());
});

test("mqtt: a broker that sends without end waits in its socket, and is pinged meanwhile", async () => {
  const { engine, peer } = await mqttScene({ options: { keepAliveMs: 10_000 } });
  engine.pause();
  let sentBytes = 0;
  for (let id = 1; id <= 60; id++) {
    peer.send(publish("a/1", Buffer.alloc(100_000, id), [1, id]));
    sentBytes += 100_000;
    await turns(2);
  }
  assert.ok(
    sentBytes - peer.unreadBytes < 2 * MIB + 300_000,
    `${sentBytes - peer.unreadBytes} were read`,
  );
  const alive = engine.aliveCount;
  for (let turn = 0; turn < 12; turn++) await engine.clock.advance(5_000);
  assert.ok(peer.of("pingreq").length >= 6, "the broker would end the connection");
  assert.ok(engine.aliveCount > alive);
  assert.deepEqual(engine.failures, []);
  engine.resume();
  for (let commit = 0; commit < 12; commit++) {
    await turns();
    await engine.commit();
  }
  await reached("everything", () => peer.unreadBytes === 0);
  await turns();
  await engine.commit();
  await turns();
  assert.equal(engine.durable.length, 60);
  assert.equal(peer.acks.length, 60);
  assert.equal(peer.acks.at(-1), "puback 60");
  await engine.session.close(AbortSignal.abort());
});

for (const [qos, answer] of [
  [1, "puback 1"],
  [2, "pubrec 1"],
] as const)
  for (const bytes of [2 * MIB, 10 * MIB])
    test(`mqtt: a message of ${bytes} bytes with QoS ${qos} is a dead letter before it is acknowledged`, async () => {
      const { engine, peer } = await mqttScene({ options: { qos: 2 } });
      engine.refuseLetters = new HoldfastError("BUSY", "the dead letters are busy");
      const whole = peer.bytesOf(publish("a/camera", Buffer.alloc(bytes, "x"), [qos, 1]));
      for (let at = 0; at < whole.length; at += 65_536)
        peer.sendBytes(whole.subarray(at, at + 65_536));
      peer.send(publish("a/1", "next", [1, 2]));
      await turns();
      assert.deepEqual(peer.acks, []);
      engine.refuseLetters = undefined;
      await engine.clock.advance(10);
      await turns();
      await engine.commit();
      await turns();
      assert.deepEqual(peer.acks, [answer, "puback 2"]);
      assert.deepEqual(engine.durable, ["next"]);
      assert.deepEqual(
        engine.setAside.map(({ code, text }) => [code, text.length, text[0]]),
        [["MESSAGE_TOO_LONG", 65_536, "x"]],
      );
      assert.match(
        engine.warnings.join(),
        new RegExp(`${bytes} bytes on "a/camera", limit ${MIB}`),
      );
      await engine.session.close(AbortSignal.abort());
    });

test("mqtt: a QoS 2 message that was too long is set aside once, also when it comes again", async () => {
  const { engine, peer } = await mqttScene({ options: { qos: 2, payloadBytesMax: 10 } });
  for (const dup of [false, true]) {
    peer.send(publish("a/1", "more than ten bytes", [2, 5], { dup }));
    await turns();
    await engine.commit();
    await turns();
  }
  assert.deepEqual(peer.acks, ["pubrec 5", "pubrec 5"]);
  assert.equal(engine.setAside.length, 1);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt: a message of exactly the limit is a record", async () => {
  const { engine, peer } = await mqttScene({ options: { payloadBytesMax: 10 } });
  peer.send(publish("a/1", "0123456789", [1, 1]), publish("a/1", "0123456789+", [1, 2]));
  await turns();
  await engine.commit();
  await turns();
  assert.deepEqual(engine.durable, ["0123456789"]);
  assert.deepEqual(peer.acks, ["puback 1", "puback 2"]);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt: headers of more than 512 KiB are a dead letter", async () => {
  const { engine, peer } = await mqttScene();
  const userProperties = Object.fromEntries(
    Array.from({ length: 3 }, (_, i) => [`p${i}`, "\u0001".repeat(40_000)]),
  );
  peer.send(publish("a/1", "v", [1, 1], { properties: { userProperties } }));
  await turns();
  await engine.commit();
  await turns();
  assert.deepEqual(
    engine.setAside.map(({ code }) => code),
    ["MESSAGE_TOO_LONG"],
  );
  assert.deepEqual(peer.acks, ["puback 1"]);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt: many messages of one read become blocks that the log takes", async () => {
  const { engine, peer } = await mqttScene();
  const all = Array.from({ length: 25 }, (_, i) =>
    publish("a/1", Buffer.alloc(99_000, 65 + i), [1, i + 1]),
  );
  for (const each of all) peer.send(each);
  for (let commit = 0; commit < 6; commit++) {
    await turns();
    for (const block of engine.inflightBlocks)
      assert.ok(block.join("").length <= MIB, `${block.join("").length} bytes`);
    await engine.commit();
  }
  await turns();
  assert.equal(engine.durable.length, 25);
  assert.equal(peer.acks.length, 25);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt: a broker that does not answer pings is CONNECTION_STALLED", async () => {
  const { engine, peer } = await mqttScene({ options: { keepAliveMs: 10_000 } });
  peer.onPacket = () => undefined;
  await engine.clock.advance(16_000);
  await reached("failure", () => engine.failures.length > 0);
  assert.deepEqual(engine.failures.map(codeOf), ["CONNECTION_STALLED"]);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt: pings go on while acknowledgements wait for the disk", async () => {
  const { engine, peer } = await mqttScene({ options: { keepAliveMs: 10_000 } });
  peer.send(publish("a/1", "one", [1, 1]));
  for (let turn = 0; turn < 10; turn++) await engine.clock.advance(5_000);
  assert.ok(peer.of("pingreq").length >= 4);
  assert.deepEqual(engine.failures, []);
  await engine.commit();
  await turns();
  assert.deepEqual(peer.acks, ["puback 1"]);
  await engine.session.close(AbortSignal.abort());
});
