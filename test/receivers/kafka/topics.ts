/**
 * Records into topics, and what groups have committed, at a real broker.
 */
import { spawn } from "node:child_process";
import kafkajs, { type Admin, type Message } from "kafkajs";
import type { KafkaBroker } from "../../services/kafka.ts";
import { within } from "../../support/deadline.ts";

/** Sends messages in order, to their partitions or to the first one. */
export async function produce(
  broker: KafkaBroker,
  topic: string,
  messages: readonly Message[],
  compression: kafkajs.CompressionTypes = kafkajs.CompressionTypes.None,
): Promise<void> {
  const producer = broker.client.producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  try {
    const placed = messages.map((message) => ({ partition: 0, ...message }));
    await producer.send({ topic, messages: placed, compression });
  } finally {
    await producer.disconnect();
  }
}

/** Runs kcat, another client with codecs of its own, with these lines as its input. */
export async function kcat(
  broker: KafkaBroker,
  options: readonly string[],
  lines: readonly string[],
): Promise<void> {
  const child = spawn("kcat", ["-b", broker.plain, ...options], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  child.stdin.end(`${lines.join("\n")}\n`);
  const code = await within(30_000, "kcat ends", ended);
  if (code !== 0) throw new Error(`kcat ended with ${code}`);
}

/** Does something as an administrator. */
export async function asAdmin<T>(
  broker: KafkaBroker,
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const admin = broker.client.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** The offset of a partition that a group has committed: "-1" for none. */
export function committedOf(
  broker: KafkaBroker,
  groupId: string,
  topic: string,
  partition = 0,
): Promise<string> {
  return asAdmin(broker, async (admin) => {
    const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] });
    return offsets?.partitions.find((each) => each.partition === partition)?.offset ?? "-1";
  });
}

/** How many records a topic has got so far. */
export function recordCountOf(broker: KafkaBroker, topic: string): Promise<number> {
  return asAdmin(broker, async (admin) =>
    (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0),
  );
}

/** What records hold, in order. */
export function valuesOf(records: readonly { readonly value: string }[]): readonly string[] {
  return records.map(({ value }) => value);
}
