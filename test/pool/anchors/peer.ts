/**
 * A server as a pool sees it: it accepts, refuses or is silent, and it counts. The anchors and our pool are held against
 * the same one, each on a time that the test moves.
 */
import { EventEmitter } from "node:events";
import { mock } from "node:test";
import type { PoolClient } from "pg-pool";

/** One connection at the peer. */
export interface PeerConnection {
  readonly id: number;
}

/** See the file's head. */
export class Peer {
  readonly #nowMs: () => number;
  /** When connects came. */
  readonly attemptsMs: number[] = [];
  /** What connects meet. A silent peer answers with `answer`. */
  mode: "up" | "refusing" | "silent" = "up";
  /** Connections that are there. */
  readonly open: Set<PeerConnection> = new Set();
  /** When connections were ended. */
  readonly endedMs: number[] = [];
  checkCount = 0;
  mostUnanswered = 0;
  readonly #unanswered = new Set<() => void>();
  #connectionCount = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get attemptCount(): number {
    return this.attemptsMs.length;
  }

  /** @param signal - gives up a connect that is not answered; without it nobody can */
  connect(signal?: AbortSignal): Promise<PeerConnection> {
    this.attemptsMs.push(this.#nowMs());
    switch (this.mode) {
      case "up":
        return Promise.resolve(this.#accept());
      case "refusing":
        return Promise.reject(new Error("ECONNREFUSED"));
      case "silent":
        return new Promise((resolve, reject) => {
          const answer = (): void => resolve(this.#accept());
          this.#unanswered.add(answer);
          this.mostUnanswered = Math.max(this.mostUnanswered, this.#unanswered.size);
          signal?.addEventListener("abort", () => {
            this.#unanswered.delete(answer);
            reject(signal.reason);
          });
        });
    }
  }

  /** Accepts whoever came while it was silent. */
  answer(): void {
    for (const accept of this.#unanswered) accept();
    this.#unanswered.clear();
  }

  check(): Promise<boolean> {
    this.checkCount += 1;
    return Promise.resolve(true);
  }

  end(connection: PeerConnection): Promise<void> {
    if (this.open.delete(connection)) this.endedMs.push(this.#nowMs());
    return Promise.resolve();
  }

  #accept(): PeerConnection {
    this.#connectionCount += 1;
    const connection = { id: this.#connectionCount };
    this.open.add(connection);
    return connection;
  }
}

/** What tarn and generic-pool are given. */
export function factoryOf(peer: Peer): {
  create(): Promise<PeerConnection>;
  destroy(connection: PeerConnection): Promise<void>;
} {
  return { create: () => peer.connect(), destroy: (connection) => peer.end(connection) };
}

/** A client of pg, as pg-pool uses it, whose server is the peer. */
export function pgClientOf(peer: Peer): new () => PoolClient {
  return class extends EventEmitter implements PoolClient {
    /** Read by pg-pool: a client without it is thrown away when it comes back. */
    readonly _queryable = true;
    #connection: PeerConnection | undefined;

    connect(connected: (error?: Error) => void): void {
      void this.#open().then(connected);
    }

    async #open(): Promise<Error | undefined> {
      try {
        this.#connection = await peer.connect();
        return undefined;
      } catch (cause) {
        return new Error("connect failed", { cause });
      }
    }

    end(done?: () => void): void {
      if (this.#connection !== undefined) void peer.end(this.#connection);
      this.emit("end");
      done?.();
    }

    isConnected(): boolean {
      return this.#connection !== undefined;
    }
  };
}

/** Runs with the machine's time in the test's hands: the anchors know no other. */
export async function withMachineTime(body: (peer: Peer) => Promise<void>): Promise<void> {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 0 });
  try {
    await body(new Peer(() => Date.now()));
  } finally {
    mock.timers.reset();
  }
}

/** Moves the machine's time, and lets what it sets off happen. */
export async function pass(ms: number, stepMs = 1_000): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
    mock.timers.tick(stepMs);
    await turn();
  }
}

/** A turn of the event loop: every promise that can settle has. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What became of a promise so far: "pending", "resolved" or what it rejected with. */
export async function fateOf(promise: Promise<unknown>): Promise<string> {
  const fate = promise.then(
    () => "resolved",
    (cause: unknown) => String(cause),
  );
  await turn();
  return Promise.race([fate, Promise.resolve("pending")]);
}
