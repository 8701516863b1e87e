/**
 * kafkajs, as one incarnation uses it: made fresh, without restarts of its own, with our sockets and our logger.
 */
import kafkajs, {
  type Cluster,
  type Consumer,
  type LogEntry,
  type PartitionAssigner,
  type SASLOptions,
} from "kafkajs";
import type { Logger } from "../../src/contract/logger.ts";
import type { Clock } from "../../src/host/clock.ts";
import type { ClientTls } from "../../src/host/tls.ts";
import { lookUp, type TopicPartition } from "./lookup.ts";
import type { KafkaOptions } from "./options.ts";
import { BrokerSockets } from "./sockets.ts";
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

/** For a TCP connection and its TLS handshake. */
const CONNECT_MS_MAX = 5_000;
/** For an answer, beyond what the broker is told it may wait. */
const REQUEST_MS_MAX = 10_000;
/**
 * Within one attempt: the next broker of the list, a coordinator that is just moving, a join that another member's join
 * has overtaken. What takes longer fails, and the supervisor decides.
 */
const TRIES = { retries: 5, initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2 } as const;
/** The same text from kafkajs is passed on so often. */
const TOLD_MS = 60_000;
/** Texts that are remembered for that. */
const TEXTS_MAX = 64;

/** What kafkajs says, and tells nobody else, before it forgets an offset. Should the text change, the ids tell. */
const OUT_OF_RANGE = "Offset out of range";

/** A consumer and what it hides. */
export class KafkaClient {
  readonly consumer: Consumer;
  readonly #sockets: BrokerSockets;
  readonly #group: string;
  #cluster: Cluster | undefined;
  #findCoordinator: Cluster["findGroupCoordinator"] | undefined;

  constructor(parts: ClientParts) {
    const { options, group, tls, clock, logger, connections, reset, beforeJoin } = parts;
    this.#group = group;
    this.#sockets = new BrokerSockets(tls, connections);
    const { sasl, brokers, clientId, maxWaitMs } = options;
    const retries = Math.max(TRIES.retries, brokers.length);
    const kafka = new kafkajs.Kafka({
      brokers: [...brokers],
      clientId,
      connectionTimeout: CONNECT_MS_MAX,
      authenticationTimeout: REQUEST_MS_MAX,
      requestTimeout: REQUEST_MS_MAX + maxWaitMs,
      retry: { ...TRIES, retries },
      socketFactory: this.#sockets.create,
      logLevel: kafkajs.logLevel.WARN,
      logCreator: () => told(clock, logger, reset),
      // The mechanism is one of kafkajs's, which declares a type for each.
      ...(sasl === undefined ? {} : { sasl: { ...sasl } as SASLOptions }),
    });
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
      maxWaitTimeInMs: maxWaitMs,
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

/** kafkajs's warnings and errors, each text once a minute; what it means for the receiver its own error says. */
function told(clock: Clock, logger: Logger, reset: () => void): (entry: LogEntry) => void {
  const toldMs = new Map<string, number>();
  return ({ log, namespace }) => {
    if (log.message.startsWith(OUT_OF_RANGE)) reset();
    const text = `kafkajs: ${namespace}: ${log.message}`;
    const nowMs = clock.monotonicMs();
    if (nowMs - (toldMs.get(text) ?? -Infinity) < TOLD_MS) return;
    if (toldMs.size >= TEXTS_MAX) toldMs.clear();
    toldMs.set(text, nowMs);
    const { error, broker } = log;
    logger.warn(text, {
      ...(typeof error === "string" ? { error } : {}),
      ...(broker === undefined ? {} : { broker }),
    });
  };
}
