/**
 * HTTP servers of the machine. Clients are in `real-http-client.ts`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Code, toError } from "../errors.ts";
import { BodyParts } from "./body-parts.ts";
import { realClock } from "./clock.ts";
import type {
  HttpLimits,
  HttpListener,
  HttpListenOptions,
  HttpRequest,
  HttpResponse,
  HttpServers,
} from "./http.ts";
import { checkHost, guardServer, listenError, namesOf, peerOf } from "./real-sockets.ts";
import { serverOptions } from "./real-tls.ts";
import type { Endpoint } from "./sockets.ts";

const BODIES_BYTES_MAX = 32 * 2 ** 20;
/** How often Node looks for requests that take too long. */
const TIMEOUT_CHECK_MS = 1_000;
/** How long a client whose body was refused may go on sending until it reads the answer. */
const LINGER_MS = 2_000;

type Handle = (request: HttpRequest) => Promise<HttpResponse>;

/** The machine's HTTP servers. */
export const realHttp: HttpServers = Object.freeze({
  listen: async (options: HttpListenOptions, handle: Handle, onError: (cause: Error) => void) => {
    checkHost(options);
    const served = new HttpServer(options, handle, onError);
    return served.listen(options);
  },
});

class HttpServer implements HttpListener {
  readonly #limits: Required<HttpLimits>;
  readonly #handle: Handle;
  readonly #onError: (cause: Error) => void;
  readonly #server: Server;
  #address: Endpoint = { host: "", port: 0 };
  #connectionCount = 0;
  /** Sockets from which no request came yet, by their peers: Node does not take them for idle. */
  readonly #silent = new Map<string, Socket>();
  /** The others, as requests name them. */
  readonly #heard = new WeakSet<Socket>();
  #bodiesBytes = 0;
  #isClosing = false;

  constructor(options: HttpListenOptions, handle: Handle, onError: (cause: Error) => void) {
    const { limits, tls, host, port } = options;
    this.#limits = { bodiesBytesMax: BODIES_BYTES_MAX, ...limits };
    this.#handle = handle;
    this.#onError = onError;
    const { requestTimeoutMs, idleTimeoutMs, headerBytesMax, connectionsMax } = limits;
    const serving = {
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      keepAliveTimeout: idleTimeoutMs,
      connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, Math.max(requestTimeoutMs, 1)),
      maxHeaderSize: headerBytesMax,
      keepAlive: true,
      noDelay: true,
    };
    const server =
      tls === undefined
        ? createServer(serving)
        : createTlsServer({ ...serving, ...serverOptions(tls, `${host}:${port}`) });
    guardServer(server, options);
    server.maxConnections = connectionsMax;
    server.on("request", (message, response) => this.#serve(message, response, false));
    // Otherwise the client would send a body that is refused anyway.
    server.on("checkContinue", (message, response) => this.#serve(message, response, true));
    server.on("connection", (socket) => this.#connected(socket, options.connections));
    const { upgrade } = options;
    if (upgrade !== undefined)
      server.on("upgrade", (request: IncomingMessage, stream: Duplex, head: Buffer) => {
        const { socket } = request;
        this.#spoke(socket);
        const peer = { stream, peer: peerOf(socket), peerNames: namesOf(socket) };
        upgrade({ request, path: pathOf(request), query: queryOf(request), stream: peer, head });
      });
    this.#server = server;
  }

  get address(): Endpoint {
    return this.#address;
  }

  get connectionCount(): number {
    return this.#connectionCount;
  }

  listen({ host, port }: Endpoint): Promise<HttpListener> {
    return new Promise((resolve, reject) => {
      const refused = (cause: Error): void => reject(listenError(cause, { host, port }));
      this.#server.once("error", refused);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", refused);
        this.#server.on("error", this.#onError);
        const bound = this.#server.address();
        this.#address =
          typeof bound === "object" && bound !== null
            ? { host: bound.address, port: bound.port }
            : { host, port };
        resolve(this);
      });
    });
  }

