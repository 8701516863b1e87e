/**
 * Stream sockets of the machine, plain or with TLS.
 *
 * All sockets read into one buffer: the bytes are handed on in the same turn, so a buffer per socket would
 * only cost memory. For accepted sockets Node offers this through a private handle; where that is missing, they
 * are read the public way, which is slower and nothing else.
 */
import {
  connect,
  createServer,
  type OnReadOpts,
  type Server,
  Socket,
  type SocketConstructorOpts,
} from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, TLSSocket } from "node:tls";
import { HoldfastError } from "../errors.ts";
import { connectionError } from "./connection-error.ts";
import { clientNames, connectTls, serverOptions } from "./real-tls.ts";
import type {
  Connection,
  ConnectOptions,
  DataListener,
  Endpoint,
  Listener,
  ListenOptions,
  PeerStream,
  Sockets,
} from "./sockets.ts";

/** Most bytes of one read. */
const READ_BYTES = 256 * 1024;
/** Room in front of what was read, for a beginning that was carried over. */
const HEADROOM_BYTES = 64 * 1024;
/** A peer that is gone without a word is found out by then, where no idle limit does it earlier. */
const KEEP_ALIVE_MS = 60_000;
/** Peers in the middle of their handshake; a further one is closed at once. Nobody else counts them yet. */
const HANDSHAKES_MAX = 1_024;

/** Node's socket options, with those that it takes but does not declare. */
type HandleOptions = SocketConstructorOpts & {
  readonly handle: object;
  readonly onread: OnReadOpts;
};

/** The machine's streams. `fastAccept: false` reads accepted sockets the public way. */
export function realSockets(
  { fastAccept }: { readonly fastAccept: boolean } = { fastAccept: true },
): Sockets {
  const shared = new SharedRead();
  return Object.freeze({
    listen: (
      options: ListenOptions,
      onConnection: (connection: Connection) => void,
      onError: (cause: Error) => void,
    ) =>
      listen(
        "connections",
        options,
        (socket) =>
          onConnection(
            options.tls === undefined
              ? accepted(socket, fastAccept ? shared : undefined)
              : readPublicly(socket),
          ),
        onError,
      ),
    connect: async (options: ConnectOptions, signal: AbortSignal) => {
      const { tls } = options;
      const onread = tls === undefined ? shared.onRead(() => connection) : undefined;
      const socket = beginConnect(options, onread);
      const connection = new RealConnection(socket, nameOf(options));
      if (tls !== undefined) socket.on("data", (chunk: Buffer) => connection.received(chunk, 0));
      await connected(socket, options, signal);
      return connection;
    },
    listenStreams: (
      options: ListenOptions,
      onStream: (peer: PeerStream) => void,
      onError: (cause: Error) => void,
    ) =>
      listen("streams", options, (socket) => onStream(streamOf(socket, peerOf(socket))), onError),
    connectStream: async (options: ConnectOptions, signal: AbortSignal) => {
      const socket = beginConnect(options, undefined);
      await connected(socket, options, signal);
      return streamOf(socket, nameOf(options));
    },
  });
}

/** The read buffer of all sockets, allocated with the first of them. */
class SharedRead {
  #view: Uint8Array | undefined;

  onRead(connection: () => RealConnection): OnReadOpts {
    this.#view ??= new Uint8Array(new ArrayBuffer(HEADROOM_BYTES + READ_BYTES), HEADROOM_BYTES);
    const view = this.#view;
    return {
      buffer: view,
      callback(byteCount) {
        connection().received(view.subarray(0, byteCount), HEADROOM_BYTES);
        return true;
      },
    };
  }
}

type ServerKind = "connections" | "streams";

function listen(
  kind: ServerKind,
  options: ListenOptions,
  onSocket: (socket: Socket) => void,
  onError: (cause: Error) => void,
): Promise<Listener> {
  const { host, port, backlog } = options;
  const { server, accepts } = serverOf(kind, options);
  return new Promise((resolve, reject) => {
    checkHost(options);
    const refused = (cause: Error): void => reject(listenError(cause, options));
    server.once("error", refused);
    server.listen({ host, port, backlog }, () => {
      server.off("error", refused);
      server.on("error", onError);
      server.on(accepts, onSocket);
      resolve(listenerOf(server, options));
    });
  });
}

const SERVER_OPTIONS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEP_ALIVE_MS,
} as const;

