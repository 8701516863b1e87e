/** Callers of a pool under test, and what it told. */
import type { Lease, PoolEvent } from "../../src/contract/pool.ts";
import type { PeerConnection, PoolScene } from "./scripted-peer.ts";
import { watch, type Watched } from "./watched.ts";

/** A caller that waits for a connection, or has it. */
export type Caller = Watched<Lease<PeerConnection>>;

/** Why connections ended, in order. */
export function endings(events: readonly PoolEvent[]): readonly string[] {
  return events.flatMap((event) => (event.kind === "ended" ? [event.why] : []));
}

/** The leases that were reported. */
export function leaks(events: readonly PoolEvent[]): readonly PoolEvent[] {
  return events.filter(({ kind }) => kind === "leak");
}

/** So many callers at once. */
export function acquireMany({ pool }: PoolScene, count: number): readonly Caller[] {
  return Array.from({ length: count }, () => watch(pool.acquire()));
}

/** Gives back whatever is held. */
export function releaseAll(all: readonly Caller[]): void {
  for (const { value } of all) value?.release();
}
