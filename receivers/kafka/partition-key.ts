/**
 * The name of a partition in plans and checkpoints: `orders-0@` and the id of the topic as Kafka's own tools write it. A topic
 * that is made again has other partitions than the one before it.
 */
import type { TopicPartition } from "./lookup.ts";

/** A partition of one topic, whatever another of that name has. */
export interface KeyedPartition extends TopicPartition {
  /** 32 hexadecimal digits. */
  readonly topicId: string;
  readonly key: string;
}

/** With its key. */
export function keyed(topic: string, partition: number, topicId: string): KeyedPartition {
  const id = Buffer.from(topicId, "hex").toString("base64url");
  return { topic, partition, topicId, key: `${topic}-${partition}@${id}` };
}

const KEY = /^([A-Za-z0-9._-]+)-(\d{1,10})@([\w-]{22})$/;

/** The partition that a key stands for; undefined when it stands for none. */
export function parseKey(key: string): KeyedPartition | undefined {
  const [, topic, partition, id] = KEY.exec(key) ?? [];
  if (topic === undefined || id === undefined) return undefined;
  const topicId = Buffer.from(id, "base64url").toString("hex");
  return { topic, partition: Number(partition), topicId, key };
}
