/**
 * aedes with our answers: who may connect, publish and subscribe, and what is on disk before it is acknowledged.
 *
 * Everything is stored inside `authorizePublish`: aedes sends PUBACK right behind it, before it calls `published`.
 */
import type { EventEmitter } from "node:events";
import { Aedes, type AedesOptions, type Client } from "aedes";
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import { HoldfastError } from "../../src/errors.ts";
import type { Device } from "./device.ts";
import type { Lane, Settle } from "./lane.ts";
import type { MqttListenerOptions } from "./options.ts";
import { TOPIC_BYTES_MAX } from "./packet-gate.ts";
import type { Passwords } from "./passwords.ts";
import { Persistence } from "./persistence.ts";
import type { Sessions, SessionClient } from "./sessions.ts";
import { faultOfFilter, faultOfTopic, isAllowed } from "./topic-rules.ts";

/** Longest client id in bytes: it is a part of a channel's name. */
const CLIENT_ID_BYTES_MAX = 200;
/** Subscriptions of one client. */
const SUBSCRIPTIONS_MAX = 100;
/** Messages on their way to subscribers; further ones are not forwarded, but stored all the same. */
const FORWARDS_MAX = 1_000;
/** A subscriber that takes nothing for so long is ended. */
const DRAIN_TIMEOUT_MS = 10_000;
/** Behind the gate's own limit. */
const CONNECT_TIMEOUT_MS = 60_000;

/** Codes of CONNACK. */
const IDENTIFIER_REJECTED = 2;
const SERVER_UNAVAILABLE = 3;
const BAD_CREDENTIALS = 4;

/** What a broker works with. */
export interface BrokerParts {
  readonly context: ReceiverContext<MqttListenerOptions>;
  readonly lane: Lane;
  readonly sessions: Sessions;
  readonly passwords: Passwords | undefined;
  /** The device on a stream that was handed to aedes. */
  readonly deviceOf: (stream: object) => Device | undefined;
  /** Whether the listener stops: then wills are not published. */
  readonly isClosing: () => boolean;
  readonly refused: (device: Device, cause: HoldfastError) => void;
  /** It was let in. */
  readonly admitted: (device: Device) => void;
}

type Hook<Name extends keyof AedesOptions> = Required<AedesOptions>[Name];
type Packet = Parameters<Hook<"authorizePublish">>[1];

/** A listening aedes; it has no socket of its own. */
export async function openBroker(parts: BrokerParts): Promise<Aedes> {
  const { context, sessions, deviceOf } = parts;
  const { guard, logger, options, fail } = context;
  const persistence = new Persistence(sessions, () =>
    logger.debug("a message is not retained: too many are", { code: "BUSY" }),
  );
  const broker = new Aedes({
    persistence,
    connectTimeout: CONNECT_TIMEOUT_MS,
    drainTimeout: DRAIN_TIMEOUT_MS,
    // The sessions have the limit: the releases of these may come behind messages that are further on.
    maxInflightInbound: 0,
    preConnect: (client, packet, done) => {
      const device = deviceOf(client.conn);
      // The gate watches it: aedes would count silence against a client that we do not read.
      if (device !== undefined) device.keepAliveSeconds = packet.keepalive ?? 0;
      if (device !== undefined) device.isNameless = packet.clientId === "" && packet.clean !== true;
      packet.keepalive = 0;
      done(null, device !== undefined);
    },
    authenticate: (client, user, password, done) => {
      const device = deviceOf(client.conn);
      if (device === undefined) return done(null, false);
      authenticate(parts, device, { client, user: user ?? "", password }).then(
        guard((cause: Error | undefined) =>
          // Decode boundary of aedes: it takes any error with a return code.
          cause === undefined ? done(null, true) : done(cause as Parameters<typeof done>[0], false),
        ),
        fail,
      );
    },
    authorizePublish: guard((client, packet, done) => publish(parts, client, packet, done)),
    authorizeSubscribe: guard((client, subscription, done) => {
      const device = deviceOf(client.conn);
      const { topic } = subscription;
      done(
        null,
        device !== undefined && maySubscribe(options, device, topic) ? subscription : null,
      );
    }),
  });
  forwardInTheBackground(broker, options);
  broker.on("clientReady", (client) => {
    const device = deviceOf(client.conn);
    if (device === undefined) return;
    parts.admitted(device);
    device.gate.open(device.keepAliveSeconds);
  });
  broker.on("unsubscribe", (topics, client) => {
    for (const topic of topics) deviceOf(client.conn)?.filters.delete(topic);
  });
  const ended = (client: Client, cause: Error): void => {
    const device = deviceOf(client.conn);
    if (device === undefined) return;
    parts.refused(
      device,
      cause instanceof HoldfastError
        ? cause
        : new HoldfastError(codeFor(cause), cause.message, { cause }),
    );
  };
  broker.on("clientError", ended);
  broker.on("connectionError", ended);
  const events: EventEmitter = broker;
  events.on("error", fail);
  await broker.listen();
  return broker;
}

