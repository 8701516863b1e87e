/**
 * Options of the mqtt receiver.
 */
import { HoldfastError } from "../../src/errors.ts";
import type { Endpoint } from "../../src/host/sockets.ts";
import { checkOptions, customField, type ObjectSchema, schema } from "../../src/schema.ts";
import {
  checkTlsConnect,
  type TlsConnectOptions,
  tlsConnectOptions,
} from "../../src/tls-options.ts";
import { checkFilter, type Subscription } from "./subscriptions.ts";

const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;
const PORT_PLAIN = 1883;
const PORT_TLS = 8883;
/** What the protocol's two-byte and four-byte numbers hold. */
const WORD_MAX = 65_535;
const SECONDS_MAX = 2 ** 32 - 1;

/** What the broker publishes for us when the connection breaks without a goodbye. */
export interface WillOptions {
  readonly topic: string;
  /** @defaultValue empty */
  readonly payload: string;
  /** 0 .. 2 @defaultValue 0 */
  readonly qos: number;
  /** @defaultValue false */
  readonly retain: boolean;
}

/** Options with their defaults. */
export interface MqttOptions {
  /** `mqtt://host:port`, or `mqtts://host:port` with TLS. Instead of `host` and `port`. */
  readonly url?: string;
  readonly host?: string;
  /** @defaultValue 1,883; 8,883 with TLS */
  readonly port?: number;
  /** 4 is MQTT 3.1.1, 5 is MQTT 5. @defaultValue 5 */
  readonly protocolVersion: 4 | 5;
  /**
   * Who we are to the broker; it keeps the session under this name, and throws out an older connection of the same name.
   * @defaultValue `holdfast-<receiver>-` and 12 hex digits that are drawn once for the data directory
   */
  readonly clientId?: string;
  readonly username?: string;
  readonly password?: string;
  /** What to receive: filters, or filters with a QoS of their own. `$share/group/filter` shares with others. */
  readonly topics: readonly Subscription[];
  /** For topics without one of their own: 0, 1 or 2. @defaultValue 1 */
  readonly qos: number;
  /** Forget the session at each connect. What was not acknowledged when a connection breaks is lost then. @defaultValue false */
  readonly cleanSession: boolean;
  /** How long the broker keeps the session while we are away, MQTT 5 only; 0 .. 4,294,967,294 s, in whole seconds. @defaultValue 7 days */
  readonly sessionExpiryMs: number;
  /** Messages of QoS 1 and 2 that the broker sends ahead of acknowledgements, MQTT 5 only; 1 .. 65,535. @defaultValue 1,000 */
  readonly receiveMaximum: number;
  /** A ping after so long without a packet from us; the connection is given up after 1.5 times that without an answer; 1 s .. 65,535 s, in whole seconds. @defaultValue 30,000 */
  readonly keepAliveMs: number;
  readonly will?: WillOptions;
  /** With it, and only with it or `mqtts:`, the connection is encrypted. @defaultValue plain */
  readonly tls?: TlsConnectOptions;
  /** User properties and what else comes with a message, as headers of its record. @defaultValue true */
  readonly headers: boolean;
  /** A longer message becomes a dead letter; 1 byte .. 3 MiB. @defaultValue 1 MiB */
  readonly payloadBytesMax: number;
}

/** A topic as one writes it. */
export type TopicOption = string | Subscription;
/** What one writes: where the broker is, what to receive, and what differs from its default. */
export type MqttInput = Partial<Omit<MqttOptions, "topics" | "will" | "protocolVersion">> & {
  readonly topics: readonly TopicOption[];
  readonly protocolVersion?: number;
  readonly will?: Partial<WillOptions> & Pick<WillOptions, "topic">;
};

const Topic = schema.object({
  filter: schema.string(),
  qos: schema.optional(schema.integer({ min: 0, max: 2 })),
});

const topic = customField(
  "a topic filter, or { filter, qos } with qos 0, 1 or 2",
  (value): Subscription | undefined => {
    if (typeof value === "string") return { filter: value };
    const checked = checkOptions(Topic, value);
    return checked.issues === undefined ? checked.value : undefined;
  },
);

const version = customField("4 (MQTT 3.1.1) or 5", (value): 4 | 5 | undefined =>
  value === 4 || value === 5 ? value : undefined,
);

