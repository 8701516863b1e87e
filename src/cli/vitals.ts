/**
 * What a sign of life to the init system vouches for. That it is sent at all shows that the event loop turns; this
 * is about the log, without which nothing is acknowledged any more.
 *
 * Sinks and receivers are no part of it. A store may be away for weeks and a device be set aside: the process goes on
 * with the others, and a restart would only stop those.
 */
import type { Snapshot } from "../contract/status.ts";

/** What accepted bytes may wait to become durable. Ten seconds is the longest commit interval that can be set. */
export const STALL_MS_MAX = 30_000;

const LOG = "log";

/** The log at one moment. */
export interface Vitals {
  readonly atMs: number;
  readonly durableEnd: number;
  /** Since when bytes have waited without any becoming durable; undefined when none wait. */
  readonly waitingSinceMs: number | undefined;
  readonly isSetAside: boolean;
}

/** Takes the vitals, given those before. */
export function takeVitals({ log, units }: Snapshot, atMs: number, before?: Vitals): Vitals {
  const status = units.find(({ unit }) => unit === LOG)?.status;
  // A full log waits for room, and says so: a restart makes none.
  const isWaiting = log.unacknowledgedBytes > 0 && log.state !== "full";
  const isStill = before?.durableEnd === log.durableEnd;
  return {
    atMs,
    durableEnd: log.durableEnd,
    waitingSinceMs: isWaiting
      ? ((isStill ? before?.waitingSinceMs : undefined) ?? atMs)
      : undefined,
    isSetAside: status === "parked" || status === "stopped",
  };
}

/** Why no sign of life may be sent; undefined when all is well. */
export function illness({ atMs, waitingSinceMs, isSetAside }: Vitals): string | undefined {
  if (isSetAside) return "the log is set aside";
  if (waitingSinceMs === undefined || atMs - waitingSinceMs < STALL_MS_MAX) return undefined;
  const seconds = Math.floor((atMs - waitingSinceMs) / 1_000);
  return `nothing has become durable for ${seconds} s, and the log has accepted more`;
}
