/**
 * The listening side: lets clients in within the limits, pauses and resumes them, and ends them in order.
 */
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import type { HttpListener, HttpResponse, HttpUpgrade } from "../../src/host/http.ts";
import type { Endpoint } from "../../src/host/sockets.ts";
import { ConnectionGroup } from "../../src/record/connection-group.ts";
import { UnfinishedBytes } from "../../src/record/unfinished-bytes.ts";
import { type Access, accessOf, refusalOfCount, refusalOfNames } from "../../src/access.ts";
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
  readonly group: ConnectionGroup<WebSocketConnection>;
  readonly unfinished: UnfinishedBytes;
  readonly #handshakes: WebSocketServer;
  #listener: HttpListener | undefined;
  #access: Access | undefined;

  constructor(context: ReceiverContext<WebSocketOptions>) {
    const { guard, options } = context;
    this.context = context;
    this.gather = new Gather(guard);
    this.group = new ConnectionGroup(context);
    this.unfinished = new UnfinishedBytes(options.unfinishedBytesMax);
    this.#handshakes = new WebSocketServer({
      noServer: true,
      ...CLOSE_LIMIT,
      clientTracking: false,
      maxPayload: options.messageBytesMax,
      perMessageDeflate: deflateOptions(options),
      handleProtocols: (offered) => chosenProtocol(options, offered) ?? false,
    });
  }

  get address(): Endpoint {
    return this.#listener?.address ?? this.context.options;
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
    this.group.pause();
  }

  resume(): void {
    this.group.resume();
  }

  close(signal: AbortSignal): Promise<void> {
    // Who is left when all are settled has no websocket: nothing of it is worth a wait.
    return this.group.close(signal, async (settled) => this.#listener?.close(settled));
  }

  disconnected(): void {
    this.group.disconnected();
  }

  #upgrade(upgrade: HttpUpgrade): void {
    const { request, stream: peer, head } = upgrade;
    const { stream } = peer;
    // For as long as it lives: whatever becomes of the handshake, an error of a socket ends that socket only.
    stream.on("error", () => stream.destroy());
    if (this.group.isOver) return void stream.destroy();
    const refusal = this.#refusalOf(upgrade);
    if (refusal !== undefined) return this.#refuse(peer.peer, stream, refusal);
    this.#handshakes.handleUpgrade(request, stream, head, (socket: WebSocket) => {
      this.group.add(new WebSocketConnection(this, socket, peer));
      this.context.alive();
    });
  }

  #refusalOf({ request: { headers }, path, query, stream }: HttpUpgrade): Refusal | undefined {
    const { options } = this.context;
    const unnamed = refusalOfNames(options, stream.peerNames);
    if (unnamed !== undefined) return { status: 403, cause: unnamed };
    const refusal = refusalOf(options, { headers, path, query });
    if (refusal !== undefined) return refusal;
    const full = refusalOfCount(options, this.group.connectedCount);
    return full === undefined ? undefined : { status: 503, cause: full };
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
}

const NO_WEBSOCKET: HttpResponse = {
  status: 426,
  headers: { upgrade: "websocket", "content-type": "text/plain" },
  body: USAGE,
};
