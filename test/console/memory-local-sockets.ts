/** Local sockets in memory: a test is one side, or both. */
import type { LocalListener, LocalSockets } from "../../src/host/local-sockets.ts";
import type { Connection, DataListener } from "../../src/host/sockets.ts";
import { MemoryPeer } from "../support/memory-network.ts";

type Accept = (connection: Connection) => void;

/** The sockets, with what was made. */
export class MemoryLocalSockets implements LocalSockets {
  pathBytesMax = 107;
  /** Thrown by `listen`. */
  refusal: Error | undefined;
  readonly shortDirectories: Set<string> = new Set();
  /** Connections so far. */
  dialed = 0;
  readonly #listeners = new Map<string, Accept>();
  #shortCount = 0;

  /** Paths that someone listens on. */
  get listening(): Iterable<string> {
    return this.#listeners.keys();
  }

  async listen(path: string, accept: Accept): Promise<LocalListener> {
    if (this.refusal !== undefined) throw this.refusal;
    this.#listeners.set(path, accept);
    return { close: async () => void this.#listeners.delete(path) };
  }

  /** Connects and hands over the far side. */
  dial(path: string): MemoryPeer {
    const accept = this.#listeners.get(path);
    if (accept === undefined) throw Object.assign(new Error(path), { code: "ECONNREFUSED" });
    const peer = new MemoryPeer("client");
    this.dialed += 1;
    accept(peer.connection);
    return peer;
  }

  async connect(path: string, signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted();
    return new FarSide(this.dial(path));
  }

  async makeShortDirectory(): Promise<string> {
    this.#shortCount += 1;
    const path = `/short/${this.#shortCount}`;
    this.shortDirectories.add(path);
    return path;
  }

  async removeShortDirectory(path: string): Promise<void> {
    this.shortDirectories.delete(path);
  }
}

/** A peer as a connection: what the other side writes arrives, in a later turn. */
class FarSide implements Connection {
  readonly peerNames: readonly string[] = [];
  readonly peer = "server";
  readonly unsentBytes = 0;
  readonly #far: MemoryPeer;
  #data: DataListener = () => undefined;

  constructor(far: MemoryPeer) {
    this.#far = far;
    const push = far.writes.push.bind(far.writes);
    far.writes.push = (...writes) => {
      for (const bytes of writes) queueMicrotask(() => this.#data(bytes, 0));
      return push(...writes);
    };
  }

  readonly onData = (listener: DataListener): void => {
    this.#data = listener;
  };
  readonly onEnd = (): void => undefined;
  readonly onClose = (listener: (cause?: Error) => void): void =>
    this.#far.connection.onClose(listener);
  readonly write = (bytes: Uint8Array | string): void => this.#far.send(bytes);
  readonly pause = (): void => undefined;
  readonly resume = (): void => undefined;
  readonly close = async (): Promise<void> => this.#far.end();
  readonly destroy = (): void => this.#far.end();

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
