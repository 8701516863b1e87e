/**
 * A consumer of kafkajs as one incarnation of a receiver uses it, and the cluster behind it.
 */
import kafkajs, { type Cluster, type Consumer, type PartitionAssigner } from "kafkajs";
import type { Logger } from "../../src/contract/logger.ts";
import type { Clock } from "../../src/host/clock.ts";
import type { ClientTls } from "../../src/host/tls.ts";
import { connectionOf, TRIES } from "./connection.ts";
import { lookUp, type TopicPartition } from "./lookup.ts";
import type { KafkaOptions } from "./options.ts";
import type { BrokerSockets } from "./sockets.ts";
import type { PartitionFacts } from "./start.ts";

/** What a client is made of. */
export interface ClientParts {
  readonly options: KafkaOptions;
  readonly group: string;
  readonly tls: ClientTls | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly connections: (count: number) => void;
  /** kafkajs found the offset of some partition out of range, and goes on from another one. */
  readonly reset: () => void;
  /** Awaited each time before it joins the group: the last moment to commit for what may be another member's then. */
  readonly beforeJoin: () => Promise<void>;
}

/** What kafkajs says, and tells nobody else, before it forgets an offset. Should the text change, the ids tell. */
const OUT_OF_RANGE = "Offset out of range";

/** A consumer and what it hides. */
export class KafkaClient {
  readonly consumer: Consumer;
  readonly #sockets: BrokerSockets;
  readonly #group: string;
  readonly #opened: () => void;
  #cluster: Cluster | undefined;
  #findCoordinator: Cluster["findGroupCoordinator"] | undefined;

  constructor(parts: ClientParts) {
    const { options, group, reset, beforeJoin } = parts;
    this.#group = group;
    const { kafka, sockets, opened } = connectionOf({
      ...parts,
      maxWaitMs: options.maxWaitMs,
      heard: (text) => (text.startsWith(OUT_OF_RANGE) ? reset() : undefined),
    });
    this.#sockets = sockets;
    this.#opened = opened;
    // An assigner is told of the cluster: the only public way to ask it for positions and ids.
    const assigner: PartitionAssigner = (config) => {
      const { cluster } = config;
      this.#cluster = cluster;
      // Each join begins with looking for the coordinator, and nothing else does.
      const find = cluster.findGroupCoordinator.bind(cluster);
      this.#findCoordinator = find;
      cluster.findGroupCoordinator = async (asked) => {
        await beforeJoin();
        return await find(asked);
      };
      return kafkajs.PartitionAssigners.roundRobin(config);
    };
    this.consumer = kafka.consumer({
      groupId: group,
      partitionAssigners: [assigner],
      sessionTimeout: options.sessionTimeoutMs,
      rebalanceTimeout: options.rebalanceTimeoutMs,
      heartbeatInterval: options.heartbeatMs,
      maxBytesPerPartition: options.partitionBytesMax,
      maxBytes: options.fetchBytesMax,
      maxWaitTimeInMs: options.maxWaitMs,
      allowAutoTopicCreation: false,
      readUncommitted: options.readUncommitted,
      retry: { ...TRIES, restartOnFailure: () => Promise.resolve(false) },
    });
  }

  get cluster(): Cluster {
    if (this.#cluster === undefined) throw new TypeError("kafkajs has not made its assigner");
    return this.#cluster;
  }

  /** The facts of each partition that the cluster knows, by {@link keyOf}. */
  async lookUp(
    partitions: readonly TopicPartition[],
  ): Promise<ReadonlyMap<string, PartitionFacts>> {
    const groupId = this.#group;
    const coordinator = await this.#findCoordinator?.({ groupId });
    if (coordinator === undefined) throw new TypeError("kafkajs has not made its assigner");
    return await lookUp({ cluster: this.cluster, coordinator, groupId }, partitions);
  }

  /** Connects and learns of the topics. */
  async connect(topics: readonly string[]): Promise<void> {
    await this.consumer.connect();
    // Each partition is told where to start before it is read; should kafkajs ever choose, nothing is passed over.
    await this.consumer.subscribe({ topics: [...topics], fromBeginning: true });
    this.#opened();
  }

  /** Leaves the group and disconnects; at the latest when `deadline` resolves every socket is gone. Never rejects. */
  async close(deadline: Promise<void>): Promise<void> {
    const disconnected = this.consumer.disconnect().catch(() => {
      // The brokers hear of it from the sockets.
    });
    await Promise.race([disconnected, deadline]);
    this.#sockets.close();
  }
}
