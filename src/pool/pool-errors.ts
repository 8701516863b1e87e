/**
 * What the pool's errors say: the limit, and how the pool stood.
 */
import type { PoolStats } from "../contract/pool.ts";
import { codeOf, HoldfastError } from "../errors.ts";

/** The peer did not answer in time. */
export function stalled(what: string, deadlineMs: number, address?: string): HoldfastError {
  const where = address === undefined ? "" : `${address}: `;
  return new HoldfastError("CONNECTION_STALLED", `${where}no ${what} within ${deadlineMs} ms`);
}

/** A caller waited for too long. */
export function timedOut(stats: PoolStats, deadlineMs: number): HoldfastError {
  return poolError("POOL_TIMEOUT", `no connection within ${deadlineMs} ms`, stats);
}

/** Too many callers wait. */
export function exhausted(stats: PoolStats, waitersMax: number): HoldfastError {
  return poolError("POOL_EXHAUSTED", `${stats.waiting} callers wait, limit ${waitersMax}`, stats);
}

/** No endpoint may be tried. */
export function parked(stats: PoolStats): HoldfastError {
  const addresses = stats.endpoints.map(({ address }) => address).join(", ");
  return poolError("POOL_PARKED", `${addresses} refused for good`, stats);
}

/** The pool is closed, or is being closed. */
export function poolClosed(stats: PoolStats): HoldfastError {
  return poolError("POOL_CLOSED", `the pool is ${stats.status}`, stats);
}

type PoolCode = "POOL_TIMEOUT" | "POOL_EXHAUSTED" | "POOL_PARKED" | "POOL_CLOSED";

function poolError(code: PoolCode, what: string, stats: PoolStats): HoldfastError {
  const cause = stats.lastConnectError;
  return new HoldfastError(code, `${stats.pool}: ${what}: ${standing(stats)}`, {
    fix: fixOf(code, stats),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The pool in one line. */
function standing(stats: PoolStats): string {
  const { total, connectionsMax, leased, idle, connecting, checking, waiting } = stats;
  const { status, oldestLease, lastConnectError, endpoints } = stats;
  const parts = [
    `${total} of ${connectionsMax} connections (${leased} leased, ${idle} idle, ${connecting} connecting, ${checking} checking)`,
    `${waiting} waiting`,
  ];
  if (status === "suspended") parts.push("suspended");
  for (const { address, status } of endpoints)
    if (status !== "up") parts.push(`${address} is ${status}`);
  if (oldestLease !== undefined)
    parts.push(`oldest lease ${Math.round(oldestLease.heldMs)} ms at ${oldestLease.site}`);
  if (lastConnectError !== undefined)
    parts.push(
      `last connect error ${codeOf(lastConnectError)} ${JSON.stringify(lastConnectError.message)}`,
    );
  return parts.join(", ");
}

function fixOf(code: PoolCode, stats: PoolStats): string {
  if (code === "POOL_PARKED") return "mend what the cause says, then resume the pool";
  if (code === "POOL_CLOSED") return "";
  if (stats.status === "suspended") return "resume the pool";
  if (stats.endpoints.every(({ status }) => status === "down"))
    return "see the last connect error: no endpoint can be reached";
  return "give connections back sooner, or raise connectionsMax";
}
