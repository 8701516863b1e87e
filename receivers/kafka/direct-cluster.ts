/**
 * What the direct source asks a cluster: partitions, where they begin and end, their records. No group is joined.
 *
 * A leader that moves is looked for here; everything else that fails is told, and the supervisor decides.
 */
import type { Broker, Cluster } from "kafkajs";
import type { Logger } from "../../src/contract/logger.ts";
import { HoldfastError } from "../../src/errors.ts";
import { atMost, type Clock } from "../../src/host/clock.ts";
import type { ClientTls } from "../../src/host/tls.ts";
import { connectionOf, TRIES } from "./connection.ts";
import type { FetchResult } from "./direct-reader.ts";
import { classify, errorTypeOf } from "./failures.ts";
import { askFetch, FETCH, FETCH_WAIT_MS, type FetchAnswer } from "./fetch.ts";
import { askedOf, keyOf, offsetsByKey, topicIds } from "./lookup.ts";
import type { KafkaDirectOptions } from "./options.ts";
import { type KeyedPartition, keyed } from "./partition-key.ts";
import { METADATA } from "./topic-ids.ts";
import { type Api, type RequestSender, senderOf } from "./wire.ts";

/** What the source works with; the tests have one without brokers. */
export interface DirectCluster {
  /** All partitions of the topics as they are now. @throws KAFKA_TOPIC_UNKNOWN */
  partitions(): Promise<readonly KeyedPartition[]>;
  /** First or next offset of each, by its key. One whose topic is another by now is left out. */
  offsets(
    partitions: readonly KeyedPartition[],
    at: "begin" | "end",
  ): Promise<ReadonlyMap<string, number>>;
  /** At most so many bytes from an offset on, and no more than the options allow; one batch is given whatever its length is. */
  fetch(partition: KeyedPartition, offset: number, bytesMax: number): Promise<FetchResult>;
  /** Ends every connection. May be called twice; never rejects. */
  close(): Promise<void>;
}

/** What a cluster is made of. */
export interface ClusterParts {
  readonly options: KafkaDirectOptions;
  /** For messages: the source and whom it talks to. */
  readonly label: string;
  readonly tls: ClientTls | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends all waits. */
  readonly signal: AbortSignal;
}

/** While a leader moves: so often, and with such pauses, before that is a failure. */
export const LEADER_TRIES = 25;
const LEADER_WAIT_MS = 200;
/** Another id has to be seen so often before the partition counts as gone: a broker may be behind. */
export const GONE_TRIES = 3;
/** For the last answers, when it closes: they are for nobody, and a forced close has a second for everything. */
const CLOSE_MS_MAX = 500;

/** Errors of the protocol by their numbers, as far as they mean something here. */
const OUT_OF_RANGE = 1;
const UNAUTHORIZED = 29;
/** The topic, or its partition, is not there for this broker; its id is another one. */
const UNKNOWN_CODES: ReadonlySet<number> = new Set([3, 100, 103]);
/** No leader, another one, an epoch that is old or new; a replica or a disk that is away. */
const MOVING_CODES: ReadonlySet<number> = new Set([5, 6, 8, 9, 56, 74, 75, 76]);
/** The same, as kafkajs calls them. */
const MOVING_TYPES: ReadonlySet<string> = new Set([
  "LEADER_NOT_AVAILABLE",
  "NOT_LEADER_FOR_PARTITION",
  "REPLICA_NOT_AVAILABLE",
  "KAFKA_STORAGE_ERROR",
  "FENCED_LEADER_EPOCH",
  "UNKNOWN_LEADER_EPOCH",
  "OFFSET_NOT_AVAILABLE",
  "UNKNOWN_TOPIC_OR_PARTITION",
  "KafkaJSBrokerNotFound",
]);

/** See the file's head. */
export class KafkaCluster implements DirectCluster {
  readonly #parts: ClusterParts;
  readonly #client: ClusterClient;
  readonly #cluster: Cluster;
  #closing: Promise<void> | undefined;

  constructor(parts: ClusterParts, client: ClusterClient = clientOf(parts)) {
    this.#parts = parts;
    this.#client = client;
    this.#cluster = client.cluster;
  }

