/**
 * Options of the mqtt-listener receiver.
 */
import { UNFINISHED_BYTES } from "../../src/record/unfinished-bytes.ts";
import { accessFields, type AccessOptions, listenHost } from "../../src/access.ts";
import { type ObjectSchema, schema } from "../../src/schema.ts";

/** What some clients may do. */
export interface AccessRule {
  /** Whom it is about: a name, where `*` stands for any characters. @defaultValue everybody */
  readonly user?: string;
  /** Topic filters to which they may publish; `%u` is the user's name, `%c` the client's id. @defaultValue none */
  readonly publish: readonly string[];
  /** Topic filters to which they may subscribe. @defaultValue none */
  readonly subscribe: readonly string[];
}

/** MQTT over websockets, on a port of its own. */
export interface WebSocketTransport {
  /** 0 takes a free one. */
  readonly port: number;
  /** @defaultValue /mqtt */
  readonly path: string;
  /** Origins whose pages may connect; `*` allows every page. @defaultValue none */
  readonly origins: readonly string[];
}

/** Options with their defaults. */
export interface MqttListenerOptions extends AccessOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** @defaultValue 127.0.0.1 */
  readonly host: string;
  /** Clients may connect over websockets too. @defaultValue no */
  readonly websocket?: WebSocketTransport;
  /** File of users and hashed passwords as `mosquitto_passwd` writes it; read each time the receiver opens. @defaultValue none */
  readonly passwordFile?: string;
  /** The first name in a client's certificate is its user; it needs no password. Needs `tls.clientCa`. @defaultValue false */
  readonly certificateIsUser: boolean;
  /** Clients that show neither may connect, too; they have no user. @defaultValue false */
  readonly anonymous: boolean;
  /** What clients may do: what any rule allows. @defaultValue all publish anywhere, nobody subscribes */
  readonly acl: readonly AccessRule[];
  /** A further connection is closed at once; 1 .. 65,536. @defaultValue 1,000 */
  readonly connectionsMax: number;
  /** Messages of QoS 1 and 2 of one client that wait for the disk; then it is not read, 1 .. 1,000. @defaultValue 100 */
  readonly inflightMessagesMax: number;
  /** Longest payload of a message, 1 byte .. 3 MiB. @defaultValue 256 KiB */
  readonly messageBytesMax: number;
  /** Packets whose end has not come, of all connections: beyond it the one that keeps most is ended. @defaultValue 32 MiB */
  readonly unfinishedBytesMax: number;
}
/** What one writes: the port, and what differs from its default. */
export type MqttListenerInput = Pick<MqttListenerOptions, "port"> &
  Partial<Omit<MqttListenerOptions, "port" | "websocket" | "acl">> & {
    readonly websocket?: Pick<WebSocketTransport, "port"> & Partial<WebSocketTransport>;
    readonly acl?: readonly Partial<AccessRule>[];
  };

/** `%` stands for a name only as `%u` and `%c`: anything else is a mistake that would allow another topic. */
const filters = schema.withDefault(
  schema.list(
    schema.string({
      bytesMax: 1_024,
      pattern: /^(?:[^%]|%[uc])*$/s,
      wanted: "a topic filter, with %u or %c and no other %",
    }),
  ),
  [],
);
/** Everybody publishes anywhere. */
const OPEN_RULE: AccessRule = { publish: ["#"], subscribe: [] };

const rule: ObjectSchema<Partial<AccessRule>, AccessRule> = schema.object({
  user: schema.optional(schema.string()),
  publish: filters,
  subscribe: filters,
});

/** See {@link MqttListenerOptions}. */
export const mqttListenerOptions: ObjectSchema<MqttListenerInput, MqttListenerOptions> =
  schema.object({
    port: schema.port(),
    host: listenHost,
    websocket: schema.optional(
      schema.object({
        port: schema.port(),
        path: schema.withDefault(
          schema.string({ pattern: /^\/[^?#]*$/, wanted: "a path such as /readings" }),
          "/mqtt",
        ),
        origins: schema.withDefault(schema.list(schema.string()), []),
      }),
    ),
    passwordFile: schema.optional(schema.string()),
    certificateIsUser: schema.withDefault(schema.boolean(), false),
    anonymous: schema.withDefault(schema.boolean(), false),
    acl: schema.withDefault(schema.list(rule), [OPEN_RULE]),
    connectionsMax: schema.withDefault(schema.integer({ min: 1, max: 65_536 }), 1_000),
    inflightMessagesMax: schema.withDefault(schema.integer({ min: 1, max: 1_000 }), 100),
    messageBytesMax: schema.sizeBytes({ default: 256 * 1024, min: 1, max: 3 * 2 ** 20 }),
    unfinishedBytesMax: schema.sizeBytes(UNFINISHED_BYTES),
    ...accessFields,
  });
