/**
 * The pools of one ingest: made with its clock, seen in its snapshot, heard in its events.
 */
import type { Emit } from "../contract/events.ts";
import type { Pool, PoolEvent, PoolFactory, PoolStats } from "../contract/pool.ts";
import type { Clock } from "../host/clock.ts";
import type { Random } from "../host/random.ts";
import { createPool } from "./pool.ts";

/** What the pools share. */
export interface PoolsParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

/** Pools by name. */
export interface Pools {
  /** @throws CONFIG_OUT_OF_RANGE, CONFIG_VALUE, CONFIG_CONFLICT */
  readonly create: PoolFactory;
  /** Of the pools that are not closed; of two with one name the newer. */
  stats(): readonly PoolStats[];
}

/** A registry without pools. */
export function createPools({ clock, random, emit }: PoolsParts): Pools {
  const open = new Map<string, Pool<unknown>>();
  return {
    create: (options) => {
      const down = new Set<string>();
      const pool = createPool({
        ...options,
        clock,
        random,
        onEvent: (event) => {
          if (event.kind === "closed" && open.get(event.pool) === pool) open.delete(event.pool);
          publish(event, down, emit);
        },
      });
      open.set(pool.name, pool);
      return pool;
    },
    stats: () => Array.from(open.values(), (pool) => pool.stats()),
  };
}

/**
 * Down is told once, and once more when the endpoint is parked; up only when something has proved itself. An endpoint
 * that flaps is down.
 */
function publish(event: PoolEvent, down: Set<string>, emit: Emit): void {
  if (event.kind === "leak") {
    const { pool, address, heldMs, site, isReclaimed } = event;
    return emit("pool-leak", { pool, address, heldMs, site, isReclaimed });
  }
  if (event.kind !== "endpoint") return;
  const { pool, address, status, error } = event;
  if (status === "up" && down.delete(address)) emit("pool-up", { pool, address });
  const isParked = status === "parked";
  if (error === undefined || (down.has(address) && !isParked)) return;
  down.add(address);
  emit("pool-down", { pool, address, error, isParked });
}
