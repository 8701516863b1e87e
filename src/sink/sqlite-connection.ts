/**
 * The one connection of a SQLite sink: a worker thread with the database open in it, kept by a pool of one.
 */
import type { Pool } from "../contract/pool.ts";
import type { SinkContext } from "../contract/sink.ts";
import { HoldfastError } from "../errors.ts";
import { SqliteClient } from "./sqlite-client.ts";
import type { Opened, StoreOptions } from "./sqlite-protocol.ts";

/** A worker and what it found when it opened the database. */
export interface StoreConnection {
  readonly client: SqliteClient;
  readonly opened: Opened;
}

/** A locked file is tried again for so long before the supervisor takes over. */
const OPEN_MS_MAX = 60_000;
/** Loading the driver and opening a large database, and whatever a worker has to end before it answers. */
const ANSWER_MS_MAX = 30_000;

/**
 * A pool that opens the database in a worker, and in another one when the first is gone. A batch may take as long as its
 * records do, so only checks have deadlines.
 */
export function storePool(
  { name, pool }: SinkContext,
  options: StoreOptions,
  closing: AbortSignal,
): Pool<StoreConnection> {
  return pool<StoreConnection>({
    name,
    addresses: [options.file],
    connectionsMax: 1,
    acquireDeadlineMs: OPEN_MS_MAX,
    connectDeadlineMs: ANSWER_MS_MAX,
    checkDeadlineMs: ANSWER_MS_MAX,
    closeDeadlineMs: ANSWER_MS_MAX,
    aliveWindowMs: Infinity,
    lifetimeMs: Infinity,
    idleTimeoutMs: Infinity,
    progressDeadlineMs: Infinity,
    leakAfterMs: Infinity,
    connector: {
      connect: (_, signal, broke) => connect(name, options, { signal, broke }),
      // After a batch that failed: the worker still answers, and the transaction is gone.
      check: async ({ client }, signal) => {
        await client.ask<"rollback">({ kind: "rollback" }, signal);
      },
      close: ({ client }, signal) => client.close(AbortSignal.any([signal, closing])),
      destroy: ({ client }) => void client.close(AbortSignal.abort()),
    },
  });
}

async function connect(
  name: string,
  options: StoreOptions,
  { signal, broke }: { readonly signal: AbortSignal; readonly broke: (cause: unknown) => void },
): Promise<StoreConnection> {
  const client = new SqliteClient(name, broke);
  try {
    return { client, opened: await client.ask<"open">({ kind: "open", options }, signal) };
  } catch (cause) {
    await client.close(AbortSignal.abort(cause));
    throw cause;
  }
}

/** What the pool could not get a connection for is the database's error, where there is one. */
export function storeError(thrown: unknown): unknown {
  if (!(thrown instanceof HoldfastError)) return thrown;
  const isOfPool = thrown.code === "POOL_TIMEOUT" || thrown.code === "POOL_PARKED";
  return isOfPool ? (thrown.cause ?? thrown) : thrown;
}
