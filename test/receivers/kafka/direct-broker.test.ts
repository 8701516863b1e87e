/**
 * Topics read directly from a real broker.
 */
import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import * as zlib from "node:zlib";
import kafkajs from "kafkajs";
import { registerCodecs } from "../../../receivers/kafka/codecs.ts";
import { KafkaCluster } from "../../../receivers/kafka/direct-cluster.ts";
import { kafkaDirect } from "../../../receivers/kafka/index.ts";
import type { KafkaDirectOptions } from "../../../receivers/kafka/options.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { realClock } from "../../../src/host/clock.ts";
import { type KafkaBroker, kafkaBroker, kafkaSkip, saslUser } from "../../services/kafka.ts";
import { silentLogger } from "../../support/logger.ts";
import { tlsPath } from "../../support/tls-files.ts";
import { DirectScene } from "./direct-scene.ts";
import { asAdmin, kcat, produce } from "./topics.ts";

const skip = kafkaSkip();

let broker: KafkaBroker;
before(async () => {
  if (skip === false)
    broker = await kafkaBroker({
      secure: true,
      properties: { "log.cleaner.backoff.ms": "100" },
    });
});
after(async () => {
  if (skip === false) await broker.remove();
});

/** Numbers as messages of a partition. */
function numbers(from: number, to: number, partition = 0): { value: string; partition: number }[] {
  return Array.from({ length: to - from }, (_, i) => ({ value: String(from + i), partition }));
}

function upTo(count: number): readonly number[] {
  return Array.from({ length: count }, (_, number) => number);
}

test("kafka direct: many partitions, every record once and in order, over restarts and in bounded batches", {
  skip,
}, async (context) => {
  await broker.createTopic("many", { partitions: 12 });
  const messages = Array.from({ length: 12 }, (_, p) => numbers(p * 100, p * 100 + 100, p)).flat();
  await produce(broker, "many", messages);
  const scene = await DirectScene.make(context, { brokers: [broker.plain], topics: ["many"] }, 250);
  await scene.start();
  await scene.untilRows(1_200);
  await scene.stop();
  assert.deepEqual(scene.sorted, upTo(1_200));
  for (const { recordCount } of scene.of("batch-completed")) assert.ok(recordCount <= 250);
  for (let p = 0; p < 12; p++) {
    const own = scene.sink.rows.map(Number).filter((row) => Math.floor(row / 100) === p);
    assert.deepEqual(
      own,
      numbers(p * 100, p * 100 + 100).map(({ value }) => Number(value)),
    );
  }
  await produce(broker, "many", numbers(1_200, 1_250, 3));
  await scene.start();
  await scene.untilRows(1_250);
  await produce(broker, "many", numbers(1_250, 1_260, 5));
  await scene.untilRows(1_260);
  await scene.stop();
  assert.deepEqual(scene.sorted, upTo(1_260));
});

test("kafka direct: batches that librdkafka compressed are read", { skip }, async (context) => {
  const codecs = ["gzip", "snappy", "lz4", ...("zstdDecompress" in zlib ? ["zstd"] : [])];
  const topics = codecs.map((codec) => `direct-${codec}`);
  for (const [i, topic] of topics.entries()) {
    await broker.createTopic(topic);
    const lines = numbers(i * 2_000, i * 2_000 + 2_000).map(({ value }) => value);
    await kcat(broker, ["-P", "-t", topic, "-z", codecs[i] ?? ""], lines);
  }
  const scene = await DirectScene.make(context, { brokers: [broker.plain], topics });
  await scene.start();
  await scene.untilRows(codecs.length * 2_000);
  await scene.stop();
  assert.deepEqual(scene.sorted, upTo(codecs.length * 2_000));
});

test("kafka direct: of transactions only what was committed is a row; marks are no loss", {
  skip,
}, async (context) => {
  await broker.createTopic("sums");
  await transactions("sums", 40);
  const scene = await DirectScene.make(context, { brokers: [broker.plain], topics: ["sums"] }, 7);
  await scene.start();
  const isKept = (value: number): boolean => Math.floor(value / 3) % 3 !== 1;
  const kept = upTo(120).filter(isKept);
  await scene.untilRows(kept.length);
  await produce(broker, "sums", numbers(120, 121));
  await scene.untilRows(kept.length + 1);
  await scene.stop();
  assert.deepEqual(scene.sink.rows, [...kept, 120]);
  assert.deepEqual(scene.of("source-gap"), []);
  const all = await DirectScene.make(context, {
    brokers: [broker.plain],
    topics: ["sums"],
    readUncommitted: true,
  });
  await all.start();
  await all.untilRows(121);
  await all.stop();
  assert.deepEqual(all.sink.rows, upTo(121));
});

