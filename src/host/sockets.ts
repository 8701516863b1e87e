/**
 * Stream sockets, plain or with TLS: interface here, the real ones in `real-sockets.ts`.
 */
import type { Duplex } from "node:stream";
import type { ClientTls, ServerTls } from "./tls.ts";

/** Where to connect or listen. Port 0 takes a free one. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * Bytes that came in. `chunk` is valid during the call only and may be changed by it; the `headroomBytes`
 * bytes in front of it in its ArrayBuffer are free too, so that a carried-over beginning can be put there.
 */
export type DataListener = (chunk: Uint8Array, headroomBytes: number) => void;

/** One stream connection. Half open is allowed: after the peer's end it can still be written. */
export interface Connection extends AsyncDisposable {
  /** `address:port` of the peer, for messages. */
  readonly peer: string;
  /** Names in the certificate that the peer showed; none where it was not asked for one. */
  readonly peerNames: readonly string[];
  /** Set before the first await after the connection was handed over. */
  readonly onData: (listener: DataListener) => void;
  /** The peer will send no more (FIN). */
  readonly onEnd: (listener: () => void) => void;
  /** Once: the connection is gone; with the cause if it broke. */
  readonly onClose: (listener: (cause?: Error) => void) => void;
  /** Queues bytes; `unsentBytes` says how many the peer has not taken. Ignored once closed. */
  readonly write: (bytes: Uint8Array | string) => void;
  readonly unsentBytes: number;
  /** Stops reading: the peer is slowed by TCP. */
  readonly pause: () => void;
  /** Reads again: bytes come in a later turn of the loop, never inside this call. */
  readonly resume: () => void;
  /** Sends what is queued, then ends; resolves when closed. */
  readonly close: () => Promise<void>;
  /** Ends at once; what is queued is lost. */
  readonly destroy: (cause?: Error) => void;
}

/** A bound listener. */
export interface Listener {
  readonly address: Endpoint;
  /** Accepts no more; open connections stay. May be called twice. */
  close(): Promise<void>;
}

/** Options of `listen`. */
export interface ListenOptions extends Endpoint {
  /** Connections waiting to be accepted. */
  readonly backlog: number;
  /** A connection is handed over when its handshake is done. */
  readonly tls?: ServerTls;
  /** Asked about a peer's address before anything is read or shown; false closes the connection. */
  readonly admits?: (address: string) => boolean;
  /** A peer that did not get through its handshake, and why. */
  readonly refused?: (peer: string, cause: Error) => void;
}

/** Where to connect, and whether with TLS. */
export interface ConnectOptions extends Endpoint {
  readonly tls?: ClientTls;
}

/** A connection as the stream of Node that client libraries take. Who takes it listens to its errors. */
export interface PeerStream {
  readonly stream: Duplex;
  /** `address:port` of the peer, for messages. */
  readonly peer: string;
  /** Names in the certificate that the peer showed; none where it was not asked for one. */
  readonly peerNames: readonly string[];
}

/** Streams of the host. */
export interface Sockets {
  /** Resolves when bound; rejects with PORT_IN_USE, ADDRESS_UNAVAILABLE, or CONFIG_VALUE for a certificate. */
  listen(
    options: ListenOptions,
    onConnection: (connection: Connection) => void,
    onError: (cause: Error) => void,
  ): Promise<Listener>;
  /** Resolves when connected; rejects with CONNECTION_FAILED, CONNECTION_UNTRUSTED, or the signal's reason. */
  connect(options: ConnectOptions, signal: AbortSignal): Promise<Connection>;
  /** As `listen`, for libraries that bring a protocol and take streams. */
  listenStreams(
    options: ListenOptions,
    onStream: (peer: PeerStream) => void,
    onError: (cause: Error) => void,
  ): Promise<Listener>;
  /** As `connect`, for such libraries. */
  connectStream(options: ConnectOptions, signal: AbortSignal): Promise<PeerStream>;
}
