/**
 * Options of the kafka receiver: their defaults are those of the docstrings, wrong ones are refused.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { kafka, kafkaDirect, type KafkaInput } from "../../../receivers/kafka/index.ts";

const REQUIRED = { brokers: ["broker:9092"], topics: ["orders"] };

test("kafka options: what is left out has its default", () => {
  const receiver = kafka("orders", REQUIRED);
  assert.equal(receiver.redelivers, true);
  assert.deepEqual(receiver.options, {
    ...REQUIRED,
    clientId: "holdfast",
    from: "earliest",
    onTopicReset: "park",
    keys: "text",
    tombstones: "store",
    readUncommitted: false,
    messageBytesMax: 1_048_576,
    sessionTimeoutMs: 30_000,
    heartbeatMs: 3_000,
    rebalanceTimeoutMs: 60_000,
    maxWaitMs: 250,
    partitionBytesMax: 1_048_576,
    fetchBytesMax: 8_388_608,
    commitIntervalMs: 1_000,
  });
});

test("kafka direct options: what is left out has its default, and the same things are wrong", () => {
  const source = kafkaDirect("orders", REQUIRED);
  assert.deepEqual(source.options, {
    ...REQUIRED,
    clientId: "holdfast",
    keys: "text",
    tombstones: "store",
    readUncommitted: false,
    pollMs: 250,
    refreshMs: 30_000,
    fetchBytesMax: 1_048_576,
  });
  for (const [options, code] of [
    [{ brokers: [] }, "CONFIG_VALUE"],
    [{ topics: ["a", "a"] }, "CONFIG_VALUE"],
    [{ tls: { key: "key.pem" } }, "CONFIG_CONFLICT"],
    [{ pollMs: 1 }, "CONFIG_OUT_OF_RANGE"],
    [{ ["group" as never]: "a" }, "CONFIG_KEY_UNKNOWN"],
  ] as const)
    assert.throws(() => kafkaDirect("orders", { ...REQUIRED, ...options }), { code });
});

const WRONG: readonly (readonly [title: string, options: KafkaInput, code: string])[] = [
  ["no broker", { ...REQUIRED, brokers: [] }, "CONFIG_VALUE"],
  ["no topic", { ...REQUIRED, topics: [] }, "CONFIG_VALUE"],
  ["a topic twice", { ...REQUIRED, topics: ["a", "a"] }, "CONFIG_VALUE"],
  ["a broker without a port", { ...REQUIRED, brokers: ["broker"] }, "CONFIG_VALUE"],
  ["a port without a broker", { ...REQUIRED, brokers: ["9092"] }, "CONFIG_VALUE"],
  ["a port that is none", { ...REQUIRED, brokers: ["broker:65536"] }, "CONFIG_VALUE"],
  [
    "a broker as an address of the web",
    { ...REQUIRED, brokers: ["http://broker:9092"] },
    "CONFIG_VALUE",
  ],
  ["a topic that Kafka would refuse", { ...REQUIRED, topics: ["a b"] }, "CONFIG_VALUE"],
  ["an empty group", { ...REQUIRED, group: "" }, "CONFIG_VALUE"],
  [
    "heartbeats that are too rare",
    { ...REQUIRED, sessionTimeoutMs: 5_000, heartbeatMs: 2_501 },
    "CONFIG_CONFLICT",
  ],
  ["a key without its certificate", { ...REQUIRED, tls: { key: "key.pem" } }, "CONFIG_CONFLICT"],
  [
    "records that no block can hold",
    { ...REQUIRED, messageBytesMax: 4 * 1_048_576 },
    "CONFIG_OUT_OF_RANGE",
  ],
];

for (const [title, options, code] of WRONG)
  test(`kafka options: ${title} is ${code}`, () => {
    assert.throws(() => kafka("orders", options), { code });
  });