/** The server, and the event that hands over a connection. @throws CONFIG_VALUE */
function serverOf(
  kind: ServerKind,
  options: ListenOptions,
): { readonly server: Server; readonly accepts: string } {
  const { tls, host, port } = options;
  if (tls === undefined) {
    const server = createServer({ ...SERVER_OPTIONS, pauseOnConnect: kind === "connections" });
    guardServer(server, options);
    return { server, accepts: "connection" };
  }
  const server = createTlsServer({ ...SERVER_OPTIONS, ...serverOptions(tls, `${host}:${port}`) });
  limitHandshakes(server);
  guardServer(server, options);
  return { server, accepts: "secureConnection" };
}

function limitHandshakes(server: TlsServer): void {
  const shaking = new Set<string>();
  server.prependListener("connection", (socket: Socket) => {
    if (shaking.size >= HANDSHAKES_MAX) return void socket.destroy();
    const peer = peerOf(socket);
    shaking.add(peer);
    socket.once("close", () => shaking.delete(peer));
  });
  server.on("secureConnection", (socket: TLSSocket) => shaking.delete(peerOf(socket)));
}

/** Keeps out who is not admitted, before anything else sees the connection, and tells of handshakes that failed. */
export function guardServer(
  server: Server | TlsServer,
  { admits, refused }: Pick<ListenOptions, "admits" | "refused">,
): void {
  const isKeptOut = ({ remoteAddress = "" }: Socket): boolean => admits?.(remoteAddress) === false;
  if (admits !== undefined)
    server.prependListener("connection", (socket: Socket) => {
      if (isKeptOut(socket)) socket.destroy();
    });
  server.on("tlsClientError", (cause: Error, socket: TLSSocket) => {
    // The socket may have lost its address by now; then it is told of without one.
    const peer = peerOf(socket);
    if (!isKeptOut(socket)) refused?.(peer, connectionError("", handshakeError(socket, cause)));
    socket.destroy();
  });
}

/** A certificate that was not accepted is Node's own end of the connection: why is said on the socket only. */
function handshakeError({ authorizationError }: TLSSocket, cause: Error): Error {
  const code: unknown = authorizationError;
  if (typeof code !== "string") return cause;
  return Object.assign(new Error("its certificate is not accepted", { cause }), { code });
}

function listenerOf(server: Server, options: Endpoint): Listener {
  const bound = server.address();
  const address =
    typeof bound === "object" && bound !== null
      ? { host: bound.address, port: bound.port }
      : options;
  let isOpen = true;
  return {
    address,
    // Not the server's callback: that waits for its connections, which are to stay.
    close: async () => {
      if (isOpen) server.close();
      isOpen = false;
    },
  };
}

const NO_SUCH_ADDRESS = {
  why: "no such address on this machine",
  fix: "host: 127.0.0.1, or 0.0.0.0 for all addresses of this machine",
};
const LISTEN_REFUSALS: ReadonlyMap<string, { readonly why: string; readonly fix: string }> =
  new Map([
    ["EACCES", { why: "this user may not listen there", fix: "a port from 1024" }],
    ["EADDRNOTAVAIL", NO_SUCH_ADDRESS],
    ["ENOTFOUND", NO_SUCH_ADDRESS],
    ["EAI_AGAIN", NO_SUCH_ADDRESS],
  ]);

/** Node takes no host for all addresses, and an empty text for none: a variable that is not set must not open the machine. */
export function checkHost({ host, port }: Endpoint): void {
  const why = `port ${port}: host has 0 characters`;
  if (host === "") throw new HoldfastError("ADDRESS_UNAVAILABLE", why, NO_SUCH_ADDRESS);
}

/** Node's reasons why a port cannot be bound, as ours. */
export function listenError(cause: Error, { host, port }: Endpoint): Error {
  const code = "code" in cause ? cause.code : undefined;
  if (code === "EADDRINUSE") {
    return new HoldfastError("PORT_IN_USE", `${host}:${port} is taken`, {
      fix: "another `port:`, or stop the program that listens there",
      cause,
    });
  }
  const { why, fix } = LISTEN_REFUSALS.get(String(code)) ?? { why: cause.message, fix: "" };
  return new HoldfastError("ADDRESS_UNAVAILABLE", `${host}:${port}: ${why}`, { cause, fix });
}