/** Counts a filter from here on: aedes does so only when it has answered a whole packet of them. */
function maySubscribe({ acl }: MqttListenerOptions, device: Device, filter: string): boolean {
  const { filters, identity } = device;
  const isFine =
    faultOfFilter(filter) === undefined &&
    (filters.has(filter) || filters.size < SUBSCRIPTIONS_MAX) &&
    isAllowed(acl, identity, "subscribe", filter);
  if (isFine) filters.add(filter);
  return isFine;
}

/** What aedes says when it ends a client: a connection that broke, credentials, or a packet that is none. */
function codeFor(cause: Error): "CONNECTION_FAILED" | "CONNECTION_REFUSED" | "PROTOCOL_VIOLATION" {
  if ("errorCode" in cause) return "CONNECTION_REFUSED";
  return "code" in cause || /closed|drain timeout/.test(cause.message)
    ? "CONNECTION_FAILED"
    : "PROTOCOL_VIOLATION";
}

interface Credentials {
  readonly client: Client;
  readonly user: string;
  readonly password: Uint8Array | undefined;
}

/** Resolves with why a client is not let in. */
async function authenticate(
  parts: BrokerParts,
  device: Device,
  credentials: Credentials,
): Promise<Error | undefined> {
  const { id } = credentials.client;
  const idBytes = Buffer.byteLength(id);
  if (device.isNameless)
    return refusal(IDENTIFIER_REJECTED, "it wants a session and names no client id");
  if (idBytes > CLIENT_ID_BYTES_MAX || id.includes("\0"))
    return refusal(
      IDENTIFIER_REJECTED,
      `client id of ${idBytes} bytes, limit ${CLIENT_ID_BYTES_MAX}`,
    );
  const user = await userOf(parts, device, credentials);
  if (typeof user !== "string") return user;
  device.identify({ clientId: id, user });
  return undefined;
}

/** The user that was proved, empty for an anonymous one; an error where the client is not let in. */
async function userOf(
  { context: { options }, passwords }: BrokerParts,
  { gate }: Device,
  { user, password }: Credentials,
): Promise<string | Error> {
  // A certificate may have an empty name: that is nobody's.
  const [name = ""] = gate.peer.peerNames;
  if (options.certificateIsUser && name !== "") return name;
  if (user === "" && password === undefined && options.anonymous) return "";
  if (passwords === undefined)
    return options.anonymous ? "" : refusal(BAD_CREDENTIALS, "its certificate names nobody");
  const verdict = await passwords.check(user, password ?? new Uint8Array());
  if (verdict === "right") return user;
  return verdict === "busy"
    ? refusal(SERVER_UNAVAILABLE, "too many passwords wait to be checked")
    : refusal(BAD_CREDENTIALS, "its user or password is wrong");
}

function refusal(returnCode: number, message: string): Error {
  return Object.assign(new HoldfastError("CONNECTION_REFUSED", message), { returnCode });
}

