/**
 * Options of the two websocket receivers.
 */
import { MESSAGE_BYTES_DEFAULT, MESSAGE_BYTES_LIMIT } from "../../src/framing/index.ts";
import { UNFINISHED_BYTES } from "../../src/record/unfinished-bytes.ts";
import { accessFields, type AccessOptions, listenHost } from "../../src/access.ts";
import { type Defaulted, type ObjectSchema, schema } from "../../src/schema.ts";
import { type TlsConnectOptions, tlsConnectOptions } from "../../src/tls-options.ts";

/** What the other side is told of its durable messages. */
export type WebSocketAcknowledge = "none" | "count-json" | "count-bytes";

/** Who is told nothing cannot know what to send again. */
export function redelivers({ acknowledge }: Pick<StreamOptions, "acknowledge">): boolean {
  return acknowledge !== "none";
}

/** What both receivers need of a connection. */
export interface StreamOptions {
  /**
   * `count-json`: how many messages of the connection are on disk, as a text message `{"stored":n}`, once per group
   * commit. `count-bytes`: the same as a binary message of 4 bytes, big-endian, modulo 2^32. @defaultValue none
   */
  readonly acknowledge: WebSocketAcknowledge;
  /** Longest message, over all its frames and after inflation; 1 byte .. 3 MiB. @defaultValue 1 MiB */
  readonly messageBytesMax: number;
  /**
   * A connection from which nothing comes for so long is ended, 1 s .. 24 h; 0 = never. It is pinged after half of that,
   * so one that is alive stays open without sending anything. @defaultValue 60,000
   */
  readonly idleTimeoutMs: number;
  /**
   * Whether messages may come compressed (permessage-deflate): a twentieth of the speed, and memory per connection.
   * @defaultValue false
   */
  readonly compression: boolean;
}

/** Options of `websocket` with their defaults. */
export interface WebSocketOptions extends StreamOptions, AccessOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** @defaultValue 127.0.0.1 */
  readonly host: string;
  /** Where clients connect to. @defaultValue / */
  readonly path: string;
  /** A further connection is answered 503; 1 .. 65,536. @defaultValue 1,000 */
  readonly connectionsMax: number;
  /** Messages whose end has not come, of all connections: beyond it the one that keeps most is ended. @defaultValue 32 MiB */
  readonly unfinishedBytesMax: number;
  /**
   * Origins such as `https://panel.example` whose pages may connect; `*` allows every page. A client that names no origin
   * is no browser and is not asked. @defaultValue none
   */
  readonly origins: readonly string[];
  /** Secret that each client has to show. @defaultValue none is asked for */
  readonly token?: string;
  /** Whether the token may stand in the address (`?token=`), which servers on the way write to their logs. @defaultValue false */
  readonly tokenInQuery: boolean;
  /** Subprotocols that are spoken here, the preferred one first; a client has to offer one of them. @defaultValue any */
  readonly subprotocols: readonly string[];
}
/** What one writes: the port, and what differs from its default. */
export type WebSocketInput = Pick<WebSocketOptions, "port"> & Partial<WebSocketOptions>;

/** Options of `websocket-client` with their defaults. */
export interface WebSocketClientOptions extends StreamOptions {
  /** `ws://` or `wss://`; without user, password and fragment. */
  readonly url: string;
  /** For `wss://`. @defaultValue authorities that Node brings, no certificate of our own */
  readonly tls?: TlsConnectOptions;
  /** Sent with the handshake; values are secret. @defaultValue none */
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as a bearer token; secret. @defaultValue none */
  readonly token?: string;
  /** Subprotocols that are offered. @defaultValue none */
  readonly subprotocols: readonly string[];
  /** Text messages that are sent after each connect, in order: a greeting, a subscription; secret. @defaultValue none */
  readonly greeting: readonly string[];
}
/** What one writes: the url, and what differs from its default. */
export type WebSocketClientInput = Pick<WebSocketClientOptions, "url"> &
  Partial<WebSocketClientOptions>;

const DAY_MS = 86_400_000;
/** What RFC 6455 allows as a name of a subprotocol. */
const SUBPROTOCOL = /^[!#$%&'*+\-.0-9A-Z^_`a-z|~]+$/;

const stream: {
  readonly acknowledge: Defaulted<WebSocketAcknowledge>;
  readonly messageBytesMax: Defaulted<number>;
  readonly idleTimeoutMs: Defaulted<number>;
  readonly compression: Defaulted<boolean>;
  readonly subprotocols: Defaulted<readonly string[]>;
} = {
  acknowledge: schema.withDefault(schema.oneOf("none", "count-json", "count-bytes"), "none"),
  messageBytesMax: schema.sizeBytes({
    default: MESSAGE_BYTES_DEFAULT,
    min: 1,
    max: MESSAGE_BYTES_LIMIT,
  }),
  idleTimeoutMs: schema.durationMs({ default: 60_000, min: 0, max: DAY_MS }),
  compression: schema.withDefault(schema.boolean(), false),
  subprotocols: schema.withDefault(schema.list(schema.string({ pattern: SUBPROTOCOL })), []),
};

/** See {@link WebSocketOptions}. */
export const webSocketOptions: ObjectSchema<WebSocketInput, WebSocketOptions> = schema.object({
  port: schema.port(),
  host: listenHost,
  path: schema.withDefault(
    schema.string({ pattern: /^\/[^?#]*$/, wanted: "a path such as /readings" }),
    "/",
  ),
  connectionsMax: schema.withDefault(schema.integer({ min: 1, max: 65_536 }), 1_000),
  unfinishedBytesMax: schema.sizeBytes(UNFINISHED_BYTES),
  origins: schema.withDefault(schema.list(schema.string()), []),
  token: schema.optional(schema.secret()),
  tokenInQuery: schema.withDefault(schema.boolean(), false),
  ...stream,
  ...accessFields,
});

/** See {@link WebSocketClientOptions}. */
export const webSocketClientOptions: ObjectSchema<WebSocketClientInput, WebSocketClientOptions> =
  schema.object({
    url: schema.string(),
    tls: schema.optional(tlsConnectOptions),
    headers: schema.withDefault(schema.mapping(schema.secret()), {}),
    token: schema.optional(schema.secret()),
    greeting: schema.withDefault(schema.list(schema.secret()), []),
    ...stream,
  });