  /** @throws KAFKA_VERSION_UNSUPPORTED, and what connecting throws */
  async connect(): Promise<void> {
    await this.#asked(async () => {
      await this.#cluster.connect();
      await this.#cluster.addMultipleTargetTopics([...this.#parts.options.topics]);
      const [nodeId] = this.#cluster.getNodeIds();
      const broker = await this.#cluster.findBroker({ nodeId: String(nodeId) });
      for (const api of [METADATA, FETCH]) senderFor(this.#parts.label, broker, api);
    });
    this.#client.opened();
  }

  async partitions(): Promise<readonly KeyedPartition[]> {
    const { topics } = this.#parts.options;
    return await this.#asked(async () => {
      await this.#refresh();
      const ids = await topicIds(this.#cluster, topics);
      return topics.flatMap((topic) => {
        const id = ids.get(topic);
        const known = this.#cluster.findTopicPartitionMetadata(topic);
        return id === undefined
          ? []
          : known.map(({ partitionId }) => keyed(topic, partitionId, id));
      });
    });
  }

  async offsets(
    partitions: readonly KeyedPartition[],
    at: "begin" | "end",
  ): Promise<ReadonlyMap<string, number>> {
    const fromBeginning = at === "begin";
    const topics = askedOf(partitions).map((each) => ({ ...each, fromBeginning }));
    const [offsets, ids] = await this.#asked(async () => {
      const answer = await this.#cluster.fetchTopicsOffset(topics);
      // Asked for by names: only an id that is still the same afterwards says whose they are.
      const names = topics.map(({ topic }) => topic);
      return [offsetsByKey(answer), await topicIds(this.#cluster, names)] as const;
    });
    const found = new Map<string, number>();
    for (const partition of partitions) {
      const offset = offsets.get(keyOf(partition));
      if (offset !== undefined && ids.get(partition.topic) === partition.topicId)
        found.set(partition.key, offset);
    }
    return found;
  }

  async fetch(partition: KeyedPartition, offset: number, bytesMax: number): Promise<FetchResult> {
    let goneCount = 0;
    for (let tries = 1; ; tries++) {
      const answer = await this.#fetchOnce(partition, offset, bytesMax);
      const result = await this.#resultOf(partition, answer);
      if (result !== undefined) return result;
      if (UNKNOWN_CODES.has(answer.errorCode) && (await this.#isAnother(partition))) goneCount++;
      if (goneCount === GONE_TRIES) return { kind: "gone" };
      if (tries === LEADER_TRIES) throw this.#refused(partition, answer.errorCode);
      await this.#parts.clock.sleep(LEADER_WAIT_MS, this.#parts.signal);
      await this.#asked(() => this.#refresh());
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #fetchOnce(
    partition: KeyedPartition,
    offset: number,
    bytesMax: number,
  ): Promise<FetchAnswer> {
    const { label, options } = this.#parts;
    const { topic, partition: number, topicId } = partition;
    return await this.#asked(async () => {
      // A plan may be of a topic that the options no longer name.
      await this.#cluster.addTargetTopic(topic);
      const leaders = this.#cluster.findLeaderForPartitions(topic, [number]);
      const [nodeId] = Object.keys(leaders);
      if (nodeId === undefined) return NO_PARTITION;
      const sender = senderFor(label, await this.#cluster.findBroker({ nodeId }), FETCH);
      const { fetchBytesMax, readUncommitted } = options;
      return await askFetch(sender, {
        label: `${label}: ${keyOf(partition)}`,
        topicId,
        partition: number,
        offset,
        bytesMax: Math.min(bytesMax, fetchBytesMax),
        readUncommitted,
      });
    });
  }

  /** Undefined when it is to be asked again. */
  async #resultOf(
    partition: KeyedPartition,
    answer: FetchAnswer,
  ): Promise<FetchResult | undefined> {
    const { errorCode } = answer;
    // A broker that limits its clients answers without the partition.
    if (errorCode === 0) return answer.end < 0 ? undefined : { kind: "fetched", ...answer };
    if (errorCode === OUT_OF_RANGE) return await this.#outside(partition);
    if (UNKNOWN_CODES.has(errorCode) || MOVING_CODES.has(errorCode)) return undefined;
    throw this.#refused(partition, errorCode);
  }

  async #outside(partition: KeyedPartition): Promise<FetchResult | undefined> {
    const begin = (await this.offsets([partition], "begin")).get(partition.key);
    const end = (await this.offsets([partition], "end")).get(partition.key);
    return begin === undefined || end === undefined ? undefined : { kind: "outside", begin, end };
  }

  async #isAnother({ topic, topicId }: KeyedPartition): Promise<boolean> {
    const id = (await this.#asked(() => topicIds(this.#cluster, [topic]))).get(topic);
    // None at all may be a broker that does not know it yet; one that stays away is told of in the end.
    return id !== undefined && id !== topicId;
  }

  #refused({ topic, partition }: KeyedPartition, errorCode: number): HoldfastError {
    const code = codeFor(errorCode);
    if (errorCode === 0)
      return new HoldfastError(
        code,
        `${this.#parts.label}: ${keyOf({ topic, partition })}: a broker has answered ${LEADER_TRIES} times without the partition, as it does beyond a quota`,
        {
          fix: "raise the quota consumer_byte_rate of this client: what it allows in ten seconds has to take the longest batch",
        },
      );
    return new HoldfastError(
      code,
      `${this.#parts.label}: ${keyOf({ topic, partition })} cannot be read, error ${errorCode} of the protocol`,
      { fix: FIXES[code] },
    );
  }

  /** Looks at the topics of the options again. Another one, of an old plan, would fail it when it is no more. */
  async #refresh(): Promise<void> {
    const { topics } = this.#parts.options;
    // Kafkajs declares it private, and never forgets a topic itself.
    const known: unknown = "targetTopics" in this.#cluster ? this.#cluster.targetTopics : undefined;
    if (known instanceof Set)
      for (const topic of known) if (!topics.includes(topic)) known.delete(topic);
    await this.#cluster.refreshMetadata();
  }

  /** Does it, with our codes; while leaders move again and again. */
  async #asked<T>(work: () => Promise<T>): Promise<T> {
    const { label, clock, signal } = this.#parts;
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (cause) {
        const isOver = tries === LEADER_TRIES || this.#closing !== undefined;
        if (isOver || !MOVING_TYPES.has(errorTypeOf(cause))) throw classify(label, cause);
      }
      await clock.sleep(LEADER_WAIT_MS, signal);
      // What is wrong with it shows when the work is done again.
      await this.#refresh().catch(() => undefined);
    }
  }

  async #close(): Promise<void> {
    const disconnected = this.#client.disconnect().catch(() => {
      // The brokers hear of it from the sockets.
    });
    await atMost(this.#parts.clock, CLOSE_MS_MAX, disconnected);
    this.#client.closeSockets();
  }
}

