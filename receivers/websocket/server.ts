/**
 * The listening side: lets clients in within the limits, pauses and resumes them, and ends them in order.
 */
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import { HoldfastError, toError } from "../../src/errors.ts";
import type { HttpListener, HttpResponse, HttpUpgrade } from "../../src/host/http.ts";
import type { Endpoint } from "../../src/host/sockets.ts";
import { type Access, accessOf, refusalOfNames } from "../../src/access.ts";
import { Acknowledger } from "./acknowledger.ts";
import { chosenProtocol, type Refusal, refusalOf } from "./admission.ts";
import { CLOSE_LIMIT, type ConnectionOwner, WebSocketConnection } from "./connection.ts";
import { Gather } from "./gather.ts";
import type { WebSocketOptions } from "./options.ts";
import { deflateOptions } from "./deflate.ts";

/** Connections that have not asked for a websocket yet, or were refused one, beside those that have one. */
const HANDSHAKES_MAX = 256;
/** For a client's whole handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
const HEADER_BYTES_MAX: number = 16 * 1024;
/** How long a refused client may take to read why. */
const REFUSED_LINGER_MS = 2_000;
const USAGE =
  "This is a websocket: connect with a websocket client. Each message that it sends is stored.\n";
const STATUS_TEXTS: Readonly<Record<Refusal["status"], string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  503: "Service Unavailable",
};

/** One incarnation of a websocket receiver. */
export class WebSocketListener implements ConnectionOwner, ReceiverSession {
  readonly context: ReceiverContext<WebSocketOptions>;
  readonly gather: Gather;
  readonly #handshakes: WebSocketServer;
  /** Connected, or with something left to store. */
  readonly #connections = new Set<WebSocketConnection>();
  readonly #acknowledger: Acknowledger;
  #connectedCount = 0;
  #isPaused = false;
  #listener: HttpListener | undefined;
  #access: Access | undefined;
  #closing: Promise<void> | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor(context: ReceiverContext<WebSocketOptions>) {
    const { signal, guard, options } = context;
    this.context = context;
    this.gather = new Gather(guard);
    this.#acknowledger = new Acknowledger(guard);
    this.#handshakes = new WebSocketServer({
      noServer: true,
      ...CLOSE_LIMIT,
      clientTracking: false,
      maxPayload: options.messageBytesMax,
      perMessageDeflate: deflateOptions(options),
      handleProtocols: (offered) => chosenProtocol(options, offered) ?? false,
    });
    // It has failed: `close` comes later, and by then more might have been read.
    const stop = guard(() => this.#stopConnections());
    signal.addEventListener("abort", stop, { once: true });
  }

  get address(): Endpoint {
    return this.#listener?.address ?? this.context.options;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  async listen(): Promise<void> {
    const { options, http, guard, fail } = this.context;
    this.#access = await accessOf(this.context);
    const { host, port, connectionsMax } = options;
    const limits = {
      connectionsMax: connectionsMax + HANDSHAKES_MAX,
      bodyBytesMax: 0,
      headerBytesMax: HEADER_BYTES_MAX,
      requestTimeoutMs: HANDSHAKE_TIMEOUT_MS,
      idleTimeoutMs: HANDSHAKE_TIMEOUT_MS,
    };
    this.#listener = await http.listen(
      {
        host,
        port,
        limits,
        ...this.#access,
        upgrade: guard((upgrade: HttpUpgrade) => this.#upgrade(upgrade)),
      },
      async () => NO_WEBSOCKET,
      fail,
    );
  }

  pause(): void {
    this.#isPaused = true;
    for (const connection of this.#connections) connection.pause();
  }

  resume(): void {
    this.#isPaused = false;
    for (const connection of this.#connections) {
      // What is held may fill the log again: then `pause` was called inside.
      if (this.#isPaused) return;
      connection.resume();
    }
  }

  close(signal: AbortSignal): Promise<void> {
    this.#closing ??= this.#stop();
    const destroyAll = (): void => {
      for (const connection of this.#connections) connection.destroy(toError(signal.reason));
      this.#whenEmpty?.();
    };
    if (signal.aborted) destroyAll();
    else signal.addEventListener("abort", destroyAll, { once: true });
    return this.#closing.finally(() => signal.removeEventListener("abort", destroyAll));
  }

  acknowledgeSoon(connection: WebSocketConnection): void {
    this.#acknowledger.soon(connection);
  }

  disconnected(): void {
    this.#connectedCount--;
    this.context.connections(this.#connectedCount);
  }

  settled(connection: WebSocketConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  #upgrade(upgrade: HttpUpgrade): void {
    const { request, stream: peer, head } = upgrade;
    const { stream } = peer;
    // For as long as it lives: whatever becomes of the handshake, an error of a socket ends that socket only.
    stream.on("error", () => stream.destroy());
    if (this.#closing !== undefined || this.context.signal.aborted) return void stream.destroy();
    const refusal = this.#refusalOf(upgrade);
    if (refusal !== undefined) return this.#refuse(peer.peer, stream, refusal);
    this.#handshakes.handleUpgrade(request, stream, head, (socket: WebSocket) => {
      this.#connectedCount++;
      this.#connections.add(new WebSocketConnection(this, socket, peer));
      this.context.alive();
      this.context.connections(this.#connectedCount);
    });
  }

  #refusalOf({ request: { headers }, path, query, stream }: HttpUpgrade): Refusal | undefined {
    const { options } = this.context;
    const unnamed = refusalOfNames(options, stream.peerNames);
    if (unnamed !== undefined) return { status: 403, cause: unnamed };
    const refusal = refusalOf(options, { headers, path, query });
    if (refusal !== undefined) return refusal;
    const { connectionsMax } = options;
    if (this.#connectedCount < connectionsMax) return undefined;
    const message = `${this.#connectedCount} are open, limit ${connectionsMax}`;
    return { status: 503, cause: new HoldfastError("CONNECTION_LIMIT", message) };
  }

  #refuse(peer: string, stream: Duplex, { status, cause }: Refusal): void {
    this.#access?.refused(peer, cause);
    const body = `${JSON.stringify({ code: cause.code, message: cause.message })}\n`;
    const head = [
      `HTTP/1.1 ${status} ${STATUS_TEXTS[status]}`,
      "connection: close",
      "content-type: application/json",
      `content-length: ${Buffer.byteLength(body)}`,
    ];
    const cancel = this.context.clock.after(REFUSED_LINGER_MS, () => stream.destroy());
    stream.once("close", cancel);
    // What it sends is read and dropped: a socket that is closed over unread bytes is reset, and the answer lost.
    stream.resume();
    stream.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  }

  #stopConnections(): void {
    for (const connection of this.#connections) connection.stop();
  }

  async #stop(): Promise<void> {
    const empty = new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
    const settled = new AbortController();
    const closed = this.#listener?.close(settled.signal);
    this.#stopConnections();
    if (this.#connections.size > 0) await empty;
    // Who is left has no websocket: nothing of it is worth a wait.
    settled.abort();
    await closed;
  }
}

const NO_WEBSOCKET: HttpResponse = {
  status: 426,
  headers: { upgrade: "websocket", "content-type": "text/plain" },
  body: USAGE,
};
