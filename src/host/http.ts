/**
 * HTTP servers: interface here, the real one in `real-http.ts`.
 */
import type { IncomingMessage } from "node:http";
import type { Endpoint, Listener, PeerStream } from "./sockets.ts";
import type { ServerTls } from "./tls.ts";

/** A request with its whole body, which is at most `bodyBytesMax` long. */
export interface HttpRequest {
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Header names in lower case; repeated ones joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly peer: string;
  /** Names in the certificate that the client showed; none where it was not asked for one. */
  readonly peerNames: readonly string[];
  /** Aborts when the client goes away before the answer. */
  readonly signal: AbortSignal;
}

/** What the handler answers. */
export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Limits of a server: each is enforced before memory is used. */
export interface HttpLimits {
  readonly connectionsMax: number;
  /** A longer body is answered 413, with both numbers where the length is known. */
  readonly bodyBytesMax: number;
  /** Bodies of all requests together, while they arrive and are handled; beyond it 503. @defaultValue 32 MiB */
  readonly bodiesBytesMax?: number;
  readonly headerBytesMax: number;
  /** For the whole request to arrive; then 408. */
  readonly requestTimeoutMs: number;
  /** Between requests of one connection. */
  readonly idleTimeoutMs: number;
}

/** Options of `listen`. */
export interface HttpListenOptions extends Endpoint {
  readonly limits: HttpLimits;
  readonly tls?: ServerTls;
  /** Asked about a peer's address before anything is read or shown; false closes the connection. */
  readonly admits?: (address: string) => boolean;
  /** A peer that did not get through its handshake, and why. */
  readonly refused?: (peer: string, cause: Error) => void;
  /** Hears how many connections are open whenever that changes. */
  readonly connections?: (count: number) => void;
  /** Takes requests to change the protocol, and their streams. @defaultValue they are answered as any other request */
  readonly upgrade?: (upgrade: HttpUpgrade) => void;
}

/** A request to go on with another protocol; who gets it answers it on the stream, or ends that. */
export interface HttpUpgrade {
  readonly request: IncomingMessage;
  /** Path without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly stream: PeerStream;
  /** What came behind the request already. */
  readonly head: Buffer;
}

/** Servers of the host. */
export interface HttpServers {
  /**
   * Resolves when bound; rejects with PORT_IN_USE, ADDRESS_UNAVAILABLE, or CONFIG_VALUE for a certificate. `handle`
   * never rejects: a bug in it is answered 500 and passed to `onError`. The listener's `close` stops accepting and
   * waits for running requests, until its signal aborts.
   */
  listen(
    options: HttpListenOptions,
    handle: (request: HttpRequest) => Promise<HttpResponse>,
    onError: (cause: Error) => void,
  ): Promise<HttpListener>;
}

/** A bound HTTP server. */
export interface HttpListener extends Omit<Listener, "close"> {
  readonly connectionCount: number;
  close(signal?: AbortSignal): Promise<void>;
}
