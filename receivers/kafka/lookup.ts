/**
 * Asks the cluster about partitions: what the group has committed, where they begin and end, and the ids of their topics.
 */
import type { Broker, Cluster } from "kafkajs";
import type { PartitionFacts } from "./start.ts";
import { askTopicIds, METADATA } from "./topic-ids.ts";
import { senderOf } from "./wire.ts";

/** A partition of a topic. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** Partitions by topic, as requests want them. */
export function byTopic(
  partitions: readonly TopicPartition[],
): readonly { readonly topic: string; readonly partitions: readonly number[] }[] {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    const known = topics.get(topic);
    if (known === undefined) topics.set(topic, [partition]);
    else known.push(partition);
  }
  return [...topics].map(([topic, numbers]) => ({ topic, partitions: numbers }));
}

/** Whom to ask. */
export interface Asked {
  readonly cluster: Cluster;
  /** Of the group. */
  readonly coordinator: Broker;
  readonly groupId: string;
}

/** The facts of each partition, by {@link keyOf}. One that the cluster no longer knows is left out. */
export async function lookUp(
  { cluster, coordinator, groupId }: Asked,
  partitions: readonly TopicPartition[],
): Promise<ReadonlyMap<string, PartitionFacts>> {
  const asked = askedOf(partitions);
  const [ids, committed, lows, highs] = await Promise.all([
    topicIds(
      cluster,
      asked.map(({ topic }) => topic),
    ),
    committedOffsets(coordinator, groupId, asked),
    cluster.fetchTopicsOffset(asked.map((each) => ({ ...each, fromBeginning: true }))),
    cluster.fetchTopicsOffset(asked.map((each) => ({ ...each, fromBeginning: false }))),
  ]);
  const [low, high] = [lows, highs].map(offsetsByKey);
  const facts = new Map<string, PartitionFacts>();
  for (const each of partitions) {
    const key = keyOf(each);
    const [lowest, highest] = [low?.get(key), high?.get(key)];
    if (lowest === undefined || highest === undefined) continue;
    facts.set(key, {
      topicId: ids.get(each.topic),
      groupOffset: committed.get(key),
      low: lowest,
      high: highest,
    });
  }
  return facts;
}

/** The id of each topic; undefined where the brokers are too old to have ids. */
export async function topicIds(
  cluster: Cluster,
  topics: readonly string[],
): Promise<ReadonlyMap<string, string | undefined>> {
  const [nodeId] = cluster.getNodeIds();
  const sender = senderOf(await cluster.findBroker({ nodeId: String(nodeId) }), METADATA);
  return sender === undefined ? new Map() : await askTopicIds(sender, topics);
}

/** The name of a partition's channel and of its entry in maps: `orders-0`. */
export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}

/** A topic as kafkajs wants it in a question about offsets. */
export interface AskedTopic {
  readonly topic: string;
  readonly partitions: { partition: number }[];
}

/** Partitions by topic, for such a question. */
export function askedOf(partitions: readonly TopicPartition[]): readonly AskedTopic[] {
  return byTopic(partitions).map(({ topic, partitions: numbers }) => ({
    topic,
    partitions: numbers.map((partition) => ({ partition })),
  }));
}

async function committedOffsets(
  coordinator: Broker,
  groupId: string,
  topics: readonly AskedTopic[],
): Promise<ReadonlyMap<string, number>> {
  // kafkajs declares that a question for offsets has offsets; only the numbers of partitions are sent.
  const questions = topics.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map(({ partition }) => ({ partition, offset: "" })),
  }));
  const { responses } = await coordinator.offsetFetch({ groupId, topics: questions });
  return offsetsByKey(responses);
}

/** Offsets as numbers, by {@link keyOf}; negative ones stand for nothing. */
export function offsetsByKey(
  topics: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
  }[],
): ReadonlyMap<string, number> {
  const offsets = new Map<string, number>();
  for (const { topic, partitions } of topics)
    for (const { partition, offset } of partitions)
      if (Number(offset) >= 0) offsets.set(keyOf({ topic, partition }), Number(offset));
  return offsets;
}