/** Transactions of three numbers each, one after the other; the second of any three is aborted. */
async function transactions(topic: string, count: number): Promise<void> {
  const producer = broker.client.producer({
    transactionalId: topic,
    maxInFlightRequests: 1,
    idempotent: true,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  for (let i = 0; i < count; i++) {
    const transaction = await producer.transaction();
    // A key that looks like the mark of an aborted transaction, and is none.
    const messages = numbers(i * 3, i * 3 + 3).map(({ value }) => ({ value, key: NOT_A_MARK }));
    await transaction.send({ topic, messages });
    await (i % 3 === 1 ? transaction.abort() : transaction.commit());
  }
  await producer.disconnect();
}

const NOT_A_MARK = Buffer.of(0, 0, 0, 0);

/** Keys in the first answer of a topic's first partition. */
async function firstKeys(options: KafkaDirectOptions): Promise<readonly string[]> {
  registerCodecs();
  const cluster = new KafkaCluster({
    options,
    label: "test",
    tls: undefined,
    clock: realClock,
    logger: silentLogger,
    signal: new AbortController().signal,
  });
  try {
    await cluster.connect();
    const [partition] = await cluster.partitions();
    assert.ok(partition !== undefined);
    const answer = await cluster.fetch(partition, 0, 1_048_576);
    assert.ok(answer.kind === "fetched");
    const keys: string[] = [];
    for (const batch of answer.batches)
      for (const records of await batch.records({ from: 0, to: answer.end }))
        keys.push(...records.map(({ key }) => String(key)));
    return keys;
  } finally {
    await cluster.close();
    await cluster.close();
  }
}

test("kafka direct: a compacted topic has holes that are no loss", { skip }, async (context) => {
  await broker.createTopic("latest", {
    config: {
      "cleanup.policy": "compact",
      "segment.ms": "200",
      "min.cleanable.dirty.ratio": "0.01",
      "max.compaction.lag.ms": "200",
    },
  });
  const options = { brokers: [broker.plain], topics: ["latest"] };
  const { options: resolved } = kafkaDirect("latest", options);
  const key = (value: string): string => (Number(value) % 10 < 7 ? "often" : value);
  for (let i = 0; i < 5; i++)
    await produce(
      broker,
      "latest",
      numbers(i * 40, i * 40 + 40).map(({ value }) => ({ value, key: key(value) })),
    );
  const scene = await DirectScene.make(context, options, 33);
  let count = 200;
  await scene.until("the topic is compacted", async () => {
    // A segment is closed when the next record comes.
    await produce(broker, "latest", [{ value: String(count++), key: "roll" }]);
    // Decode boundary: as its own factory has resolved them.
    const keys = await firstKeys(resolved as KafkaDirectOptions);
    return keys.filter((each) => each === "often").length <= 1;
  });
  await produce(broker, "latest", [{ value: String(count), key: "last" }]);
  await scene.start();
  await scene.until("the last record is a row", () => scene.sink.rows.includes(count));
  await scene.stop();
  const rare = upTo(200).filter((value) => value % 10 >= 7);
  assert.deepEqual(
    rare.filter((value) => !scene.sink.rows.includes(value)),
    [],
  );
  assert.equal(new Set(scene.sink.rows).size, scene.sink.rows.length);
  assert.deepEqual(scene.sink.rows, scene.sorted);
  assert.ok(scene.sink.rows.length < count, `${scene.sink.rows.length} of ${count}`);
  assert.deepEqual(scene.of("source-gap"), []);
});

/** A scene that has stopped with an open plan over offsets 10 to 20. */
async function withOpenPlan(context: TestContext, topic: string): Promise<DirectScene> {
  await broker.createTopic(topic);
  await produce(broker, topic, numbers(0, 10));
  const scene = await DirectScene.make(context, { brokers: [broker.plain], topics: [topic] });
  await scene.start();
  await scene.untilRows(10);
  await scene.until("it is committed", () => scene.of("batch-completed").length > 0);
  scene.sink.answers.push(new HoldfastError("SINK_CONFLICT", "parks, says the test"));
  await produce(broker, topic, numbers(10, 20));
  assert.equal(await scene.untilParked(), "SINK_CONFLICT");
  await scene.stop();
  return scene;
}

/** Gaps that were told, without those of earlier replays. */
function gapsOf(scene: DirectScene): readonly unknown[] {
  return scene
    .of("source-gap")
    .map(({ partition, from, to, reason }) => [partition.replace(/@.*/, ""), from, to, reason]);
}

test("kafka direct: retention that overtakes an open plan is an exact gap", {
  skip,
}, async (context) => {
  const scene = await withOpenPlan(context, "short");
  await asAdmin(broker, async (admin) => {
    // kafkajs wants to have heard of the topic.
    await admin.fetchTopicOffsets("short");
    await admin.deleteTopicRecords({
      topic: "short",
      partitions: [{ partition: 0, offset: "17" }],
    });
  });
  await produce(broker, "short", numbers(20, 22));
  await scene.start();
  await scene.untilRows(15);
  await scene.stop();
  assert.deepEqual(scene.sink.rows, [...upTo(10), 17, 18, 19, 20, 21]);
  assert.deepEqual(gapsOf(scene), [["short-0", 10, 17, "dropped"]]);
});

test("kafka direct: a topic that was made again is read from its beginning, and the old plan is an exact gap", {
  skip,
}, async (context) => {
  const scene = await withOpenPlan(context, "again");
  await broker.deleteTopic("again");
  await broker.createTopic("again");
  // More than was planned of the old one: its offsets alone would not tell.
  await produce(broker, "again", numbers(100, 130));
  await scene.start();
  await scene.untilRows(40);
  assert.deepEqual(gapsOf(scene), [["again-0", 10, 20, "partition-gone"]]);
  // And while it is read.
  await broker.deleteTopic("again");
  await broker.createTopic("again", { partitions: 2 });
  await produce(broker, "again", [...numbers(200, 240), ...numbers(240, 245, 1)]);
  await scene.untilRows(85);
  await scene.stop();
  const expected = [...upTo(10), ...upTo(30).map((i) => i + 100), ...upTo(45).map((i) => i + 200)];
  assert.deepEqual(scene.sorted, expected);
  assert.equal(scene.of("unit-parked").length, 1);
});

test("kafka direct: partitions that are added are found, and begin at their beginning", {
  skip,
}, async (context) => {
  await broker.createTopic("growing");
  const scene = await DirectScene.make(context, {
    brokers: [broker.plain],
    topics: ["growing"],
    refreshMs: 1_000,
  });
  await scene.start();
  await produce(broker, "growing", numbers(0, 3));
  await scene.untilRows(3);
  await asAdmin(broker, (admin) =>
    admin.createPartitions({ topicPartitions: [{ topic: "growing", count: 3 }] }),
  );
  await produce(broker, "growing", numbers(3, 6, 2));
  await scene.untilRows(6);
  await scene.stop();
  assert.deepEqual(scene.sink.rows, upTo(6));
});

test("kafka direct: logs in, and with TLS; a wrong password and a topic that is not there park", {
  skip,
}, async (context) => {
  await broker.createTopic("guarded");
  const sasl = { mechanism: "scram-sha-256", ...saslUser } as const;
  const options = { brokers: [broker.sasl], topics: ["guarded"], sasl };
  const stranger = await DirectScene.make(context, {
    ...options,
    sasl: { ...sasl, password: "guessed" },
  });
  await stranger.start();
  assert.equal(await stranger.untilParked(), "KAFKA_UNAUTHORIZED");
  const elsewhere = await DirectScene.make(context, { ...options, topics: ["nowhere"] });
  await elsewhere.start();
  assert.equal(await elsewhere.untilParked(), "KAFKA_TOPIC_UNKNOWN");
  const scene = await DirectScene.make(context, options);
  await scene.start();
  await produce(broker, "guarded", numbers(0, 2));
  await scene.untilRows(2);
  const secret = await DirectScene.make(context, {
    brokers: [broker.tls],
    topics: ["guarded"],
    tls: { ca: tlsPath("first", "cert") },
  });
  await secret.start();
  await secret.untilRows(2);
});

test("kafka direct: a broker that is killed in the middle costs nothing", {
  skip,
}, async (context) => {
  await broker.createTopic("steady", { partitions: 3 });
  // In many batches, of which a fetch is cut anywhere.
  for (let i = 0; i < 3_000; i += 250)
    await produce(
      broker,
      "steady",
      [0, 1, 2].flatMap((p) => numbers(p * 3_000 + i, p * 3_000 + i + 250, p)),
    );
  const options = { brokers: [broker.plain], topics: ["steady"], fetchBytesMax: 5_000 };
  const scene = await DirectScene.make(context, options, 200);
  await scene.start();
  for (const count of [1_000, 4_000]) {
    await scene.untilRows(count);
    const before = scene.of("unit-failed").length;
    await broker.kill();
    await scene.until("the pipeline has noticed", () => scene.of("unit-failed").length > before);
    await broker.start();
  }
  await scene.untilRows(9_000);
  await scene.stop();
  assert.deepEqual(scene.sorted, upTo(9_000));
  assert.deepEqual(scene.of("source-gap"), []);
});
