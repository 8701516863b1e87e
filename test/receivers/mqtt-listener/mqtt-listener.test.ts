import assert from "node:assert/strict";
import { test } from "node:test";
import { committingUntil, until } from "../../support/websocket-scene.ts";
import { mqttScene } from "../../support/mqtt-listener-scene.ts";

test("mqtt-listener: PUBACK comes after the commit, never before", async (t) => {
  const { engine, dial, end } = await mqttScene();
  t.after(end);
  const client = await dial({ clientId: "meter-7" });
  let isAcknowledged = false;
  client.publish("devices/meter-7", "21.5", { qos: 1 }, () => {
    isAcknowledged = true;
  });
  await until(() => engine.inflightBlocks.length === 1);
  await engine.clock.settle();
  assert.equal(isAcknowledged, false);
  await engine.commit();
  await until(() => isAcknowledged);
  assert.deepEqual(engine.durable, ["21.5"]);
});

test("mqtt-listener: QoS 0 is stored", async (t) => {
  const { engine, dial, end } = await mqttScene();
  t.after(end);
  const client = await dial();
  client.publish("a", "1");
  client.publish("a", "2");
  await committingUntil(engine, () => engine.durable.length === 2);
});

test("mqtt-listener: QoS 2 is stored before PUBREC and let go of before PUBCOMP", async (t) => {
  const { engine, dial, end } = await mqttScene();
  t.after(end);
  const client = await dial({ clientId: "meter-7", clean: false });
  let isDone = false;
  client.publish("a", "1", { qos: 2 }, () => {
    isDone = true;
  });
  await until(() => engine.inflightBlocks.length === 1);
  assert.equal(engine.positions.size, 0);
  await engine.commit();
  assert.equal(engine.positions.get("session:meter-7")?.length, 3);
  await until(() => engine.inflightBlocks.length === 1);
  assert.equal(isDone, false);
  await engine.commit();
  await until(() => isDone);
  assert.equal(engine.positions.get("session:meter-7")?.length, 1);
  assert.deepEqual(engine.durable, ["1"]);
});
