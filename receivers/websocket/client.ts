/**
 * The dialling side: one websocket to a server, over connections of the host.
 */
import { WebSocket } from "ws";
import type { ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import { HoldfastError, toError } from "../../src/errors.ts";
import type { ConnectOptions, PeerStream } from "../../src/host/sockets.ts";
import { readClientTls } from "../../src/tls-options.ts";
import { ConnectionGroup } from "../../src/record/connection-group.ts";
import { UnfinishedBytes } from "../../src/record/unfinished-bytes.ts";
import { CLOSE_LIMIT, type ConnectionOwner, WebSocketConnection } from "./connection.ts";
import { deflateOptions } from "./deflate.ts";
import { Gather } from "./gather.ts";
import type { WebSocketClientOptions } from "./options.ts";

/** For the server's answer to the handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Answers that may become better by waiting, below 500. */
const PASSING_STATUSES = new Set([408, 425, 429]);
/** Reasons of a Close that say: we are not wanted (policy violation, unauthorized, forbidden). */
const UNWANTED_CLOSES = new Set([1008, 3000, 3003]);

/** What a url says, as far as it is valid. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
}

/** Reads a url. @throws CONFIG_VALUE, never with the text: it may hold a secret */
export function targetOf(url: string): Target {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !["ws:", "wss:"].includes(parsed.protocol))
    throw new HoldfastError("CONFIG_VALUE", "websocket-client: url is none of ws:// or wss://", {
      fix: "url: wss://feed.example/readings",
    });
  if (parsed.username !== "" || parsed.password !== "" || parsed.hash !== "")
    throw new HoldfastError(
      "CONFIG_VALUE",
      `websocket-client: url of ${parsed.host} holds a user, a password or a fragment`,
      { fix: "use token or headers" },
    );
  if (parsed.port === "0")
    throw new HoldfastError(
      "CONFIG_VALUE",
      "websocket-client: url has port 0, allowed are 1 to 65535",
    );
  const isSecure = parsed.protocol === "wss:";
  const port = parsed.port === "" ? (isSecure ? 443 : 80) : Number(parsed.port);
  return { host: parsed.hostname.replace(/^\[|\]$/g, ""), port, isSecure };
}

/** One incarnation of a websocket-client receiver. */
export class WebSocketSession implements ConnectionOwner, ReceiverSession {
  readonly context: ReceiverContext<WebSocketClientOptions>;
  readonly gather: Gather;
  /** Of one. */
  readonly group: ConnectionGroup<WebSocketConnection>;
  /** Of one connection: the limit of its messages is enough. */
  readonly unfinished: UnfinishedBytes = new UnfinishedBytes(Infinity);

  constructor(context: ReceiverContext<WebSocketClientOptions>) {
    this.context = context;
    this.gather = new Gather(context.guard);
    this.group = new ConnectionGroup(context);
  }

  /** @throws CONNECTION_FAILED, CONNECTION_UNTRUSTED, CONNECTION_REFUSED, CONNECTION_STALLED, CONFIG_VALUE */
  async connect(): Promise<void> {
    const { name, options, files, dial } = this.context;
    const { host, port, isSecure } = targetOf(options.url);
    const tls = isSecure ? { tls: await readClientTls(name, files, options.tls ?? {}) } : {};
    // The connection begins in the same turn in which the handshake ends: no message comes before it.
    await dial(`${host}:${port}`, () => this.#dial({ host, port, ...tls }));
  }

  pause(): void {
    this.group.pause();
  }

  resume(): void {
    this.group.resume();
  }

  close(signal: AbortSignal): Promise<void> {
    return this.group.close(signal, async () => undefined);
  }

  disconnected(code: number, reason: string): void {
    const { fail, options } = this.context;
    this.group.disconnected();
    if (this.group.isOver) return;
    const { host } = targetOf(options.url);
    const isUnwanted = UNWANTED_CLOSES.has(code);
    const why = reason === "" ? "" : `: ${reason.slice(0, 123)}`;
    fail(
      new HoldfastError(
        isUnwanted ? "CONNECTION_REFUSED" : "CONNECTION_FAILED",
        `${host} ended the websocket with code ${code}${why}`,
        isUnwanted ? { fix: "look at token and headers, and at the server's log" } : {},
      ),
    );
  }

  async #dial(target: ConnectOptions): Promise<void> {
    const { sockets, signal } = this.context;
    const peer = await sockets.connectStream(target, signal);
    peer.stream.on("error", () => peer.stream.destroy());
    try {
      await this.#handshake(peer);
    } catch (cause) {
      // Also where ws did not even begin: nobody else would end it.
      peer.stream.destroy();
      throw cause;
    }
  }

  #handshake(peer: PeerStream): Promise<void> {
    const { options, signal, clock } = this.context;
    const { host } = targetOf(options.url);
    const socket = new WebSocket(options.url, [...options.subprotocols], {
      createConnection: () => peer.stream,
      ...CLOSE_LIMIT,
      headers: headersOf(options),
      maxPayload: options.messageBytesMax,
      perMessageDeflate: deflateOptions(options),
      followRedirects: false,
    });
    return new Promise((resolve, reject) => {
      const cancel = clock.after(HANDSHAKE_TIMEOUT_MS, () => {
        const message = `${host} did not answer the handshake within ${HANDSHAKE_TIMEOUT_MS} ms`;
        give(new HoldfastError("CONNECTION_STALLED", message));
      });
      const aborted = (): void => give(toError(signal.reason));
      const over = (): void => {
        cancel();
        signal.removeEventListener("abort", aborted);
      };
      const give = (cause: Error): void => {
        over();
        reject(cause);
      };
      const failed = (cause: Error): void =>
        give(new HoldfastError("CONNECTION_FAILED", `${host}: ${cause.message}`, { cause }));
      // Before anything can end it: an error that nobody hears ends the process.
      socket.on("error", failed);
      if (signal.aborted) return aborted();
      signal.addEventListener("abort", aborted, { once: true });
      socket.once("unexpected-response", (_, { statusCode = 0 }) =>
        give(refusedWith(host, statusCode)),
      );
      socket.once("open", () => {
        over();
        // From here on the connection answers for errors: it says goodbye in order.
        socket.off("error", failed);
        this.group.add(new WebSocketConnection(this, socket, peer));
        for (const message of options.greeting) socket.send(message);
        resolve();
      });
    });
  }
}

function headersOf({ headers, token }: WebSocketClientOptions): Readonly<Record<string, string>> {
  return { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
}

function refusedWith(host: string, status: number): HoldfastError {
  const message = `${host} answered ${status} instead of opening a websocket`;
  const isPassing = status >= 500 || PASSING_STATUSES.has(status);
  if (isPassing) return new HoldfastError("CONNECTION_FAILED", message);
  const fix = "look at url, token, headers and subprotocols; redirects are not followed";
  return new HoldfastError("CONNECTION_REFUSED", message, { fix });
}
