import assert from "node:assert/strict";
import { test } from "node:test";
import type { MqttInput } from "../../../receivers/mqtt/index.ts";
import { type BrokerSide, MemoryBroker, publish, turns } from "../../support/memory-broker.ts";
import {
  FIELD,
  mqttScene,
  openAt,
  type SceneOptions,
  type Welcome,
} from "../../support/mqtt-scene.ts";
import { ReceiverHarness } from "../../support/receiver-harness.ts";

/** The next incarnation, with what the last one has on disk. */
async function again(
  before: ReceiverHarness,
  broker: MemoryBroker,
  how: Welcome & SceneOptions = {},
): Promise<{ readonly engine: ReceiverHarness; readonly peer: BrokerSide }> {
  const engine = new ReceiverHarness({ sockets: broker });
  for (const [channel, position] of before.positions) engine.positions.set(channel, position);
  await openAt(broker, engine, { isSessionPresent: true, ...how });
  await turns();
  return { engine, peer: broker.last };
}

const QOS2 = { options: { qos: 2 } };

test("mqtt QoS 2: PUBREC after the record is on disk, PUBCOMP after the release is", async () => {
  const { engine, peer } = await mqttScene(QOS2);
  peer.send(publish("a/1", "once", [2, 4]));
  await turns();
  assert.deepEqual(peer.acks, []);
  await engine.commit();
  await turns();
  assert.deepEqual(peer.acks, ["pubrec 4"]);
  peer.send({ cmd: "pubrel", messageId: 4 });
  await turns();
  assert.deepEqual(engine.inflightBlocks, [[]], "a position without a record");
  assert.deepEqual(peer.acks, ["pubrec 4"]);
  await engine.commit();
  await turns();
  assert.deepEqual(peer.acks, ["pubrec 4", "pubcomp 4"]);
  assert.deepEqual(engine.durable, ["once"]);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt QoS 2: a release shares the block of the messages beside it", async () => {
  const { engine, peer } = await mqttScene(QOS2);
  peer.send(publish("a/1", "one", [2, 1]));
  await turns();
  await engine.commit();
  await turns();
  peer.send({ cmd: "pubrel", messageId: 1 }, publish("a/1", "two", [2, 2]));
  await turns();
  assert.deepEqual(engine.inflightBlocks, [["two"]]);
  await engine.commit();
  await turns();
  assert.deepEqual(peer.acks, ["pubrec 1", "pubcomp 1", "pubrec 2"]);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt QoS 2: what comes again after a crash is answered and not stored again", async () => {
  const { engine, broker, peer } = await mqttScene(QOS2);
  peer.send(publish("a/1", "once", [2, 4]));
  await turns();
  await engine.commit();
  const next = await again(engine, broker, QOS2);
  next.peer.send(publish("a/1", "once", [2, 4], { dup: true }));
  await turns();
  assert.deepEqual(next.peer.acks, ["pubrec 4"]);
  assert.deepEqual(next.engine.inflightBlocks, []);
  await next.engine.session.close(AbortSignal.abort());
});

test("mqtt QoS 2: ids of a session that the broker has lost are forgotten on disk before anything is stored", async () => {
  const { engine, broker, peer } = await mqttScene(QOS2);
  peer.send(publish("a/1", "old", [2, 4]));
  await turns();
  await engine.commit();
  const second = await again(engine, broker, { ...QOS2, isSessionPresent: false });
  // Nothing but the opening itself was committed.
  const third = await again(second.engine, broker, QOS2);
  third.peer.send(publish("a/1", "new", [2, 4]));
  await turns();
  await third.engine.commit();
  await turns();
  assert.deepEqual(third.engine.durable, ["new"]);
  assert.deepEqual(third.peer.acks, ["pubrec 4"]);
  for (const { engine: each } of [second, third]) await each.session.close(AbortSignal.abort());
});

test("mqtt QoS 2: an id that comes again for another message, or without the mark of a repeat, is a new message", async () => {
  const { engine, broker, peer } = await mqttScene(QOS2);
  peer.send(publish("a/1", "old", [2, 4]), publish("a/1", "same", [2, 5]));
  await turns();
  await engine.commit();
  const { engine: next, peer: side } = await again(engine, broker, QOS2);
  // A broker that goes on from an older state numbers as it did before.
  side.send(
    publish("a/1", "other", [2, 4], { dup: true }),
    publish("a/1", "same", [2, 5]),
    publish("a/1", "other", [2, 4], { dup: true }),
  );
  await turns();
  await next.commit();
  await turns();
  assert.deepEqual(next.durable, ["other", "same"]);
  assert.deepEqual(side.acks, ["pubrec 4", "pubrec 5", "pubrec 4"]);
  await next.session.close(AbortSignal.abort());
});