/** `address:port` of a socket's other end. */
export function peerOf({ remoteAddress = "unknown", remotePort = 0 }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

/** An accepted socket, read through the shared buffer where that can be had. */
function accepted(socket: Socket, shared: SharedRead | undefined): Connection {
  const handle: unknown = shared === undefined ? undefined : Reflect.get(socket, "_handle");
  if (
    shared === undefined ||
    typeof handle !== "object" ||
    handle === null ||
    !("useUserBuffer" in handle)
  )
    return readPublicly(socket);
  const peer = peerOf(socket);
  // The handle moves to a socket that reads into the shared buffer. It was paused on connect, so no byte is
  // lost; the first socket lets go of it, or its collection would close it.
  Reflect.set(socket, "_handle", null);
  const options: HandleOptions = {
    handle,
    allowHalfOpen: true,
    onread: shared.onRead(() => connection),
  };
  const connection: RealConnection = new RealConnection(new Socket(options), peer);
  return connection;
}

function readPublicly(socket: Socket): Connection {
  const connection = new RealConnection(socket, peerOf(socket));
  socket.on("data", (chunk) => connection.received(chunk, 0));
  socket.resume();
  return connection;
}

function nameOf({ host, port }: Endpoint): string {
  return `${host}:${port}`;
}

/** Node's stream, which from here on is its taker's. */
function streamOf(socket: Socket, peer: string): PeerStream {
  return { stream: socket, peer, peerNames: namesOf(socket) };
}

function beginConnect({ host, port, tls }: ConnectOptions, onread: OnReadOpts | undefined): Socket {
  const options = {
    host,
    port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  };
  if (tls !== undefined) return connectTls(options, tls);
  return connect(onread === undefined ? options : { ...options, onread });
}

/** Resolves when it is connected, its handshake done. */
function connected(socket: Socket, options: ConnectOptions, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      socket.destroy();
      reject(signal.reason);
    };
    const failed = (cause: Error): void => {
      signal.removeEventListener("abort", abort);
      reject(connectionError(nameOf(options), cause));
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    socket.once("error", failed);
    socket.once(options.tls === undefined ? "connect" : "secureConnect", () => {
      signal.removeEventListener("abort", abort);
      socket.off("error", failed);
      resolve();
    });
  });
}

/** Names in the certificate of a socket's peer; a plain socket has none. */
export function namesOf(socket: Socket): readonly string[] {
  return socket instanceof TLSSocket ? clientNames(socket) : [];
}

/** A socket as a {@link Connection}. It has an error listener from its first moment to its last. */
export class RealConnection implements Connection {
  readonly #socket: Socket;
  readonly #peer: string;
  #data: DataListener | undefined;
  #cause: Error | undefined;
  /** Resolves when the socket is gone. */
  readonly #closed: Promise<void>;

  constructor(socket: Socket, peer: string) {
    this.#socket = socket;
    this.#peer = peer;
    socket.on("error", (cause) => {
      this.#cause ??= cause;
    });
    this.#closed = new Promise((resolve) => socket.once("close", () => resolve()));
  }

  get peer(): string {
    return this.#peer;
  }

  get peerNames(): readonly string[] {
    return namesOf(this.#socket);
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** Called by the read path. */
  received(chunk: Uint8Array, headroomBytes: number): void {
    this.#data?.(chunk, headroomBytes);
  }

  readonly onData = (listener: DataListener): void => {
    this.#data = listener;
  };

  readonly onEnd = (listener: () => void): void => {
    this.#socket.once("end", listener);
  };

  readonly onClose = (listener: (cause?: Error) => void): void => {
    this.#socket.once("close", () =>
      this.#cause === undefined ? listener() : listener(this.#cause),
    );
  };

  readonly write = (bytes: Uint8Array | string): void => {
    if (this.#socket.writable) this.#socket.write(bytes);
  };

  readonly pause = (): void => {
    this.#socket.pause();
  };

  readonly resume = (): void => {
    this.#socket.resume();
  };

  readonly close = (): Promise<void> => {
    this.#socket.end();
    // Reading goes on until the peer ends: a socket that is closed over unread bytes is reset, and what was
    // queued for the peer would be lost with it.
    this.#socket.resume();
    return this.#closed;
  };

  readonly destroy = (cause?: Error): void => {
    this.#cause ??= cause;
    this.#socket.destroy();
  };

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
