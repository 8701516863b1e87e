/**
 * Our pool against the same peer, on a virtual clock.
 */
import type { Connector, Pool, PoolOptions } from "../../../src/contract/pool.ts";
import { createPool } from "../../../src/pool/pool.ts";
import { createSeededRandom, VirtualClock } from "../../../src/testing/index.ts";
import { Peer, type PeerConnection } from "./peer.ts";

/** A pool, its peer and its time. */
export interface Ours {
  readonly pool: Pool<PeerConnection>;
  readonly peer: Peer;
  readonly clock: VirtualClock;
}

/** Makes one; what is not said is as users get it. */
export function ours(
  options: Partial<PoolOptions<PeerConnection>> = {},
  connector: Partial<Connector<PeerConnection>> = {},
): Ours {
  const clock = new VirtualClock();
  const peer = new Peer(() => clock.monotonicMs());
  const pool = createPool<PeerConnection>({
    name: "ours",
    addresses: ["peer"],
    connector: {
      connect: (_address, signal) => peer.connect(signal),
      check: async () => void (await peer.check()),
      destroy: (connection) => void peer.end(connection),
      ...connector,
    },
    clock,
    random: createSeededRandom(1),
    ...options,
  });
  return { pool, peer, clock };
}