test("mqtt: a message that comes for two overlapping filters is two records, each acknowledged", async () => {
  const { engine, peer } = await mqttScene({
    options: { topics: ["a/#", { filter: "a/+", qos: 2 }] },
  });
  peer.send(publish("a/1", "one", [1, 1]), publish("a/1", "one", [2, 2]));
  await turns();
  await engine.commit();
  await turns();
  assert.deepEqual(engine.durable, ["one", "one"]);
  assert.deepEqual(peer.acks, ["puback 1", "pubrec 2"]);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt QoS 2: the ids of a session are known whatever the length of its CONNACK", async () => {
  const { engine, broker, peer } = await mqttScene(QOS2);
  peer.send(publish("a/1", "once", [2, 4]));
  await turns();
  await engine.commit();
  // Around 127 and 16,383 bytes, where the length takes one byte more.
  for (const characters of [1, 118, 119, 120, 121, 122, 123, 17_000]) {
    const properties = { reasonString: "x".repeat(characters) };
    const { engine: next, peer: side } = await again(engine, broker, { ...QOS2, properties });
    side.send(publish("a/1", "once", [2, 4], { dup: true }));
    await turns();
    assert.deepEqual([side.acks, next.inflightBlocks], [["pubrec 4"], []], `${characters}`);
    await next.session.close(AbortSignal.abort());
  }
});

for (const [name, topics] of [
  ["numbers, each with its QoS", [{ filter: "a/#", qos: 1 }, { filter: "5", qos: 2 }, "b"]],
  ["any word", ["resubscribe", "__proto__", "constructor"]],
] as const)
  test(`mqtt: filters may be ${name}`, async () => {
    const { engine, peer } = await mqttScene({ options: { topics: [...topics] } });
    assert.deepEqual(
      new Set(
        peer
          .of("subscribe")
          .flatMap(({ subscriptions }) => subscriptions.map(({ topic, qos }) => `${topic} ${qos}`)),
      ),
      new Set(
        topics.map((each) =>
          typeof each === "string" ? `${each} 1` : `${each.filter} ${each.qos}`,
        ),
      ),
    );
    await engine.session.close(AbortSignal.abort());
  });

test("mqtt: messages that come right behind CONNACK, before the subscriptions are answered, are stored", async () => {
  const broker = new MemoryBroker();
  const engine = new ReceiverHarness({ sockets: broker });
  await openAt(broker, engine, {
    greet(side) {
      side.onPacket = ({ cmd, messageId = 0 }) => {
        if (cmd === "subscribe") side.send({ cmd: "suback", messageId, granted: [1] });
      };
      side.send(
        { cmd: "connack", sessionPresent: true, returnCode: 0, reasonCode: 0 },
        publish("a/1", "waited", [1, 1], { dup: true }),
      );
    },
  });
  await turns();
  await engine.commit();
  await turns();
  assert.deepEqual(engine.durable, ["waited"]);
  assert.deepEqual(broker.last.acks, ["puback 1"]);
  await engine.session.close(AbortSignal.abort());
});

test("mqtt 5: release of an id that nobody holds is answered with code 0x92", async () => {
  const { engine, peer } = await mqttScene(QOS2);
  peer.send({ cmd: "pubrel", messageId: 77 });
  await turns();
  assert.deepEqual(
    peer.of("pubcomp").map(({ messageId, reasonCode }) => [messageId, reasonCode]),
    [[77, 0x92]],
  );
  await engine.session.close(AbortSignal.abort());
});

test("mqtt: it subscribes after every connect, and asks for retained messages only with a new subscription", async () => {
  const { engine, broker, peer } = await mqttScene();
  const [first] = peer.of("subscribe");
  assert.deepEqual(first?.subscriptions, [{ topic: "a/#", qos: 1, nl: false, rap: false, rh: 1 }]);
  const second = await again(engine, broker);
  assert.equal(second.peer.of("subscribe").length, 1);
  await second.engine.session.close(AbortSignal.abort());
});

