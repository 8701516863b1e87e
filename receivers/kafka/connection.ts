/**
 * kafkajs, as every incarnation uses it: made fresh, without restarts of its own, with our sockets and our logger.
 */
import kafkajs, { type Kafka, type LogEntry, type SASLOptions } from "kafkajs";
import type { Logger } from "../../src/contract/logger.ts";
import type { Clock } from "../../src/host/clock.ts";
import type { ClientTls } from "../../src/host/tls.ts";
import type { KafkaOptions } from "./options.ts";
import { BrokerSockets } from "./sockets.ts";

/** What a connection to a cluster is made of. */
export interface ConnectionParts {
  readonly options: Pick<KafkaOptions, "brokers" | "clientId" | "sasl">;
  readonly tls: ClientTls | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long brokers are told that an answer may take. */
  readonly maxWaitMs: number;
  readonly connections: (count: number) => void;
  /** Hears each warning of kafkajs, also those that are not passed on. */
  readonly heard: (text: string) => void;
}

/** What one incarnation talks to a cluster with. */
export interface Connection {
  readonly kafka: Kafka;
  readonly sockets: BrokerSockets;
  /** The cluster has answered all that opening asks: from here on what kafkajs warns of is passed on. */
  readonly opened: () => void;
}

/** For a TCP connection and its TLS handshake. */
const CONNECT_MS_MAX = 5_000;
/** For an answer, beyond what the broker is told it may wait. */
const REQUEST_MS_MAX = 10_000;
/**
 * Within one attempt: the next broker of the list, a coordinator that is just moving, a join that another member's join
 * has overtaken. What takes longer fails, and the supervisor decides.
 */
export const TRIES = {
  retries: 5,
  initialRetryTime: 100,
  maxRetryTime: 1_000,
  factor: 0.2,
} as const;
/** The same text from kafkajs is passed on so often. */
const TOLD_MS = 60_000;
/** Texts that are remembered for that. */
const TEXTS_MAX = 64;

/** Makes it; nothing is connected yet. */
export function connectionOf(parts: ConnectionParts): Connection {
  const { options, tls, clock, logger, maxWaitMs, connections, heard } = parts;
  const sockets = new BrokerSockets(tls, connections);
  const { sasl, brokers, clientId } = options;
  let isOpen = false;
  const retries = Math.max(TRIES.retries, brokers.length);
  const kafka = new kafkajs.Kafka({
    brokers: [...brokers],
    clientId,
    connectionTimeout: CONNECT_MS_MAX,
    authenticationTimeout: REQUEST_MS_MAX,
    requestTimeout: REQUEST_MS_MAX + maxWaitMs,
    retry: { ...TRIES, retries },
    socketFactory: sockets.create,
    logLevel: kafkajs.logLevel.WARN,
    // Until it is open the attempt's own error says it, and each attempt would say it anew.
    logCreator: () => told({ clock, logger, heard, level: () => (isOpen ? "warn" : "debug") }),
    // The mechanism is one of kafkajs's, which declares a type for each.
    ...(sasl === undefined ? {} : { sasl: { ...sasl } as SASLOptions }),
  });
  const opened = (): void => {
    isOpen = true;
  };
  return { kafka, sockets, opened };
}

/** kafkajs's warnings and errors, each text once a minute; what it means for the receiver its own error says. */
function told({
  clock,
  logger,
  heard,
  level: levelNow,
}: Pick<ConnectionParts, "clock" | "logger" | "heard"> & {
  readonly level: () => "warn" | "debug";
}): (entry: LogEntry) => void {
  const toldMs = new Map<string, number>();
  return ({ log, namespace }) => {
    heard(log.message);
    const text = `kafkajs: ${namespace}: ${log.message}`;
    const level = levelNow();
    const key = `${level} ${text}`;
    const nowMs = clock.monotonicMs();
    if (nowMs - (toldMs.get(key) ?? -Infinity) < TOLD_MS) return;
    if (toldMs.size >= TEXTS_MAX) toldMs.clear();
    toldMs.set(key, nowMs);
    const { error, broker } = log;
    logger[level](text, {
      ...(typeof error === "string" ? { error } : {}),
      ...(broker === undefined ? {} : { broker }),
    });
  };
}
