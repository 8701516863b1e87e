/**
 * The suite that every receiver passes, with a real broker: a topic for each case, acknowledged by the group's offset.
 */
import { after, before, test } from "node:test";
import { kafka } from "../../../receivers/kafka/index.ts";
import {
  receiverConformance,
  type ReceiverSubject,
  type TrialUpstream,
} from "../../../src/testing/index.ts";
import { type KafkaBroker, kafkaBroker, kafkaSkip } from "../../services/kafka.ts";
import { committedOf, produce } from "./topics.ts";

const skip = kafkaSkip("4.4.0");
const MESSAGE_BYTES_MAX = 512 * 1024;

let broker: KafkaBroker;
before(async () => {
  if (skip === false) broker = await kafkaBroker({ version: "4.4.0" });
});
after(async () => {
  if (skip === false) await broker.remove();
});

let topicCount = 0;
let topic = "";

/** A producer, and what the group says. */
const upstream: TrialUpstream = {
  send: (messages) =>
    produce(
      broker,
      topic,
      messages.map((value) => ({ value })),
    ),
  acknowledged: async () => Math.max(0, Number(await committedOf(broker, topic, topic))),
  // The broker keeps what was not committed; the receiver comes for it.
  reconnect: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

const subject: ReceiverSubject = {
  name: "kafka",
  prepare: async () => {
    topic = `case-${topicCount++}`;
    await broker.createTopic(topic);
    return () => Promise.resolve();
  },
  create: (options) =>
    kafka("orders", {
      ...options,
      brokers: [broker.plain],
      topics: [topic],
      group: topic,
      messageBytesMax: MESSAGE_BYTES_MAX,
      // A member whose process died is gone soon.
      sessionTimeoutMs: 2_000,
      heartbeatMs: 200,
      maxWaitMs: 20,
      commitIntervalMs: 50,
    }),
  connect: () => Promise.resolve(upstream),
  acknowledges: true,
  afterBreak: "once",
  // A partition has one block on the way to the disk: the receiver waits for it before there is pressure.
  holdsBack: false,
  waitMs: 60_000,
  messageBytesMax: MESSAGE_BYTES_MAX,
};

for (const { title, run } of receiverConformance(subject)) test(title, { skip }, run);
