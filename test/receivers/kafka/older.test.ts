/**
 * The receiver against a real broker of the oldest version that is promised: what differs between the two is the protocol.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import kafkajs from "kafkajs";
import { type KafkaBroker, kafkaBroker, kafkaSkip, saslUser } from "../../services/kafka.ts";
import { tlsPath } from "../../support/tls-files.ts";
import { KafkaScene } from "./scene.ts";
import { committedOf, produce, valuesOf } from "./topics.ts";

const skip = kafkaSkip("3.9.2");

let broker: KafkaBroker;
before(async () => {
  if (skip === false) broker = await kafkaBroker({ version: "3.9.2", secure: true });
});
after(async () => {
  if (skip === false) await broker.remove();
});

test("kafka 3.9.2: records are stored, committed, and not stored again after a start", {
  skip,
}, async (context) => {
  await broker.createTopic("orders", { partitions: 2 });
  await produce(broker, "orders", [{ value: "1", key: "a", headers: { unit: "C" } }]);
  await produce(broker, "orders", [{ value: "2" }], kafkajs.CompressionTypes.GZIP);
  const scene = await KafkaScene.make(context, { brokers: [broker.plain], topics: ["orders"] });
  await scene.start();
  await scene.untilStored(2);
  await scene.stop();
  assert.equal(await committedOf(broker, "holdfast-orders", "orders"), "2");
  await scene.start();
  await produce(broker, "orders", [{ value: "3" }]);
  await scene.untilStored(3);
  await scene.stop();
  const records = await scene.records();
  assert.deepEqual(valuesOf(records), ["1", "2", "3"]);
  assert.deepEqual([records[0]?.key, records[0]?.headers], ["a", { unit: "C" }]);
});

test("kafka 3.9.2: a topic that was made again parks with KAFKA_TOPIC_RESET", {
  skip,
}, async (context) => {
  await broker.createTopic("remade");
  await produce(broker, "remade", [{ value: "1" }]);
  const scene = await KafkaScene.make(context, { brokers: [broker.plain], topics: ["remade"] });
  await scene.start();
  await scene.untilStored(1);
  await scene.stop();
  await broker.deleteTopic("remade");
  await broker.createTopic("remade");
  await produce(broker, "remade", [{ value: "2" }, { value: "3" }]);
  await scene.start();
  assert.equal(await scene.untilParked(), "KAFKA_TOPIC_RESET");
});

test("kafka 3.9.2: SCRAM and TLS", { skip }, async (context) => {
  await broker.createTopic("guarded");
  await produce(broker, "guarded", [{ value: "1" }]);
  const topics = ["guarded"];
  const sasl = { mechanism: "scram-sha-512", ...saslUser } as const;
  const tls = { ca: tlsPath("first", "cert") };
  for (const options of [
    { brokers: [broker.sasl], sasl },
    { brokers: [broker.tls], tls },
  ]) {
    const group = options.brokers.join();
    const scene = await KafkaScene.make(context, { topics, group, ...options });
    await scene.start();
    await scene.untilStored(1);
    await scene.stop();
  }
});
