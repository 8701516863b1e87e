/**
 * Streams in memory: a test plays the peer. Bytes arrive in the call that sends them, unless the other side has
 * paused: then a few microtasks after it goes on. Nothing depends on time.
 */
import { HoldfastError } from "../../src/errors.ts";
import type {
  Connection,
  DataListener,
  Endpoint,
  Listener,
  ListenOptions,
  PeerStream,
  Sockets,
} from "../../src/host/sockets.ts";

/** Microtasks that stand for a turn of the event loop: what was under way is settled before bytes come again. */
const TURN_MICROTASKS = 10;
/** Bytes of scratch room in front of each chunk, as the real sockets have it. */
const HEADROOM_BYTES = 32;

/** Sockets whose peers are {@link MemoryPeer}s. */
export class MemorySockets implements Sockets {
  readonly #listening = new Map<number, (connection: Connection) => void>();
  #nextPort = 40_000;
  #peerCount = 0;

  listen(
    { host, port }: ListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const bound = port === 0 ? this.#nextPort++ : port;
    if (this.#listening.has(bound))
      return Promise.reject(new HoldfastError("PORT_IN_USE", `${host}:${bound} is taken`));
    this.#listening.set(bound, onConnection);
    return Promise.resolve({
      address: { host, port: bound },
      close: async () => {
        this.#listening.delete(bound);
      },
    });
  }

  /** Connects as a test. */
  dial(port: number): MemoryPeer {
    const accept = this.#listening.get(port);
    if (accept === undefined) throw new Error(`nobody listens on port ${port}`);
    const peer = new MemoryPeer(`10.0.0.9:${50_000 + this.#peerCount++}`);
    accept(peer.connection);
    return peer;
  }

  connect({ host, port }: Endpoint): Promise<Connection> {
    return Promise.reject(
      new HoldfastError("CONNECTION_FAILED", `${host}:${port}: a test has no such peer`),
    );
  }

  listenStreams(): Promise<Listener> {
    return Promise.reject(new HoldfastError("INTERNAL", "a test has no streams"));
  }

  connectStream(): Promise<PeerStream> {
    return Promise.reject(new HoldfastError("INTERNAL", "a test has no streams"));
  }
}

/** The far side of a connection. */
export class MemoryPeer {
  readonly connection: MemoryConnection;
  /** What the server wrote, in order. */
  readonly writes: Buffer[] = [];
  /** The server has sent FIN. */
  isEnded = false;
  /** A peer that does not read lets what is written to it pile up. */
  readsAnswers = true;

  constructor(name: string) {
    this.connection = new MemoryConnection(this, name);
  }

  get text(): string {
    return Buffer.concat(this.writes).toString("latin1");
  }

  send(bytes: string | Uint8Array): void {
    this.connection.deliver({ kind: "data", bytes: Buffer.from(bytes) });
  }

  /** FIN. */
  end(): void {
    this.connection.deliver({ kind: "end" });
  }

  /** RST, or a cable that is pulled. */
  reset(cause: Error): void {
    this.connection.destroy(cause);
  }
}

type Arrival = { readonly kind: "data"; readonly bytes: Buffer } | { readonly kind: "end" };

/** The near side, as the receiver sees it. */
export class MemoryConnection implements Connection {
  readonly peer: string;
  peerNames: readonly string[] = [];
  readonly #far: MemoryPeer;
  readonly #arrivals: Arrival[] = [];
  #data: DataListener | undefined;
  #end: (() => void) | undefined;
  #close: ((cause?: Error) => void)[] = [];
  #hasPeerEnded = false;
  unsentBytes = 0;
  /** What was read before the near side said goodbye. */
  readonly read: Buffer[] = [];
  isPaused = false;
  isClosed = false;

  constructor(far: MemoryPeer, peer: string) {
    this.#far = far;
    this.peer = peer;
  }

  deliver(arrival: Arrival): void {
    if (this.isClosed) return;
    this.#arrivals.push(arrival);
    this.#flow();
  }

  readonly onData = (listener: DataListener): void => {
    this.#data = listener;
  };
  readonly onEnd = (listener: () => void): void => {
    this.#end = listener;
  };
  readonly onClose = (listener: (cause?: Error) => void): void => {
    this.#close.push(listener);
  };
  readonly write = (bytes: Uint8Array | string): void => {
    if (this.isClosed || this.#far.isEnded) return;
    if (this.#far.readsAnswers) this.#far.writes.push(Buffer.from(bytes));
    else this.unsentBytes += Buffer.byteLength(bytes);
  };
  readonly pause = (): void => {
    this.isPaused = true;
  };
  readonly resume = (): void => {
    this.isPaused = false;
    void this.#flowLater();
  };
  readonly close = (): Promise<void> => {
    this.#far.isEnded = true;
    this.isPaused = false;
    const closed = new Promise<void>((resolve) => this.#close.push(() => resolve()));
    this.#flow();
    if (this.#hasPeerEnded) this.#gone(undefined);
    return closed;
  };
  readonly destroy = (cause?: Error): void => this.#gone(cause);

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #flowLater(): Promise<void> {
    for (let turn = 0; turn < TURN_MICROTASKS; turn++) await Promise.resolve();
    this.#flow();
  }

  #flow(): void {
    while (!this.isPaused && !this.isClosed) {
      const arrival = this.#arrivals.shift();
      if (arrival === undefined) return;
      if (arrival.kind === "data") this.#receive(arrival.bytes);
      else this.#ended();
    }
  }

  /** The chunk and its headroom are filled with line ends afterwards: who kept a view of it fails. */
  #receive(bytes: Buffer): void {
    if (!this.#far.isEnded) this.read.push(bytes);
    const memory = new Uint8Array(HEADROOM_BYTES + bytes.length);
    memory.set(bytes, HEADROOM_BYTES);
    this.#data?.(memory.subarray(HEADROOM_BYTES), HEADROOM_BYTES);
    memory.fill(0x0a);
  }

  #ended(): void {
    this.#hasPeerEnded = true;
    this.#end?.();
    if (this.#far.isEnded) this.#gone(undefined);
  }

  #gone(cause: Error | undefined): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const listener of this.#close.splice(0)) {
      if (cause === undefined) listener();
      else listener(cause);
    }
  }
}