  close(signal?: AbortSignal): Promise<void> {
    this.#isClosing = true;
    return new Promise((resolve) => {
      const force = (): void => this.#server.closeAllConnections();
      for (const socket of this.#silent.values()) socket.destroy();
      if (signal?.aborted === true) force();
      signal?.addEventListener("abort", force, { once: true });
      // Called back with an error when it was closed before: then there is nothing left to wait for.
      this.#server.close(() => {
        signal?.removeEventListener("abort", force);
        resolve();
      });
    });
  }

  #connected(socket: Socket, told: (count: number) => void = () => undefined): void {
    told(++this.#connectionCount);
    const peer = peerOf(socket);
    this.#silent.set(peer, socket);
    socket.once("close", () => {
      told(--this.#connectionCount);
      if (this.#silent.get(peer) === socket) this.#silent.delete(peer);
    });
  }

  /** With TLS it is another object than the one that connected: the peer is the same. */
  #spoke(socket: Socket): void {
    if (this.#heard.has(socket)) return;
    this.#heard.add(socket);
    this.#silent.delete(peerOf(socket));
  }

  #serve(message: IncomingMessage, response: ServerResponse, asksFirst: boolean): void {
    this.#spoke(message.socket);
    const refusal = this.#refusal(Number(message.headers["content-length"] ?? 0));
    if (refusal !== undefined) return refuse(message, response, refusal);
    if (asksFirst) response.writeContinue();
    let taken = 0;
    const parts = new BodyParts();
    const release = (): void => {
      this.#bodiesBytes -= taken;
      taken = 0;
    };
    // Whatever ends the request gives its memory back: an answer, or a client that goes away.
    response.once("close", release);
    message.on("data", (chunk: Buffer) => {
      if (response.headersSent) return;
      const tooMuch = this.#refusal(taken + chunk.length, taken, "at least ");
      if (tooMuch !== undefined) {
        parts.clear();
        return refuse(message, response, tooMuch);
      }
      taken += chunk.length;
      this.#bodiesBytes += chunk.length;
      parts.add(chunk);
    });
    message.once("end", () => {
      if (!response.headersSent) void this.#answer(message, response, parts.whole());
    });
    // A client that goes away ends its own request and nothing else.
    message.on("error", () => response.destroy());
    response.on("error", () => response.destroy());
  }

  /** Why a body of this length is not taken, of which `taken` bytes are counted already; undefined when it is. */
  #refusal(byteCount: number, taken = 0, atLeast = ""): HttpResponse | undefined {
    const { bodyBytesMax, bodiesBytesMax } = this.#limits;
    if (byteCount > bodyBytesMax) {
      return reason(
        413,
        "MESSAGE_TOO_LONG",
        `body of ${atLeast}${byteCount} bytes, limit ${bodyBytesMax}`,
      );
    }
    const together = this.#bodiesBytes + byteCount - taken;
    if (together <= bodiesBytesMax) return undefined;
    const busy = reason(
      503,
      "BUSY",
      `bodies of ${together} bytes are on their way, limit ${bodiesBytesMax}`,
    );
    return { ...busy, headers: { ...busy.headers, "retry-after": "1" } };
  }

  async #answer(
    message: IncomingMessage,
    response: ServerResponse,
    body: Uint8Array,
  ): Promise<void> {
    let answer: HttpResponse;
    try {
      answer = await this.#handle(new Request(message, response, body));
    } catch (cause) {
      this.#onError(toError(cause));
      answer = reason(500, "INTERNAL", "the server failed; nothing is known of the request");
    }
    // A connection that is kept would hold up a server that closes.
    send(response, answer, this.#isClosing);
  }
}

/** What is rarely asked for is made when it is: an abort signal and a query take as long as a small request. */
class Request implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  #gone: AbortController | undefined;

  constructor(message: IncomingMessage, response: ServerResponse, body: Uint8Array) {
    this.#message = message;
    this.#response = response;
    this.method = message.method ?? "GET";
    this.path = pathOf(message);
    this.headers = headersOf(message);
    this.body = body;
  }

  get query(): URLSearchParams {
    return queryOf(this.#message);
  }

  get peer(): string {
    return peerOf(this.#message.socket);
  }

  get peerNames(): readonly string[] {
    return namesOf(this.#message.socket);
  }

  get signal(): AbortSignal {
    if (this.#gone !== undefined) return this.#gone.signal;
    const gone = new AbortController();
    this.#gone = gone;
    const abort = (): void => gone.abort(new Error("the client went away"));
    if (this.#response.destroyed) abort();
    else this.#response.once("close", abort);
    return gone.signal;
  }
}

function pathOf({ url = "/" }: IncomingMessage): string {
  const at = url.indexOf("?");
  return at === -1 ? url : url.slice(0, at);
}

function queryOf({ url = "/" }: IncomingMessage): URLSearchParams {
  const at = url.indexOf("?");
  return new URLSearchParams(at === -1 ? "" : url.slice(at + 1));
}

function headersOf({ headers }: IncomingMessage): Readonly<Record<string, string>> {
  const plain: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name] ?? "";
    plain[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return plain;
}

function reason(status: number, code: Code, message: string): HttpResponse {
  return {
    status,
    headers: { "content-type": "application/json" },
    body: `${JSON.stringify({ code, message })}\n`,
  };
}

function send(
  response: ServerResponse,
  { status, headers = {}, body = "" }: HttpResponse,
  closesAfter: boolean,
): void {
  if (response.destroyed) return;
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  response.writeHead(status, {
    ...headers,
    "content-length": bytes.length,
    ...(closesAfter ? { connection: "close" } : {}),
  });
  response.end(bytes);
}

/**
 * Answers before the body is there, and reads on for a moment without keeping anything: a connection that is
 * closed over unread bytes is reset, and the client would never see the answer.
 */
function refuse(message: IncomingMessage, response: ServerResponse, answer: HttpResponse): void {
  // Without `connection: close`: after that Node would close at once.
  send(response, answer, false);
  message.resume();
  const cancel = realClock.after(LINGER_MS, () => message.destroy());
  message.once("close", cancel);
}
