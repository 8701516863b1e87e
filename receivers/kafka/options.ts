/**
 * Options of the kafka receiver, and of the source that reads topics directly.
 */
import { MESSAGE_BYTES_DEFAULT, MESSAGE_BYTES_LIMIT } from "../../src/framing/index.ts";
import { HoldfastError } from "../../src/errors.ts";
import { type ObjectSchema, schema } from "../../src/schema.ts";
import {
  checkTlsConnect,
  type TlsConnectOptions,
  tlsConnectOptions,
} from "../../src/tls-options.ts";

/** How to log in at a broker. Without TLS, `plain` sends the password as it is. */
export interface KafkaSasl {
  readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
  readonly username: string;
  readonly password: string;
}

/** Options with their defaults. */
export interface KafkaOptions {
  /** `host:port` of one or more brokers of the cluster; the others are found through them. */
  readonly brokers: readonly string[];
  /** Names of topics, all partitions of each; they have to exist. */
  readonly topics: readonly string[];
  /** The consumer group. Its members share the partitions. @defaultValue `holdfast-` and the receiver's name */
  readonly group?: string;
  /** What the brokers' logs and quotas call us. @defaultValue holdfast */
  readonly clientId: string;
  /** Where a partition starts of which neither the group nor this log knows a position. @defaultValue earliest */
  readonly from: "earliest" | "latest";
  /**
   * What to do when a topic was deleted and made again, so that positions of the old one mean nothing: `park` fails with
   * KAFKA_TOPIC_RESET, `accept` takes the new topic from its beginning. @defaultValue park
   */
  readonly onTopicReset: "park" | "accept";
  /** Logs in at the brokers. @defaultValue nobody in particular */
  readonly sasl?: KafkaSasl;
  /** With it, and only with it, connections are encrypted. @defaultValue plain */
  readonly tls?: TlsConnectOptions;
  /**
   * How keys become text: `text` takes UTF-8 as it is and writes other bytes as `base64:` and base64. @defaultValue text
   */
  readonly keys: "text" | "base64" | "hex";
  /**
   * Records without a value: `store` keeps them as empty values with the header `kafka-tombstone`, `drop` counts them.
   * @defaultValue store
   */
  readonly tombstones: "store" | "drop";
  /** Whether records of transactions that are open or were aborted are taken too. @defaultValue false */
  readonly readUncommitted: boolean;
  /** Longest record: value, key and headers; 1 byte .. 3 MiB. A longer one is set aside. @defaultValue 1 MiB */
  readonly messageBytesMax: number;
  /** A member that was silent for so long is put out of the group, 1 s .. 1 h. @defaultValue 30,000 */
  readonly sessionTimeoutMs: number;
  /** Between two heartbeats, 100 ms .. 10 min; less than half of sessionTimeoutMs. @defaultValue 3,000 */
  readonly heartbeatMs: number;
  /** How long members have for joining again, 1 s .. 1 h. @defaultValue 60,000 */
  readonly rebalanceTimeoutMs: number;
  /** Longest wait of a fetch for records, and about what a stop takes, 10 ms .. 10 s. @defaultValue 250 */
  readonly maxWaitMs: number;
  /** Of one partition in one fetch, as it is on the broker, 1 KiB .. 64 MiB. @defaultValue 1 MiB */
  readonly partitionBytesMax: number;
  /** Of one fetch from one broker, as it is there, 1 KiB .. 256 MiB. @defaultValue 8 MiB */
  readonly fetchBytesMax: number;
  /** Between two commits of offsets, 10 ms .. 10 min. @defaultValue 1,000 */
  readonly commitIntervalMs: number;
}

/** What one writes: brokers, topics, and what differs from the defaults. */
export type KafkaInput = Pick<KafkaOptions, "brokers" | "topics"> & Partial<KafkaOptions>;

/** Options of a source, with their defaults. Those of the receiver mean here what they mean there. */
export interface KafkaDirectOptions
  extends Pick<
    KafkaOptions,
    "brokers" | "topics" | "clientId" | "sasl" | "tls" | "keys" | "tombstones" | "readUncommitted"
  > {
  /** How often brokers are asked for more while there is nothing, 10 ms .. 10 min. @defaultValue 250 */
  readonly pollMs: number;
  /** How often new partitions are looked for, 1 s .. 24 h. @defaultValue 30,000 */
  readonly refreshMs: number;
  /** Of one partition in one fetch, as it is on the broker, 1 KiB .. 64 MiB. @defaultValue 1 MiB */
  readonly fetchBytesMax: number;
}

/** What one writes for a source: brokers, topics, and what differs from the defaults. */
export type KafkaDirectInput = Pick<KafkaDirectOptions, "brokers" | "topics"> &
  Partial<KafkaDirectOptions>;

const KIB = 1_024;
const MIB = 1_024 * KIB;
const HOUR_MS = 3_600_000;