/** Stores a message, or a will, and calls `done` when aedes may acknowledge it. */
function publish(parts: BrokerParts, client: Client | null, packet: Packet, done: Settle): void {
  const device = client === null ? undefined : parts.deviceOf(client.conn);
  if (client === null || device === undefined) return done(new Error("nobody published this"));
  const isWill = client.closed;
  const settle: Settle = (cause) => {
    if (packet.qos > 0 && !isWill) device.gate.settled();
    done(cause);
  };
  if (isWill && parts.isClosing()) return settle(new Error("the receiver stops"));
  const refused = refusalOf(parts, device, packet);
  if (refused !== undefined) {
    // Nobody else tells: its connection is gone.
    if (isWill) parts.refused(device, refused);
    return settle(refused);
  }
  store(parts, { client, device, packet, isWill }, settle);
}

interface Published {
  readonly client: SessionClient;
  readonly device: Device;
  readonly packet: Packet;
  readonly isWill: boolean;
}

function store(
  { context, lane, sessions }: BrokerParts,
  published: Published,
  settle: Settle,
): void {
  const { client, device, packet, isWill } = published;
  const { topic, qos, messageId = 0 } = packet;
  const payload = typeof packet.payload === "string" ? Buffer.from(packet.payload) : packet.payload;
  const message = { topic, payload, headers: device.headers(packet) };
  if (qos === 2 && !isWill) return sessions.store(client, messageId, message, settle);
  if (qos === 1 && !isWill) return lane.add(message, settle);
  // Nobody sends these again, and nobody waits for them.
  if (qos === 0 && lane.isPressed) context.dropped(1, "BUSY");
  else lane.add(message, undefined);
  // Not in this turn: aedes is in the middle of a packet.
  queueMicrotask(settle);
}

/** MQTT 3.1.1 has no answer that refuses a message: the connection ends. */
function refusalOf(
  { context: { options } }: BrokerParts,
  { identity }: Device,
  { topic, payload }: Packet,
): HoldfastError | undefined {
  const fault = faultOfTopic(topic);
  if (fault !== undefined)
    return new HoldfastError(
      "PROTOCOL_VIOLATION",
      `${JSON.stringify(topic)} is no topic: ${fault}`,
    );
  const topicBytes = Buffer.byteLength(topic);
  if (topicBytes > TOPIC_BYTES_MAX)
    return new HoldfastError(
      "MESSAGE_TOO_LONG",
      `topic of ${topicBytes} bytes, limit ${TOPIC_BYTES_MAX}`,
    );
  if (payload.length > options.messageBytesMax)
    return new HoldfastError(
      "MESSAGE_TOO_LONG",
      `message of ${payload.length} bytes, limit ${options.messageBytesMax}`,
    );
  if (!topic.startsWith("$") && isAllowed(options.acl, identity, "publish", topic))
    return undefined;
  return new HoldfastError(
    "CONNECTION_REFUSED",
    `client ${identity.clientId} may not publish to ${JSON.stringify(topic)}`,
    { fix: "acl: [{ publish: [FILTER] }]" },
  );
}

/**
 * Subscribers get messages behind the acknowledgement, and never hold one up: aedes would wait for the slowest. Where
 * nobody may subscribe, nothing is forwarded or retained.
 */
function forwardInTheBackground(broker: Aedes, { acl }: MqttListenerOptions): void {
  const canSubscribe = acl.some(({ subscribe }) => subscribe.length > 0);
  const publish: unknown = Reflect.get(broker, "publish");
  let forwards = 0;
  const forward = (packet: object, ...rest: readonly unknown[]): void => {
    const done = rest.at(-1);
    if (canSubscribe && forwards < FORWARDS_MAX) {
      forwards++;
      const client = rest.length > 1 ? rest[0] : null;
      if (typeof publish === "function")
        Reflect.apply(publish, broker, [packet, client, () => forwards--]);
    }
    if (typeof done === "function") done(null);
  };
  Object.assign(broker, { publish: forward });
}
