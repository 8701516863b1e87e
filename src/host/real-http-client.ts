/**
 * HTTP clients of the machine, on `node:http` without its agents: a request is given the socket it goes over.
 */
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { connect, type Socket } from "node:net";
import { HoldfastError } from "../errors.ts";
import type {
  HttpAnswer,
  HttpClient,
  HttpConnection,
  HttpQuestion,
  HttpServerPlace,
} from "./http-client.ts";
import { connectionError } from "./connection-error.ts";
import { connectTls } from "./real-tls.ts";

/** Longest header of an answer; Node's own limit, said here. */
const HEADER_BYTES_MAX = 16_384;
/** A peer that is gone without a word is found out by then while nothing is asked of it. */
const KEEP_ALIVE_MS = 60_000;

/** The machine's HTTP clients. */
export const realHttpClient: HttpClient = Object.freeze({
  connect: (place: HttpServerPlace, signal: AbortSignal, broke: (cause: Error) => void) =>
    new Promise<HttpConnection>((resolve, reject) => {
      signal.throwIfAborted();
      const { socket, ready } = openSocket(place);
      const connection = new SocketConnection(socket, nameOf(place), broke);
      const abort = (): void => {
        connection.destroy();
        reject(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
      socket.once(ready, () => resolve(connection));
      socket.once("close", () => reject(connection.cause));
      // Settled or not, nothing is left to abort: later the owner destroys.
      for (const event of [ready, "close"])
        socket.once(event, () => signal.removeEventListener("abort", abort));
    }),
});

function openSocket(place: HttpServerPlace): { readonly socket: Socket; readonly ready: string } {
  const { host, port, tls } = place;
  const socket =
    tls === undefined
      ? connect({ host, port })
      : connectTls({ host, port, ALPNProtocols: ["http/1.1"] }, tls);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return { socket, ready: tls === undefined ? "connect" : "secureConnect" };
}

function nameOf({ host, port }: HttpServerPlace): string {
  return `${host}:${port}`;
}

/** A request on its way. */
interface Exchange {
  readonly resolve: (answer: HttpAnswer) => void;
  readonly reject: (cause: unknown) => void;
  /** Nothing is left to abort. */
  readonly release: () => void;
}

/** A socket as an {@link HttpConnection}. It has an error listener from its first moment to its last. */
class SocketConnection implements HttpConnection {
  readonly #socket: Socket;
  readonly #name: string;
  readonly #broke: (cause: Error) => void;
  #exchange: Exchange | undefined;
  #cause: Error | undefined;
  /** Its end is no news: the owner or the last answer brought it. */
  #isSpent = false;

  constructor(socket: Socket, name: string, broke: (cause: Error) => void) {
    this.#socket = socket;
    this.#name = name;
    this.#broke = broke;
    const idle = (why: string) => () => {
      if (this.#exchange === undefined) this.#break(new Error(why));
    };
    socket.on("error", (cause) => this.#break(cause));
    socket.on("close", () => this.#break(new Error("closed by the server")));
    socket.on("end", idle("closed by the server"));
    // What comes unasked, such as a 408 for an idle connection, is no answer to whatever is asked next.
    socket.on("data", idle("the server spoke unasked"));
  }

  /** Why it is not open. */
  get cause(): Error {
    return this.#cause ?? connectionError(this.#name, new Error("closed"));
  }

  send(question: HttpQuestion, signal: AbortSignal): Promise<HttpAnswer> {
    return new Promise<HttpAnswer>((resolve, reject) => {
      signal.throwIfAborted();
      if (this.#socket.destroyed || this.#isSpent) throw this.cause;
      if (this.#exchange !== undefined)
        throw new HoldfastError("INTERNAL", `${this.#name}: 2 requests at once, 1 is allowed`);
      const abort = (): void => {
        this.destroy();
        this.#settle((exchange) => exchange.reject(signal.reason));
      };
      const release = (): void => signal.removeEventListener("abort", abort);
      signal.addEventListener("abort", abort, { once: true });
      this.#exchange = { resolve, reject, release };
      try {
        this.#ask(question);
      } catch (cause) {
        // A header that cannot be sent: the server has not seen anything.
        this.#settle((exchange) => exchange.reject(cause));
      }
    });
  }

  destroy(): void {
    this.#isSpent = true;
    this.#socket.destroy();
  }

  #ask({ method, path, headers, body, answerBytesMax }: HttpQuestion): void {
    const asked = request({
      method,
      path,
      setHost: false,
      maxHeaderSize: HEADER_BYTES_MAX,
      headers: { ...headers, connection: "keep-alive", "content-length": body.length },
      createConnection: () => this.#socket,
    });
    asked.on("error", (cause) => this.#break(cause));
    asked.on("response", (response) => this.#read(asked, response, answerBytesMax));
    asked.end(body);
  }

  #read(asked: ClientRequest, response: IncomingMessage, answerBytesMax: number): void {
    const chunks: Buffer[] = [];
    let leftBytes = answerBytesMax;
    const done = (isReusable: boolean): void => {
      if (!isReusable) this.#isSpent = true;
      const { statusCode: status = 0 } = response;
      const body = Buffer.concat(chunks);
      const answer = { status, headers: headersOf(response), body, isReusable };
      this.#settle((exchange) => exchange.resolve(answer));
    };
    response.on("data", (chunk: Buffer) => {
      chunks.push(chunk.subarray(0, leftBytes));
      leftBytes -= chunk.length;
      if (leftBytes >= 0) return;
      done(false);
      this.#socket.destroy();
    });
    // An answer that came before the whole request was sent leaves the two sides out of step.
    response.on("end", () => done(asked.writableFinished && staysOpen(response)));
    response.on("error", (cause) => this.#break(cause));
  }

  /** The owner is told before the request fails: what the end says about the server is known by then. */
  #break(thrown: Error): void {
    this.#socket.destroy();
    if (!this.#isSpent) {
      this.#isSpent = true;
      this.#cause = connectionError(this.#name, thrown);
      this.#broke(this.#cause);
    }
    this.#settle((exchange) => exchange.reject(this.cause));
  }

  #settle(end: (exchange: Exchange) => void): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (exchange === undefined) return;
    exchange.release();
    end(exchange);
  }
}

/** What the server says about the connection after this answer (RFC 9112, 9.3). */
function staysOpen({ headers, httpVersion }: IncomingMessage): boolean {
  const { connection = "" } = headers;
  if (/\bclose\b/i.test(connection)) return false;
  return httpVersion !== "1.0" || /\bkeep-alive\b/i.test(connection);
}

function headersOf({ headers }: IncomingMessage): Readonly<Record<string, string>> {
  const entries = Object.entries(headers).map(([name, value = ""]) => [
    name,
    Array.isArray(value) ? value.join(", ") : value,
  ]);
  return Object.fromEntries(entries);
}