test("mqtt 4: with a session it subscribes only to what changed, since that brings retained messages again", async () => {
  const options = { protocolVersion: 4 as const };
  const { engine, broker, peer } = await mqttScene({ options });
  assert.equal(peer.of("subscribe").length, 1);
  const same = await again(engine, broker, { options });
  assert.equal(same.peer.of("subscribe").length, 0);
  const lost = await again(engine, broker, { options, isSessionPresent: false });
  assert.equal(lost.peer.of("subscribe").length, 1);
  for (const { engine: each } of [same, lost]) await each.session.close(AbortSignal.abort());
});

test("mqtt: a filter that left the configuration is unsubscribed from the broker's session", async () => {
  const { engine, broker } = await mqttScene({ options: { topics: ["a/#", "b/#"] } });
  const second = await again(engine, broker, {
    options: { topics: ["b/#", { filter: "c/+", qos: 2 }] },
  });
  assert.deepEqual(
    second.peer.of("unsubscribe").map(({ unsubscriptions }) => unsubscriptions),
    [["a/#"]],
  );
  assert.deepEqual(
    second.peer
      .of("subscribe")
      .flatMap(({ subscriptions }) => subscriptions.map(({ topic, qos }) => [topic, qos])),
    [
      ["b/#", 1],
      ["c/+", 2],
    ],
  );
  const third = await again(second.engine, broker, {
    options: { topics: ["b/#", { filter: "c/+", qos: 2 }] },
  });
  assert.equal(third.peer.of("unsubscribe").length, 0);
  for (const { engine: each } of [second, third]) await each.session.close(AbortSignal.abort());
});

test("mqtt: more filters than can be remembered are subscribed at each start, in packets of 8", async () => {
  const topics = Array.from({ length: 100 }, (_, i) => `${"x".repeat(60)}/${i}`);
  const options = { topics, protocolVersion: 4 as const };
  const { engine, broker, peer } = await mqttScene({ options });
  assert.equal(peer.of("subscribe").length, 13);
  assert.match(engine.warnings.join(), /4096 can be remembered/);
  const second = await again(engine, broker, { options });
  assert.equal(second.peer.of("subscribe").length, 13);
  await second.engine.session.close(AbortSignal.abort());
});

test("mqtt: without a clientId it is drawn once for the data directory", async () => {
  const broker = new MemoryBroker();
  const engine = new ReceiverHarness({ sockets: broker });
  const { clientId: _, ...options } = FIELD;
  const first = await openWith(broker, engine, options);
  const next = new ReceiverHarness({ sockets: broker });
  for (const [channel, position] of engine.positions) next.positions.set(channel, position);
  const second = await openWith(broker, next, options);
  const elsewhere = new ReceiverHarness({ sockets: broker });
  elsewhere.positions.set("client-id", Buffer.from("0123456789ab"));
  assert.match(first, /^holdfast-field-[0-9a-f]{12}$/);
  assert.equal(second, first);
  assert.equal(await openWith(broker, elsewhere, options), "holdfast-field-0123456789ab");
  for (const each of [engine, next, elsewhere]) await each.session.close(AbortSignal.abort());
});

/** Opens with just these options; returns the client id that the broker saw. */
async function openWith(
  broker: MemoryBroker,
  engine: ReceiverHarness,
  options: MqttInput,
): Promise<string> {
  await openAt(broker, engine, { instead: options });
  return broker.last
    .of("connect")
    .map(({ clientId }) => clientId)
    .join();
}

test("mqtt: CONNECT says what the options say", async () => {
  const will = { topic: "gateways/7", payload: "gone", qos: 1, retain: true };
  const { engine, peer } = await mqttScene({
    options: {
      username: "seven",
      password: "secret",
      will,
      receiveMaximum: 17,
      sessionExpiryMs: 90_000,
      keepAliveMs: 20_000,
    },
  });
  const [connect] = peer.of("connect");
  assert.equal(connect?.clean, false);
  assert.equal(connect.keepalive, 20);
  assert.equal(connect.username, "seven");
  assert.equal(String(connect.password), "secret");
  assert.deepEqual({ ...connect.will, payload: String(connect.will?.payload) }, will);
  assert.deepEqual({ ...connect.properties }, { sessionExpiryInterval: 90, receiveMaximum: 17 });
  await engine.session.close(AbortSignal.abort());
});
