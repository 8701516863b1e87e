/**
 * What kafkajs and brokers report, as codes of ours. kafkajs's own flag `retriable` is not asked: it calls a refused
 * connection final, and a wrong password worth another try.
 */
import { type Code, HoldfastError, toError } from "../../src/errors.ts";
import { connectionError } from "../../src/host/connection-error.ts";

/** The group changes hands: whoever says so joins again, nothing has failed. */
const REBALANCING: ReadonlySet<string> = new Set([
  "REBALANCE_IN_PROGRESS",
  "ILLEGAL_GENERATION",
  "UNKNOWN_MEMBER_ID",
  "NOT_COORDINATOR_FOR_GROUP",
  "GROUP_COORDINATOR_NOT_AVAILABLE",
  "GROUP_LOAD_IN_PROGRESS",
]);

interface Meaning {
  readonly code: Code;
  readonly fix: string;
}

const UNAUTHORIZED: Meaning = {
  code: "KAFKA_UNAUTHORIZED",
  fix: "check sasl, and what the broker's access lists allow this user: to read the topics, and the group",
};
const UNKNOWN_TOPIC: Meaning = {
  code: "KAFKA_TOPIC_UNKNOWN",
  fix: "create the topic, or correct topics",
};
const GROUP_REFUSED: Meaning = {
  code: "KAFKA_GROUP_REFUSED",
  fix: "check group and sessionTimeout, and whether other programs use the group in another way",
};

/** Types of the protocol's errors, and names of kafkajs's own. What is not listed is KAFKA_FAILED. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  SASL_AUTHENTICATION_FAILED: UNAUTHORIZED,
  UNSUPPORTED_SASL_MECHANISM: UNAUTHORIZED,
  KafkaJSSASLAuthenticationError: UNAUTHORIZED,
  TOPIC_AUTHORIZATION_FAILED: UNAUTHORIZED,
  GROUP_AUTHORIZATION_FAILED: UNAUTHORIZED,
  CLUSTER_AUTHORIZATION_FAILED: UNAUTHORIZED,
  UNKNOWN_TOPIC_OR_PARTITION: UNKNOWN_TOPIC,
  INVALID_TOPIC_EXCEPTION: UNKNOWN_TOPIC,
  INVALID_GROUP_ID: GROUP_REFUSED,
  INVALID_SESSION_TIMEOUT: GROUP_REFUSED,
  INCONSISTENT_GROUP_PROTOCOL: GROUP_REFUSED,
  GROUP_MAX_SIZE_REACHED: GROUP_REFUSED,
  GROUP_SUBSCRIBED_TO_TOPIC: GROUP_REFUSED,
};

/** Longest chain of causes that is followed: a loop must not hang us. */
const CAUSES_MAX = 10;

/** An error with all that caused it, the outermost first. */
function chainOf(thrown: unknown): readonly Error[] {
  const chain: Error[] = [];
  let next = thrown;
  while (next instanceof Error && chain.length < CAUSES_MAX && !chain.includes(next)) {
    chain.push(next);
    next = next.cause;
  }
  return chain;
}

/** `type` of a protocol error, else its name. */
function kindOf(error: Error): string {
  return "type" in error && typeof error.type === "string" ? error.type : error.name;
}

/** What kind of failure it is: `type` of the outermost error that has one, else a name. */
export function errorTypeOf(thrown: unknown): string {
  const chain = chainOf(thrown);
  const typed = chain.find((error) => "type" in error && typeof error.type === "string");
  const named = typed ?? chain.at(-1);
  return named === undefined ? "" : kindOf(named);
}

/** Whether it only says that the group is joining again, or has moved to another coordinator. */
export function isRebalancing(thrown: unknown): boolean {
  return chainOf(thrown).some((error) => REBALANCING.has(kindOf(error)));
}

/** What was thrown, with a code of ours; `owner` names the receiver and whom it talks to. */
export function classify(owner: string, thrown: unknown): HoldfastError {
  const chain = chainOf(thrown);
  const ours = chain.find((error) => error instanceof HoldfastError);
  if (ours !== undefined) return ours;
  const meant = chain.find((error) => kindOf(error) in MEANINGS);
  const meaning = meant === undefined ? undefined : MEANINGS[kindOf(meant)];
  if (meant !== undefined && meaning !== undefined)
    return new HoldfastError(meaning.code, `${owner}: ${meant.message} (${kindOf(meant)})`, {
      cause: thrown,
      fix: meaning.fix,
    });
  const innermost = chain.at(-1) ?? toError(thrown);
  if (chain.some((error) => error.name === "KafkaJSRequestTimeoutError"))
    return new HoldfastError("CONNECTION_STALLED", `${owner}: ${innermost.message}`, {
      cause: thrown,
    });
  const broken = chain.find((error) => error.name.startsWith("KafkaJSConnection"));
  if (broken !== undefined) return connectionError(owner, broken);
  return new HoldfastError(
    "KAFKA_FAILED",
    `${owner}: ${innermost.message} (${kindOf(innermost)})`,
    {
      cause: thrown,
      fix: "see the broker's log; the receiver connects again",
    },
  );
}