const willFields = schema.object({
  topic: schema.string({
    bytesMax: WORD_MAX,
    pattern: /^[^+#\0]+$/,
    wanted: "a topic without + and #",
  }),
  payload: schema.withDefault(schema.string({ bytesMax: WORD_MAX }), ""),
  qos: schema.withDefault(schema.integer({ min: 0, max: 2 }), 0),
  retain: schema.withDefault(schema.boolean(), false),
});

/** See {@link MqttOptions}. */
export const mqttOptions: ObjectSchema<MqttInput, MqttOptions> = schema.object({
  url: schema.optional(schema.string()),
  host: schema.optional(schema.string()),
  port: schema.optional(schema.integer({ min: 1, max: WORD_MAX })),
  protocolVersion: schema.withDefault(version, 5),
  clientId: schema.optional(
    schema.string({ bytesMax: WORD_MAX, pattern: /^[^\0]+$/, wanted: "a name" }),
  ),
  username: schema.optional(schema.string({ bytesMax: WORD_MAX })),
  password: schema.optional(schema.secret()),
  topics: schema.list(topic),
  qos: schema.withDefault(schema.integer({ min: 0, max: 2 }), 1),
  cleanSession: schema.withDefault(schema.boolean(), false),
  sessionExpiryMs: schema.durationMs({
    default: 7 * DAY_MS,
    min: 0,
    max: (SECONDS_MAX - 1) * 1000,
  }),
  receiveMaximum: schema.withDefault(schema.integer({ min: 1, max: WORD_MAX }), 1_000),
  keepAliveMs: schema.durationMs({ default: 30_000, min: 1_000, max: WORD_MAX * 1000 }),
  will: schema.optional(willFields),
  tls: schema.optional(tlsConnectOptions),
  headers: schema.withDefault(schema.boolean(), true),
  payloadBytesMax: schema.sizeBytes({ default: MIB, min: 1, max: 3 * MIB }),
});

/** What the schema cannot know. @throws CONFIG_CONFLICT, CONFIG_VALUE */
export function checkMqtt(options: MqttOptions): void {
  const { protocolVersion, username, password, tls, topics } = options;
  brokerOf(options);
  if (tls !== undefined) checkTlsConnect("mqtt", tls);
  if (topics.length === 0)
    throw new HoldfastError("CONFIG_VALUE", "mqtt: topics has 0 filters, at least 1 is needed", {
      fix: "topics: [meters/#]",
    });
  for (const { filter } of topics) checkFilter(filter);
  if (protocolVersion === 4 && password !== undefined && username === undefined)
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      "mqtt: with protocolVersion 4 a password needs a username",
    );
}

/** Whether the broker sends again, after a reconnect, what was not acknowledged. */
export function keepsSession(options: MqttOptions): boolean {
  const { cleanSession, protocolVersion, sessionExpiryMs } = options;
  return !cleanSession && (protocolVersion === 4 || sessionExpiryMs > 0);
}

/** Where the broker is, and whether to speak TLS. */
export interface Broker extends Endpoint {
  readonly tls: TlsConnectOptions | undefined;
}

/** @throws CONFIG_CONFLICT, CONFIG_VALUE */
export function brokerOf({ url, host, port, tls }: MqttOptions): Broker {
  if ((url === undefined) === (host === undefined))
    throw new HoldfastError(
      "CONFIG_CONFLICT",
      `mqtt: ${url === undefined ? "neither url nor host is" : "url and host are both"} given, 1 of them is needed`,
      { fix: "url: mqtt://broker:1883" },
    );
  if (url !== undefined) return fromUrl(url, port, tls);
  return {
    host: plainHost(host ?? ""),
    port: port ?? (tls === undefined ? PORT_PLAIN : PORT_TLS),
    tls,
  };
}

/** A name or an address: what comes with a scheme or a port would be looked up as a name, for ever. */
function plainHost(host: string): string {
  // Behind the % is an interface of this machine.
  const isAddress6 = URL.canParse(`mqtt://[${host.replace(/%[^%]+$/, "")}]`);
  if (isAddress6 || /^[^\s:/@[\]]+$/.test(host)) return host;
  throw new HoldfastError(
    "CONFIG_VALUE",
    `mqtt: host is ${JSON.stringify(host)}, wanted a name or an address and nothing else`,
    { fix: "host: broker.example, with port: 1883, or url: mqtt://broker.example:1883" },
  );
}

function fromUrl(
  text: string,
  port: number | undefined,
  tls: TlsConnectOptions | undefined,
): Broker {
  const url = plainUrl(text);
  if (port !== undefined)
    throw new HoldfastError("CONFIG_CONFLICT", `mqtt: url and port ${port} are both given`, {
      fix: "write the port into the url",
    });
  const isTls = url.protocol === "mqtts:";
  if (!isTls && tls !== undefined)
    throw new HoldfastError("CONFIG_CONFLICT", "mqtt: url says mqtt: and tls is given", {
      fix: "url: mqtts://...",
    });
  const defaultPort = isTls ? PORT_TLS : PORT_PLAIN;
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? defaultPort : Number(url.port),
    tls: isTls ? (tls ?? {}) : undefined,
  };
}

/** A URL of scheme, host and port only. The text is not repeated: it may hold a password. */
function plainUrl(text: string): URL {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme !== "mqtt" && scheme !== "mqtts")
    throw new HoldfastError(
      "CONFIG_VALUE",
      `mqtt: url begins with ${scheme === undefined ? "no scheme" : `${scheme}://`}, wanted mqtt:// or mqtts://`,
      { fix: "url: mqtt://broker.example:1883, or mqtts://broker.example:8883 with TLS" },
    );
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain =
    url !== undefined &&
    url.hostname !== "" &&
    url.port !== "0" &&
    /^\/?$/.test(url.pathname) &&
    url.search + url.hash + url.username + url.password === "";
  if (isPlain) return url;
  throw new HoldfastError(
    "CONFIG_VALUE",
    "mqtt: url: wanted mqtt://host:port or mqtts://host:port and nothing else",
    { fix: "username and password are options of their own" },
  );
}
