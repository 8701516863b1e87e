/**
 * The receiver against a real broker of the newest version: what a record becomes, and what makes it park.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as zlib from "node:zlib";
import kafkajs from "kafkajs";
import { type KafkaBroker, kafkaBroker, kafkaSkip, saslUser } from "../../services/kafka.ts";
import { kafka } from "../../../receivers/kafka/index.ts";
import { oneForOne } from "../../../src/index.ts";
import { tlsPath } from "../../support/tls-files.ts";
import { KafkaScene } from "./scene.ts";
import { asAdmin, committedOf, kcat, produce, valuesOf } from "./topics.ts";

const skip = kafkaSkip("4.4.0");

let broker: KafkaBroker;
before(async () => {
  if (skip === false) broker = await kafkaBroker({ version: "4.4.0", secure: true });
});
after(async () => {
  if (skip === false) await broker.remove();
});

test("kafka: keys, headers and timestamps are those of the record", { skip }, async (context) => {
  await broker.createTopic("whole");
  await produce(broker, "whole", [
    { key: "a", value: "1", timestamp: "1700000000001", headers: { unit: "C", site: "north" } },
    { value: "2", timestamp: "1700000000002" },
    {
      key: Buffer.of(0xff, 0x00),
      value: "3",
      timestamp: "1700000000003",
      headers: { raw: Buffer.of(0xc3) },
    },
    { key: "d", value: null, timestamp: "1700000000004" },
    { key: "e", value: "", timestamp: "1700000000005", headers: { many: ["x", "y", "z"] } },
  ]);
  const scene = await KafkaScene.make(context, { brokers: [broker.plain], topics: ["whole"] });
  await scene.start();
  await scene.untilStored(5);
  await scene.stop();
  assert.deepEqual(await scene.records(), [
    {
      channel: "whole-0",
      key: "a",
      value: "1",
      timestampMs: 1_700_000_000_001,
      headers: { unit: "C", site: "north" },
    },
    { channel: "whole-0", key: "", value: "2", timestampMs: 1_700_000_000_002, headers: {} },
    {
      channel: "whole-0",
      key: "base64:/wA=",
      value: "3",
      timestampMs: 1_700_000_000_003,
      headers: { raw: "base64:ww==" },
    },
    {
      channel: "whole-0",
      key: "d",
      value: "",
      timestampMs: 1_700_000_000_004,
      headers: { "kafka-tombstone": "true" },
    },
    {
      channel: "whole-0",
      key: "e",
      value: "",
      timestampMs: 1_700_000_000_005,
      headers: { "many[0]": "x", "many[1]": "y", many: "z" },
    },
  ]);
  assert.equal(await committedOf(broker, "holdfast-orders", "whole"), "5");
});

test("kafka: what the log holds is left out, wherever the group stands", {
  skip,
}, async (context) => {
  await broker.createTopic("again");
  await produce(broker, "again", [{ value: "1" }, { value: "2" }]);
  const scene = await KafkaScene.make(context, {
    brokers: [broker.plain],
    topics: ["again"],
    group: "again",
  });
  await scene.start();
  await scene.untilStored(2);
  await scene.stop();
  await asAdmin(broker, (admin) =>
    admin.setOffsets({
      groupId: "again",
      topic: "again",
      partitions: [{ partition: 0, offset: "1" }],
    }),
  );
  await produce(broker, "again", [{ value: "3" }]);
  await scene.start();
  await scene.untilStored(3);
  await scene.stop();
  assert.deepEqual(
    (await scene.records()).map(({ value }) => value),
    ["1", "2", "3"],
  );
  assert.equal(await committedOf(broker, "again", "again"), "3");
});

test("kafka: a topic that was made again parks with KAFKA_TOPIC_RESET", {
  skip,
}, async (context) => {
  await broker.createTopic("remade");
  await produce(broker, "remade", [{ value: "1" }, { value: "2" }]);
  const scene = await KafkaScene.make(context, {
    brokers: [broker.plain],
    topics: ["remade"],
    group: "remade",
  });
  await scene.start();
  await scene.untilStored(2);
  await scene.stop();
  await broker.deleteTopic("remade");
  await broker.createTopic("remade");
  // More than before: nothing but the id tells.
  await produce(broker, "remade", [{ value: "4" }, { value: "5" }, { value: "6" }]);
  await scene.start();
  assert.equal(await scene.untilParked(), "KAFKA_TOPIC_RESET");
  assert.equal(scene.storedCount, 2);
});

test("kafka: a topic that is not there parks with KAFKA_TOPIC_UNKNOWN", {
  skip,
}, async (context) => {
  const scene = await KafkaScene.make(context, { brokers: [broker.plain], topics: ["nowhere"] });
  await scene.start();
  assert.equal(await scene.untilParked(), "KAFKA_TOPIC_UNKNOWN");
});

test("kafka: a topic that was made again is taken with onTopicReset: accept", {
  skip,
}, async (context) => {
  await broker.createTopic("accepted");
  await produce(broker, "accepted", [{ value: "1" }, { value: "2" }]);
  const scene = await KafkaScene.make(context, {
    brokers: [broker.plain],
    topics: ["accepted"],
    onTopicReset: "accept",
  });
  await scene.start();
  await scene.untilStored(2);
  await scene.stop();
  await broker.deleteTopic("accepted");
  await broker.createTopic("accepted");
  await produce(broker, "accepted", [{ value: "3" }, { value: "4" }, { value: "5" }]);
  // A commit for the old one that came when the new one was there.
  await asAdmin(broker, (admin) =>
    admin.setOffsets({
      groupId: "holdfast-orders",
      topic: "accepted",
      partitions: [{ partition: 0, offset: "2" }],
    }),
  );
  await scene.start();
  await scene.untilStored(5);
  await scene.stop();
  assert.deepEqual(valuesOf(await scene.records()), ["1", "2", "3", "4", "5"]);
});

test("kafka: a topic that is made again while it is read parks", { skip }, async (context) => {
  await broker.createTopic("under");
  await produce(broker, "under", [{ value: "1" }, { value: "2" }]);
  const scene = await KafkaScene.make(context, { brokers: [broker.plain], topics: ["under"] });
  await scene.start();
  await scene.untilStored(2);
  await broker.deleteTopic("under");
  await broker.createTopic("under");
  // Which of the two depends on what is asked first: whether it is there, or which one it is.
  assert.match(await scene.untilParked(), /^KAFKA_TOPIC_(RESET|UNKNOWN)$/);
  assert.equal(scene.storedCount, 2);
});

test("kafka: what passed its retention unread is counted, and the rest is taken", {
  skip,
}, async (context) => {
  await broker.createTopic("short");
  await produce(broker, "short", [{ value: "1" }, { value: "2" }]);
  const scene = await KafkaScene.make(context, { brokers: [broker.plain], topics: ["short"] });
  await scene.start();
  await scene.untilStored(2);
  await scene.stop();
  await produce(broker, "short", [{ value: "3" }, { value: "4" }, { value: "5" }]);
  await asAdmin(broker, async (admin) => {
    // kafkajs deletes only of topics that it has asked about.
    await admin.fetchTopicOffsets("short");
    await admin.deleteTopicRecords({
      topic: "short",
      partitions: [{ partition: 0, offset: "4" }],
    });
  });
  await scene.start();
  await scene.untilStored(3);
  await scene.stop();
  assert.deepEqual(valuesOf(await scene.records()), ["1", "2", "5"]);
  const dropped = scene.events.filter(({ kind }) => kind === "receiver-dropped");
  assert.deepEqual(
    dropped.map((event) => ("reason" in event ? event.reason : "")),
    ["expired"],
  );
});

test("kafka: of transactions only what was committed is taken, and their marks are passed", {
  skip,
}, async (context) => {
  await broker.createTopic("sums");
  const producer = broker.client.producer({
    transactionalId: "sums",
    maxInFlightRequests: 1,
    idempotent: true,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  for (const [value, isKept] of [
    ["1", true],
    ["2", false],
    ["3", true],
    ["4", false],
  ] as const) {
    const transaction = await producer.transaction();
    await transaction.send({ topic: "sums", messages: [{ value }] });
    await (isKept ? transaction.commit() : transaction.abort());
  }
  await producer.disconnect();
  const scene = await KafkaScene.make(context, { brokers: [broker.plain], topics: ["sums"] });
  await scene.start();
  await scene.untilStored(2);
  await scene.until(
    "the group is behind the last mark",
    async () => (await committedOf(broker, "holdfast-orders", "sums")) === "8",
  );
  await scene.stop();
  assert.deepEqual(valuesOf(await scene.records()), ["1", "3"]);
});

test("kafka: batches that librdkafka compressed are read", { skip }, async (context) => {
  const codecs = ["gzip", "snappy", "lz4", ...("zstdDecompress" in zlib ? ["zstd"] : [])];
  const topics = codecs.map((codec) => `packed-${codec}`);
  const lines = Array.from({ length: 2_000 }, (_, i) => `record ${i} of a batch`);
  for (const [i, topic] of topics.entries()) {
    await broker.createTopic(topic);
    await kcat(broker, ["-P", "-t", topic, "-z", codecs[i] ?? ""], lines);
  }
  const scene = await KafkaScene.make(context, { brokers: [broker.plain], topics });
  await scene.start();
  await scene.untilStored(lines.length * topics.length);
  await scene.stop();
  const records = await scene.records();
  for (const topic of topics)
    assert.deepEqual(
      valuesOf(records.filter(({ channel }) => channel === `${topic}-0`)),
      lines,
      topic,
    );
});

test("kafka: zstd with a Node that lacks it parks with KAFKA_CODEC_MISSING", {
  skip: "zstdDecompress" in zlib ? "this Node reads zstd" : skip,
}, async (context) => {
  await broker.createTopic("zstd");
  await kcat(
    broker,
    ["-P", "-t", "zstd", "-z", "zstd"],
    Array.from({ length: 100 }, () => "the same line"),
  );
  const scene = await KafkaScene.make(context, { brokers: [broker.plain], topics: ["zstd"] });
  await scene.start();
  assert.equal(await scene.untilParked(), "KAFKA_CODEC_MISSING");
});

for (const mechanism of ["plain", "scram-sha-256", "scram-sha-512"] as const)
  test(`kafka: logs in with ${mechanism}, and parks with a wrong password`, {
    skip,
  }, async (context) => {
    const topic = `login-${mechanism}`;
    await broker.createTopic(topic);
    await produce(broker, topic, [{ value: "1" }]);
    const options = { brokers: [broker.sasl], topics: [topic], group: topic };
    const scene = await KafkaScene.make(context, { ...options, sasl: { mechanism, ...saslUser } });
    await scene.start();
    await scene.untilStored(1);
    await scene.stop();
    const stranger = await KafkaScene.make(context, {
      ...options,
      sasl: { mechanism, ...saslUser, password: "guessed" },
    });
    await stranger.start();
    assert.equal(await stranger.untilParked(), "KAFKA_UNAUTHORIZED");
  });

test("kafka: TLS, with a certificate of its own too", { skip }, async (context) => {
  await broker.createTopic("hidden");
  await produce(broker, "hidden", [{ value: "1" }]);
  const scene = await KafkaScene.make(context, {
    brokers: [broker.tls],
    topics: ["hidden"],
    tls: {
      ca: tlsPath("first", "cert"),
      cert: tlsPath("client", "cert"),
      key: tlsPath("client", "key"),
    },
  });
  await scene.start();
  await scene.untilStored(1);
});

test("kafka: a broker with an unknown certificate parks with CONNECTION_UNTRUSTED", {
  skip,
}, async (context) => {
  const scene = await KafkaScene.make(context, {
    brokers: [broker.tls],
    topics: ["hidden"],
    tls: { ca: tlsPath("second", "cert") },
  });
  await scene.start();
  assert.equal(await scene.untilParked(), "CONNECTION_UNTRUSTED");
});

test("kafka: a session timeout that the broker forbids parks with KAFKA_GROUP_REFUSED", {
  skip,
}, async (context) => {
  await broker.createTopic("strict");
  const scene = await KafkaScene.make(context, {
    brokers: [broker.plain],
    topics: ["strict"],
    sessionTimeoutMs: 3_600_000,
  });
  await scene.start();
  assert.equal(await scene.untilParked(), "KAFKA_GROUP_REFUSED");
});

test("kafka: a broken connection opens another incarnation even with a decision to resume", {
  skip,
}, async (context) => {
  await broker.createTopic("resumed");
  await produce(broker, "resumed", [{ value: "1" }]);
  const scene = await KafkaScene.make(
    context,
    { brokers: [broker.plain], topics: ["resumed"], sessionTimeoutMs: 3_000, heartbeatMs: 300 },
    {
      supervision: {
        receivers: oneForOne({ maxRestarts: 100, withinMs: 60_000, decide: () => "resume" }),
      },
    },
  );
  await scene.start();
  await scene.untilStored(1);
  await broker.kill();
  await scene.until("the receiver fails", () =>
    scene.events.some(({ kind }) => kind === "unit-failed"),
  );
  await broker.start();
  await produce(broker, "resumed", [{ value: "2" }]);
  await scene.untilStored(2);
});

test("kafka: records that expire while they are read are passed, and the group is told", {
  skip,
}, async (context) => {
  await broker.createTopic("expiring");
  await produce(broker, "expiring", [{ value: "1" }, { value: "2" }]);
  const options = { brokers: [broker.plain], topics: ["expiring"], group: "expiring" };
  const scene = await KafkaScene.make(context, options, {
    receivers: [kafka("orders", { ...options, ingestRateMax: 1 })],
  });
  await scene.start();
  await scene.untilStored(2);
  // At 1 record/s it is paused for 2 s: time for what comes to be gone before it is fetched.
  await produce(broker, "expiring", [{ value: "3" }, { value: "4" }]);
  await asAdmin(broker, async (admin) => {
    await admin.fetchTopicOffsets("expiring");
    await admin.deleteTopicRecords({
      topic: "expiring",
      partitions: [{ partition: 0, offset: "4" }],
    });
  });
  await produce(broker, "expiring", [{ value: "5" }]);
  await scene.until(
    "the group is behind the last record",
    async () => (await committedOf(broker, "expiring", "expiring")) === "5",
  );
  await scene.stop();
  const values = valuesOf(await scene.records());
  // What was held in memory when it expired is there too.
  assert.deepEqual(
    values.filter((value) => value !== "3" && value !== "4"),
    ["1", "2", "5"],
  );
});
