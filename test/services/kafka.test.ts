/**
 * The broker that other tests use.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type KafkaBroker, kafkaBroker, kafkaSkip } from "./kafka.ts";

const skip = kafkaSkip("4.4.0");

describe("a broker of 4.4.0", { skip }, () => {
  let broker: KafkaBroker;
  before(async () => {
    broker = await kafkaBroker({ version: "4.4.0" });
  });
  after(() => broker.remove());

  test("kafka: what was acknowledged is there after kill -9 and a start", async () => {
    await broker.createTopic("kept");
    const producer = broker.client.producer();
    await producer.connect();
    await producer.send({ topic: "kept", messages: [{ value: "one" }] });
    await producer.disconnect();
    await broker.kill();
    await broker.start();
    const admin = broker.client.admin();
    await admin.connect();
    const [offsets] = await admin.fetchTopicOffsets("kept");
    await admin.disconnect();
    assert.equal(offsets?.high, "1");
  });

  test("kafka: a topic that was deleted is gone", async () => {
    await broker.createTopic("brief", { partitions: 2 });
    await broker.deleteTopic("brief");
    const admin = broker.client.admin();
    await admin.connect();
    const topics = await admin.listTopics();
    await admin.disconnect();
    assert.ok(!topics.includes("brief"), topics.join(", "));
  });
});