/** kafkajs, as one incarnation uses it. */
export interface ClusterClient {
  readonly cluster: Cluster;
  disconnect(): Promise<void>;
  /** Ends whatever is still open. */
  closeSockets(): void;
  /** It has connected. */
  opened(): void;
}

function clientOf(parts: ClusterParts): ClusterClient {
  const { kafka, sockets, opened } = connectionOf({
    ...parts,
    maxWaitMs: FETCH_WAIT_MS,
    connections: () => undefined,
    heard: () => undefined,
  });
  let cluster: Cluster | undefined;
  // A consumer that never joins a group: its assigner is told of the cluster.
  const consumer = kafka.consumer({
    groupId: "holdfast-direct",
    partitionAssigners: [
      (config) => {
        cluster = config.cluster;
        return {
          name: "none",
          version: 0,
          assign: () => Promise.resolve([]),
          protocol: () => ({ name: "none", metadata: Buffer.alloc(0) }),
        };
      },
    ],
    allowAutoTopicCreation: false,
    readUncommitted: parts.options.readUncommitted,
    retry: { ...TRIES, restartOnFailure: () => Promise.resolve(false) },
  });
  if (cluster === undefined) throw new TypeError("kafkajs has not made its assigner");
  return {
    cluster,
    disconnect: () => consumer.disconnect(),
    closeSockets: () => sockets.close(),
    opened,
  };
}

/** No leader is known, or no such partition. */
const NO_PARTITION: FetchAnswer = { errorCode: 3, begin: -1, end: -1, batches: [], aborted: [] };

type RefusedCode = "KAFKA_UNAUTHORIZED" | "KAFKA_TOPIC_UNKNOWN" | "KAFKA_FAILED";

const FIXES: Readonly<Record<RefusedCode, string>> = {
  KAFKA_UNAUTHORIZED: "let the access lists of the cluster allow this user to read the topic",
  KAFKA_TOPIC_UNKNOWN:
    "create the topic; if a batch was planned of one that is gone for good, `holdfast pipelines forget` and a start of the pipeline",
  KAFKA_FAILED: "see the list of errors in Kafka's protocol guide, and the broker's log",
};

function codeFor(errorCode: number): RefusedCode {
  if (errorCode === UNAUTHORIZED) return "KAFKA_UNAUTHORIZED";
  return UNKNOWN_CODES.has(errorCode) ? "KAFKA_TOPIC_UNKNOWN" : "KAFKA_FAILED";
}

/** @throws KAFKA_VERSION_UNSUPPORTED when the broker is too old for it */
export function senderFor(label: string, broker: Broker, api: Api): RequestSender {
  const sender = senderOf(broker, api);
  if (sender !== undefined) return sender;
  throw new HoldfastError(
    "KAFKA_VERSION_UNSUPPORTED",
    `${label}: a broker does not answer ${api.apiName} in version ${api.apiVersion}`,
    { fix: "Kafka 3.1 or later, or the kafka receiver, which needs no ids of topics" },
  );
}
