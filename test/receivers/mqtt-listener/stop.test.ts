import assert from "node:assert/strict";
import { after, test } from "node:test";
import { HoldfastError } from "../../../src/errors.ts";
import { realClock } from "../../../src/host/clock.ts";
import {
  dialled,
  endScenes,
  type MqttWire,
  mqttWireScene,
  turns,
} from "../../support/mqtt-wire.ts";

/** aedes has timers that keep the process. */
after(endScenes);

for (const topic of ["a/#", "+", "a\0", "$SYS/x"])
  test(`mqtt-listener: a will for ${JSON.stringify(topic)} is not published, and that is told`, async () => {
    const made = await mqttWireScene({ acl: [{ publish: ["#"], subscribe: ["#"] }] });
    const other = await dialled(made, "other");
    other.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "#", qos: 0 }] });
    await turns();
    const will = { topic, payload: Buffer.from("bye"), qos: 0, retain: true } as const;
    (await dialled(made, "a", { will })).destroy();
    await turns();
    await made.engine.commit();
    assert.deepEqual([made.engine.durable, made.engine.codes.length], [[], 1]);
    assert.deepEqual(
      other.packets.map(({ cmd }) => cmd),
      ["connack", "suback"],
    );
  });

test("mqtt-listener: a will is stored when its client breaks, not when it says goodbye or we stop", async () => {
  const made = await mqttWireScene();
  const { engine } = made;
  const will = { topic: "gone", payload: Buffer.from("bye"), qos: 1, retain: false } as const;
  for (const [id, leave] of [
    ["a", (wire: MqttWire) => wire.destroy()],
    ["b", (wire: MqttWire) => void wire.send({ cmd: "disconnect" })],
    ["c", () => void engine.session.close(new AbortController().signal)],
  ] as const) {
    leave(await dialled(made, id, { will }));
    await turns();
    await engine.commit();
  }
  assert.deepEqual(engine.durable, ["bye"]);
});

test("mqtt-listener: close settles and acknowledges what was taken, and takes nothing more", async () => {
  const made = await mqttWireScene();
  const { engine } = made;
  const wire = await dialled(made);
  wire.publish("1", 1, 1);
  await turns();
  const closed = Promise.resolve(engine.session.close(new AbortController().signal));
  wire.publish("2", 1, 2);
  await turns();
  assert.equal(wire.isClosed, false);
  await engine.commit();
  await closed;
  await turns();
  assert.deepEqual(
    [wire.acknowledged("puback"), wire.isClosed, engine.durable],
    [[1], true, ["1"]],
  );
});

test("mqtt-listener: close is forced when its signal aborts", async () => {
  const made = await mqttWireScene();
  const { engine } = made;
  const wire = await dialled(made);
  wire.publish("1", 1, 1);
  await turns();
  const deadline = new AbortController();
  const closed = Promise.resolve(engine.session.close(deadline.signal));
  await turns();
  deadline.abort(new HoldfastError("UNIT_DEADLINE", "close has not ended"));
  await closed;
  await turns();
  assert.deepEqual([wire.acknowledged("puback"), wire.isClosed, engine.failures], [[], true, []]);
});

test("mqtt-listener: a failure acknowledges nothing more, and counts QoS 0", async () => {
  const made = await mqttWireScene({}, 4);
  const { engine } = made;
  const wire = await dialled(made);
  wire.publish("one", 1, 1);
  await turns();
  wire.publish("two", 1, 2);
  await turns();
  engine.abort.abort(new HoldfastError("UNIT_STOPPED", "it failed"));
  const closed = Promise.resolve(engine.session.close(new AbortController().signal));
  await engine.commit();
  await closed;
  assert.deepEqual([engine.durable, wire.acknowledged("puback")], [["one"], []]);
});

test("mqtt-listener: a client that goes while it is let in leaves no timer behind", async () => {
  const { engine, streams } = await mqttWireScene();
  const before = engine.clock.timerCount;
  for (let turn = 0; turn < 20; turn++) {
    const wire = streams.dial().connect("a", { keepalive: 60 });
    for (let i = 0; i < turn; i++) await realClock.yield();
    wire.destroy();
    await turns();
  }
  assert.equal(engine.connectionCount, 0);
  await engine.clock.advance(250);
  assert.equal(engine.clock.timerCount, before);
});
