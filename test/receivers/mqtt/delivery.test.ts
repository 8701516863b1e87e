import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "../../../src/errors.ts";
import { publish, reached, turns } from "../../support/memory-broker.ts";
import { mqttScene } from "../../support/mqtt-scene.ts";

for (const protocolVersion of [4, 5] as const) {
  const options = { protocolVersion };

  test(`mqtt ${protocolVersion}: a message is acknowledged when it is on disk, not before`, async () => {
    const { engine, peer } = await mqttScene({ options });
    peer.send(publish("a/1", "one", [1, 7]));
    await turns();
    assert.deepEqual(engine.inflightBlocks, [["one"]]);
    assert.deepEqual(peer.acks, []);
    await engine.commit();
    await turns();
    assert.deepEqual(peer.acks, ["puback 7"]);
    await engine.session.close(AbortSignal.abort());
  });

  test(`mqtt ${protocolVersion}: acknowledgements go out in the order of receipt, in one write`, async () => {
    const { engine, peer } = await mqttScene({ options: { ...options, qos: 2 } });
    peer.send(
      publish("a/1", "one", [1, 3]),
      publish("a/2", "two", [2, 1]),
      publish("a/3", "three", [1, 2]),
    );
    await turns();
    assert.deepEqual(engine.inflightBlocks, [["one", "two", "three"]]);
    const writes = peer.writes.length;
    await engine.commit();
    await turns();
    assert.deepEqual(peer.acks, ["puback 3", "pubrec 1", "puback 2"]);
    assert.equal(peer.writes.length, writes + 1);
    await engine.session.close(AbortSignal.abort());
  });

  test(`mqtt ${protocolVersion}: what comes while a block is on its way is the next block`, async () => {
    const { engine, peer } = await mqttScene({ options });
    peer.send(publish("a/1", "one", [1, 1]));
    await turns();
    for (const id of [2, 3]) {
      peer.send(publish("a/1", `${id}`, [1, id]));
      await turns();
    }
    assert.deepEqual(engine.inflightBlocks, [["one"]]);
    await engine.commit();
    await turns();
    assert.deepEqual(engine.inflightBlocks, [["2", "3"]]);
    assert.deepEqual(peer.acks, ["puback 1"]);
    await engine.commit();
    await turns();
    assert.deepEqual(peer.acks, ["puback 1", "puback 2", "puback 3"]);
    await engine.session.close(AbortSignal.abort());
  });
}

test("mqtt: QoS 0 is stored and not acknowledged", async () => {
  const { engine, peer } = await mqttScene();
  peer.send(publish("a/1", "zero", [0]));
  await turns();
  await engine.commit();
  await turns();
  assert.deepEqual(engine.durable, ["zero"]);
  assert.deepEqual(peer.acks, []);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt: packets that are cut anywhere are put together", async () => {
  const { engine, peer } = await mqttScene({ options: { qos: 2 } });
  const bytes = Buffer.concat([
    peer.bytesOf(publish("a/long/topic", "x".repeat(200), [2, 9])),
    peer.bytesOf({ cmd: "pubrel", messageId: 9 }),
    peer.bytesOf(publish("a/2", "", [1, 10])),
  ]);
  for (const byte of bytes) {
    peer.sendBytes(Buffer.from([byte]));
    await turns(1);
  }
  await turns();
  await engine.commit();
  await turns();
  await engine.commit();
  await turns();
  assert.deepEqual(engine.durable, ["x".repeat(200), ""]);
  assert.deepEqual(peer.acks.toSorted(), ["puback 10", "pubcomp 9", "pubrec 9"]);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt: BUSY and LOG_FULL are tried again, and nothing overtakes or is acknowledged before", async () => {
  const { engine, peer } = await mqttScene();
  for (const code of ["BUSY", "LOG_FULL"] as const) {
    engine.refuseWith = new HoldfastError(code, "no room for 3 bytes, limit 0");
    peer.send(publish("a/1", `${code} 1`, [1, 1]));
    await turns();
    peer.send(publish("a/1", `${code} 2`, [1, 2]));
    await turns();
    engine.refuseWith = undefined;
    await engine.clock.advance(10);
    await reached("the block is tried again", () => engine.inflightBlocks.length > 0);
    await engine.commit();
    await turns();
    await engine.commit();
    await turns();
  }
  assert.deepEqual(engine.durable, ["BUSY 1", "BUSY 2", "LOG_FULL 1", "LOG_FULL 2"]);
  assert.deepEqual(peer.acks, ["puback 1", "puback 2", "puback 1", "puback 2"]);
  assert.deepEqual(engine.failures, []);
  await engine.session.close(AbortSignal.abort());
});

for (const code of ["LOG_FAILED", "LOG_CLOSED"] as const)
  test(`mqtt: a block that the log refuses with ${code} fails the receiver, unacknowledged`, async () => {
    const { engine, peer } = await mqttScene();
    peer.send(publish("a/1", "one", [1, 1]), publish("a/1", "zero", [0]));
    await turns();
    await engine.failOldest(new HoldfastError(code, "the disk is gone"));
    await turns();
    assert.deepEqual(
      engine.failures.map((each) => each.message),
      ["the disk is gone"],
    );
    assert.deepEqual(peer.acks, []);
    assert.equal(engine.droppedCount, 1, "QoS 0 does not come again");
    await engine.session.close(AbortSignal.abort());
  });

test("mqtt: an acknowledgement goes to the connection that delivered, or nowhere", async () => {
  const { engine, peer } = await mqttScene();
  peer.send(publish("a/1", "one", [1, 1]));
  await turns();
  peer.reset();
  await turns();
  assert.deepEqual(
    engine.failures.map((each) => "code" in each && each.code),
    ["CONNECTION_FAILED"],
  );
  await engine.commit();
  await turns();
  assert.deepEqual(peer.acks, []);
  await engine.session.close(AbortSignal.abort());
});
