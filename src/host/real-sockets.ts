/**
 * Stream sockets of the machine. The only file that touches `node:net`.
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
import { HoldfastError } from "../errors.ts";
import type {
  Connection,
  DataListener,
  Endpoint,
  Listener,
  ListenOptions,
  Sockets,
} from "./sockets.ts";

/** Most bytes of one read. */
const READ_BYTES = 256 * 1024;
/** Room in front of what was read, for a beginning that was carried over. */
const HEADROOM_BYTES = 64 * 1024;
/** A peer that is gone without a word is found out by then, where no idle limit does it earlier. */
const KEEP_ALIVE_MS = 60_000;

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
        options,
        (socket) => onConnection(accepted(socket, fastAccept ? shared : undefined)),
        onError,
      ),
    connect: (endpoint: Endpoint, signal: AbortSignal) => connectTo(endpoint, signal, shared),
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

function listen(
  options: ListenOptions,
  onSocket: (socket: Socket) => void,
  onError: (cause: Error) => void,
): Promise<Listener> {
  const { host, port, backlog } = options;
  return new Promise((resolve, reject) => {
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      pauseOnConnect: true,
    });
    const refused = (cause: Error): void => reject(listenError(cause, options));
    server.once("error", refused);
    server.listen({ host, port, backlog }, () => {
      server.off("error", refused);
      server.on("error", onError);
      server.on("connection", onSocket);
      resolve(listenerOf(server, options));
    });
  });
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

/** An accepted socket, read through the shared buffer where that can be had. */
function accepted(socket: Socket, shared: SharedRead | undefined): Connection {
  const peer = `${socket.remoteAddress ?? "unknown"}:${socket.remotePort ?? 0}`;
  const handle: unknown = shared === undefined ? undefined : Reflect.get(socket, "_handle");
  if (
    shared === undefined ||
    typeof handle !== "object" ||
    handle === null ||
    !("useUserBuffer" in handle)
  ) {
    const connection = new RealConnection(socket, peer);
    socket.on("data", (chunk) => connection.received(chunk, 0));
    socket.resume();
    return connection;
  }
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

function connectTo(
  { host, port }: Endpoint,
  signal: AbortSignal,
  shared: SharedRead,
): Promise<Connection> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return void reject(signal.reason);
    const onread = shared.onRead(() => connection);
    const socket = connect({
      host,
      port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      onread,
    });
    const abort = (): void => {
      socket.destroy();
      reject(signal.reason);
    };
    const failed = (cause: Error): void => {
      signal.removeEventListener("abort", abort);
      reject(
        new HoldfastError("CONNECTION_FAILED", `${host}:${port}: ${cause.message}`, { cause }),
      );
    };
    signal.addEventListener("abort", abort, { once: true });
    socket.once("error", failed);
    const connection = new RealConnection(socket, `${host}:${port}`);
    socket.once("connect", () => {
      signal.removeEventListener("abort", abort);
      socket.off("error", failed);
      resolve(connection);
    });
  });
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
