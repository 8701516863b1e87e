/**
 * `holdfast/receivers/websocket`: messages over websockets, as a server and as a client.
 */
import { HoldfastError } from "../../src/errors.ts";
import { defineReceiver, type ReceiverFactory } from "../../src/define-receiver.ts";
import { accessOf, checkAccess, checkOrigins } from "../../src/access.ts";
import { checkClientFiles, checkTlsConnect } from "../../src/tls-options.ts";
import { targetOf, WebSocketSession } from "./client.ts";
import {
  redelivers,
  type WebSocketClientInput,
  type WebSocketClientOptions,
  webSocketClientOptions,
  type WebSocketInput,
  type WebSocketOptions,
  webSocketOptions,
} from "./options.ts";
import { WebSocketListener } from "./server.ts";

export type {
  StreamOptions,
  WebSocketAcknowledge,
  WebSocketClientInput,
  WebSocketClientOptions,
  WebSocketInput,
  WebSocketOptions,
} from "./options.ts";

/**
 * Listens for websockets and stores each message, text or binary, as it came; see {@link WebSocketOptions}.
 *
 * With `acknowledge` a client reads how many of the messages of its connection are on disk: it may forget those and has
 * to send the others again over a new connection. A client that says goodbye with a Close frame still gets its last
 * count before the answer. Codes of a Close: 1001 the receiver stops, or the connection was idle; 1002 and 1007 a
 * frame is wrong; 1009 a message is too long; 1013 a message was not stored, send again later. The count before it is right.
 *
 * A client that is kept out is answered 400, 401, 403, 404 or 503 with a reason. Pages of browsers are let in only when
 * `origins` names them.
 */
export const websocket: ReceiverFactory<WebSocketInput> = defineReceiver({
  type: "websocket",
  redelivers,
  options: webSocketOptions,
  check: checkWebSocket,
  checkFiles: accessOf,
  async open(context) {
    const listener = new WebSocketListener(context);
    await listener.listen();
    return listener;
  },
});

/**
 * Connects to a websocket server and stores each message that it sends; see {@link WebSocketClientOptions}.
 *
 * Whatever ends the connection fails this incarnation, and the supervisor connects again: there is no other reconnect.
 * An answer of 4xx, and a Close with 1008, 3000 or 3003, are CONNECTION_REFUSED, which is not retried.
 */
export const websocketClient: ReceiverFactory<WebSocketClientInput> = defineReceiver({
  type: "websocket-client",
  redelivers,
  dials: true,
  options: webSocketClientOptions,
  check: checkWebSocketClient,
  checkFiles: checkClientFiles,
  async open(context) {
    const session = new WebSocketSession(context);
    await session.connect();
    return session;
  },
});

function checkWebSocket(options: WebSocketOptions): void {
  checkAccess("websocket", options);
  checkIdle("websocket", options);
  checkSubprotocols("websocket", options);
  checkOrigins("websocket", options.origins);
  if (options.token === "")
    throw new HoldfastError("CONFIG_VALUE", "websocket: token has 0 characters, wanted 1 or more");
  if (options.tokenInQuery && options.token === undefined)
    throw new HoldfastError("CONFIG_CONFLICT", "websocket: tokenInQuery needs token");
}

function checkWebSocketClient(options: WebSocketClientOptions): void {
  const { isSecure } = targetOf(options.url);
  checkIdle("websocket-client", options);
  checkSubprotocols("websocket-client", options);
  checkHeaders(options);
  if (options.tls === undefined) return;
  checkTlsConnect("websocket-client", options.tls);
  if (!isSecure)
    throw new HoldfastError("CONFIG_CONFLICT", "websocket-client: tls needs a url with wss://", {
      fix: "url: wss://...",
    });
}

/** Shorter would ping more than twice a second. */
const IDLE_MS_MIN = 1_000;

function checkIdle(type: string, { idleTimeoutMs }: { readonly idleTimeoutMs: number }): void {
  if (idleTimeoutMs === 0 || idleTimeoutMs >= IDLE_MS_MIN) return;
  const message = `${type}: idleTimeoutMs is ${idleTimeoutMs}, allowed are 0 and ${IDLE_MS_MIN} .. 86400000`;
  throw new HoldfastError("CONFIG_OUT_OF_RANGE", message);
}

/** Each once: a second one is against the protocol. */
function checkSubprotocols(
  type: string,
  { subprotocols }: { readonly subprotocols: readonly string[] },
): void {
  if (new Set(subprotocols).size === subprotocols.length) return;
  throw new HoldfastError("CONFIG_VALUE", `${type}: subprotocols has an entry twice`);
}

/** RFC 9110, 5.6.2: what a header may be called. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Visible characters, spaces and tabs inside. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What cannot be sent would fail every connect. No message shows a value. */
function checkHeaders({ headers, token = "" }: WebSocketClientOptions): void {
  const name = Object.keys(headers).find((each) => !HEADER_NAME.test(each));
  if (name !== undefined)
    throw new HoldfastError(
      "CONFIG_VALUE",
      `websocket-client: ${JSON.stringify(name)} is no name of a header`,
    );
  const values = Object.entries(headers).map(
    ([each, value]) => [`headers.${each}`, value] as const,
  );
  const [where] =
    [["token", token] as const, ...values].find(([, value]) => !HEADER_VALUE.test(value)) ?? [];
  if (where === undefined) return;
  throw new HoldfastError(
    "CONFIG_VALUE",
    `websocket-client: ${where} has a character that no header may have`,
    { fix: "look for a line break at its end" },
  );
}
