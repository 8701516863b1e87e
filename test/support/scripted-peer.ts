import type { Connector, Pool, PoolEvent, PoolOptions } from "../../src/contract/pool.ts";
import { HoldfastError } from "../../src/errors.ts";
import { createPool } from "../../src/pool/pool.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** What an endpoint does with whoever connects. */
export type Behaviour =
  | { readonly kind: "accept" }
  | { readonly kind: "refuse" }
  /** A wrong password: connecting again cannot help. */
  | { readonly kind: "forbid" }
  /** Never answers; a connect ends when its signal aborts. */
  | { readonly kind: "black-hole" }
  | { readonly kind: "slow"; readonly ms: number }
  /** Answers after this time even if nobody waits any more: the connector ignores its signal. */
  | { readonly kind: "late"; readonly ms: number }
  /** Accepts and ends the connection after this time. */
  | { readonly kind: "kick"; readonly ms: number };

/** A connection to the peer. */
export interface PeerConnection {
  readonly id: number;
  readonly address: string;
  readonly broke: (cause: unknown) => void;
  destroyed: number;
  /** The other side is gone and nothing says so: no check is ever answered. */
  isHalfOpen: boolean;
  /** Checks are refused at once. */
  isSick: boolean;
}

/** One connect as the peer saw it. */
export interface PeerConnect {
  readonly address: string;
  readonly atMs: number;
  readonly signal: AbortSignal;
  endedAtMs: number;
}

/** Endpoints that do what a test says, and everything that was done to them. */
export class ScriptedPeer implements Connector<PeerConnection> {
  readonly clock: VirtualClock;
  readonly connects: PeerConnect[] = [];
  readonly connections: PeerConnection[] = [];
  readonly #behaviours = new Map<string, Behaviour>();
  checks = 0;

  constructor(clock: VirtualClock = new VirtualClock()) {
    this.clock = clock;
  }

  /** From now on, for every endpoint or for one. */
  set(behaviour: Behaviour | "accept" | "refuse" | "forbid" | "black-hole", address = ""): void {
    if (address === "") this.#behaviours.clear();
    this.#behaviours.set(address, typeof behaviour === "string" ? { kind: behaviour } : behaviour);
  }

  behaviour(address: string): Behaviour {
    return this.#behaviours.get(address) ?? this.#behaviours.get("") ?? { kind: "accept" };
  }

  /** Connections that were made and not destroyed. */
  open(): readonly PeerConnection[] {
    return this.connections.filter(({ destroyed }) => destroyed === 0);
  }

  /** Connects that have neither ended nor been given up. */
  get inFlight(): number {
    return this.connects.filter(
      ({ endedAtMs, signal }) => endedAtMs === Infinity && !signal.aborted,
    ).length;
  }

  connectsTo(address: string): number {
    return this.connects.filter((connect) => connect.address === address).length;
  }

  readonly connect = async (
    address: string,
    signal: AbortSignal,
    broke: (cause: unknown) => void,
  ): Promise<PeerConnection> => {
    const connect = { address, atMs: this.clock.monotonicMs(), signal, endedAtMs: Infinity };
    this.connects.push(connect);
    try {
      await this.#answer(this.behaviour(address), signal);
      const connection: PeerConnection = {
        id: this.connections.length,
        address,
        broke,
        destroyed: 0,
        isHalfOpen: false,
        isSick: false,
      };
      this.connections.push(connection);
      const behaviour = this.behaviour(address);
      if (behaviour.kind === "kick") this.clock.after(behaviour.ms, () => broke(kicked()));
      return connection;
    } finally {
      connect.endedAtMs = this.clock.monotonicMs();
    }
  };

  readonly check = async (connection: PeerConnection, signal: AbortSignal): Promise<void> => {
    this.checks++;
    if (connection.isHalfOpen) await never(signal);
    if (connection.isSick) throw new HoldfastError("CONNECTION_FAILED", "sick");
  };

  readonly destroy = (connection: PeerConnection): void => {
    connection.destroyed++;
  };

  async #answer(behaviour: Behaviour, signal: AbortSignal): Promise<void> {
    switch (behaviour.kind) {
      case "accept":
      case "kick":
        return;
      case "refuse":
        throw new HoldfastError("CONNECTION_FAILED", "refused");
      case "forbid":
        throw new HoldfastError("CONFIG_VALUE", "wrong password");
      case "black-hole":
        return await never(signal);
      case "slow":
        return await this.clock.sleep(behaviour.ms, signal);
      case "late":
        return await this.clock.sleep(behaviour.ms, new AbortController().signal);
    }
  }
}

function kicked(): Error {
  return new HoldfastError("CONNECTION_FAILED", "kicked");
}

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
  );
}

/** A pool over a scripted peer. */
export interface PoolScene {
  readonly pool: Pool<PeerConnection>;
  readonly peer: ScriptedPeer;
  readonly clock: VirtualClock;
  /** What the pool told. */
  readonly events: readonly PoolEvent[];
}

/** A pool of the endpoint `a` unless the options say otherwise. */
export function pooled(
  options: Partial<PoolOptions<PeerConnection>> = {},
  peer: ScriptedPeer = new ScriptedPeer(),
): PoolScene {
  const events: PoolEvent[] = [];
  const pool = createPool({
    name: "readings",
    addresses: ["a"],
    connector: peer,
    clock: peer.clock,
    random: createSeededRandom(1),
    onEvent: (event) => void events.push(event),
    ...options,
  });
  return { pool, peer, clock: peer.clock, events };
}
