/**
 * HTTP clients: interface here, the real one in `real-http-client.ts`.
 *
 * A connection is one socket that its owner asked for. Nothing connects, repeats a request or waits by itself: who owns
 * the connections, a pool, decides all of that.
 */
import type { Endpoint } from "./sockets.ts";
import type { ClientTls } from "./tls.ts";

/** A server and how to talk to it: with TLS where `tls` is there. */
export interface HttpServerPlace extends Endpoint {
  readonly tls?: ClientTls;
}

/** A request with its whole body. */
export interface HttpQuestion {
  readonly method: string;
  /** Path with the query. */
  readonly path: string;
  /** With `host`; without `connection` and `content-length`, which the client sets. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Bytes of the answer's body that are read; behind them the connection is of no more use. */
  readonly answerBytesMax: number;
}

/** An answer. */
export interface HttpAnswer {
  readonly status: number;
  /** Header names in lower case; repeated ones joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /** The whole body, or its first `answerBytesMax` bytes. */
  readonly body: Uint8Array;
  /** Whether the connection takes another request. */
  readonly isReusable: boolean;
}

/** One socket to a server, connected. */
export interface HttpConnection {
  /**
   * Sends a request and reads the answer, one at a time. Rejects when the connection breaks before the answer is whole
   * (whether the server got the request is not known then), or with the signal's reason; both end the connection.
   *
   * @throws CONNECTION_FAILED, CONNECTION_UNTRUSTED
   */
  send(question: HttpQuestion, signal: AbortSignal): Promise<HttpAnswer>;
  /** Ends the connection at once. May be called twice. */
  destroy(): void;
}

/** HTTP/1.1 clients of the host. */
export interface HttpClient {
  /**
   * Resolves when the socket is connected and, with TLS, the server is trusted. `broke` is called once when the
   * connection ends, unless its owner ended it or the last answer said that it would.
   *
   * @throws CONNECTION_FAILED, CONNECTION_UNTRUSTED, CONFIG_VALUE for PEM that is none, or the signal's reason
   */
  connect(
    place: HttpServerPlace,
    signal: AbortSignal,
    broke: (cause: Error) => void,
  ): Promise<HttpConnection>;
}