const sasl: ObjectSchema<KafkaSasl, KafkaSasl> = schema.object({
  mechanism: schema.oneOf("plain", "scram-sha-256", "scram-sha-512"),
  username: schema.string(),
  password: schema.secret(),
});

/** Fields of both. */
const shared = {
  brokers: schema.list(schema.string({ pattern: /^[^\s,/@]+$/, wanted: "host:port" })),
  topics: schema.list(
    schema.string({
      pattern: /^[A-Za-z0-9._-]{1,249}$/,
      wanted: "a topic: 1 to 249 letters, digits, dots, _ and -",
    }),
  ),
  clientId: schema.withDefault(
    schema.string({ pattern: /^\S+$/, wanted: "text without blanks", bytesMax: 255 }),
    "holdfast",
  ),
  sasl: schema.optional(sasl),
  tls: schema.optional(tlsConnectOptions),
  keys: schema.withDefault(schema.oneOf("text", "base64", "hex"), "text"),
  tombstones: schema.withDefault(schema.oneOf("store", "drop"), "store"),
  readUncommitted: schema.withDefault(schema.boolean(), false),
};

/** See {@link KafkaOptions}. */
export const kafkaOptions: ObjectSchema<KafkaInput, KafkaOptions> = schema.object({
  ...shared,
  group: schema.optional(schema.string({ pattern: /\S/, wanted: "a name", bytesMax: 255 })),
  from: schema.withDefault(schema.oneOf("earliest", "latest"), "earliest"),
  onTopicReset: schema.withDefault(schema.oneOf("park", "accept"), "park"),
  messageBytesMax: schema.sizeBytes({
    default: MESSAGE_BYTES_DEFAULT,
    min: 1,
    max: MESSAGE_BYTES_LIMIT,
  }),
  sessionTimeoutMs: schema.durationMs({ default: 30_000, min: 1_000, max: HOUR_MS }),
  heartbeatMs: schema.durationMs({ default: 3_000, min: 100, max: 600_000 }),
  rebalanceTimeoutMs: schema.durationMs({ default: 60_000, min: 1_000, max: HOUR_MS }),
  maxWaitMs: schema.durationMs({ default: 250, min: 10, max: 10_000 }),
  partitionBytesMax: schema.sizeBytes({ default: MIB, min: KIB, max: 64 * MIB }),
  fetchBytesMax: schema.sizeBytes({ default: 8 * MIB, min: KIB, max: 256 * MIB }),
  commitIntervalMs: schema.durationMs({ default: 1_000, min: 10, max: 600_000 }),
});

/** See {@link KafkaDirectOptions}. */
export const kafkaDirectOptions: ObjectSchema<KafkaDirectInput, KafkaDirectOptions> = schema.object(
  {
    ...shared,
    pollMs: schema.durationMs({ default: 250, min: 10, max: 600_000 }),
    refreshMs: schema.durationMs({ default: 30_000, min: 1_000, max: 24 * HOUR_MS }),
    fetchBytesMax: schema.sizeBytes({ default: MIB, min: KIB, max: 64 * MIB }),
  },
);

/** What the schema cannot know. @throws CONFIG_CONFLICT, CONFIG_VALUE */
export function checkKafka(options: KafkaOptions): void {
  const { heartbeatMs, sessionTimeoutMs } = options;
  if (heartbeatMs * 2 > sessionTimeoutMs)
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `kafka: heartbeat is ${heartbeatMs} ms, more than half of sessionTimeout, ${sessionTimeoutMs} ms`,
      { fix: "heartbeat: about a third of sessionTimeout, or less" },
    );
  checkShared(options);
}

/** What the schema cannot know. @throws CONFIG_CONFLICT, CONFIG_VALUE */
export function checkKafkaDirect(options: KafkaDirectOptions): void {
  checkShared(options);
}

/** What no schema knows of either. */
function checkShared({
  brokers,
  topics,
  tls,
}: Pick<KafkaOptions, "brokers" | "topics" | "tls">): void {
  for (const [name, list] of Object.entries({ brokers, topics })) {
    if (list.length === 0)
      throw new HoldfastError("CONFIG_VALUE", `kafka: ${name} has 0 entries, at least 1 is needed`);
    if (new Set(list).size < list.length)
      throw new HoldfastError("CONFIG_VALUE", `kafka: ${name} has an entry twice`);
  }
  const portless = brokers.find((each) => !hasPort(each));
  if (portless !== undefined)
    throw new HoldfastError(
      "CONFIG_VALUE",
      `kafka: brokers: ${portless} has no port from 1 to ${PORT_MAX}`,
      { fix: "brokers: [kafka-1.example:9092]" },
    );
  if (tls !== undefined) checkTlsConnect("kafka", tls);
}

const PORT_MAX = 65_535;

function hasPort(broker: string): boolean {
  const port = Number(/^.+:(\d{1,5})$/.exec(broker)?.[1]);
  return port >= 1 && port <= PORT_MAX;
}
