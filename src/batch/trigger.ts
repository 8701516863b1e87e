/**
 * Triggers: when a pipeline's batches start.
 */
import type { Trigger } from "../contract/graph.ts";
import { HoldfastError } from "../errors.ts";

/** Longest interval: a day. */
const INTERVAL_MS_MAX = 86_400_000;

/**
 * A batch as soon as something is durable and the last one is done.
 *
 * @param options.minIntervalMs - between the starts of two batches, 0 .. a day. @defaultValue 0
 * @throws CONFIG_OUT_OF_RANGE
 */
export function asap(options: { readonly minIntervalMs?: number } = {}): Trigger {
  const { minIntervalMs = 0 } = options;
  checkInterval("minIntervalMs", minIntervalMs, 0);
  return Object.freeze({ kind: "asap", minIntervalMs });
}

/**
 * A batch every so many milliseconds, when something is there. A batch that takes longer delays the next one only.
 *
 * @param options.everyMs - 1 .. a day
 * @throws CONFIG_OUT_OF_RANGE
 */
export function interval(options: { readonly everyMs: number }): Trigger {
  checkInterval("everyMs", options.everyMs, 1);
  return Object.freeze({ kind: "interval", everyMs: options.everyMs });
}

/** Everything that is durable at the start, in as many batches as the bounds ask for; then the pipeline is done. */
export function availableNow(): Trigger {
  return Object.freeze({ kind: "available-now" });
}

/** One batch of what is durable at the start; then the pipeline is done. */
export function once(): Trigger {
  return Object.freeze({ kind: "once" });
}

function checkInterval(name: string, value: number, min: number): void {
  if (value >= min && value <= INTERVAL_MS_MAX) return;
  throw new HoldfastError(
    "CONFIG_OUT_OF_RANGE",
    `${name} is ${value}, allowed are ${min} to ${INTERVAL_MS_MAX}`,
  );
}

/** Whether the trigger ends by itself. */
export function isFinite(trigger: Trigger): boolean {
  return trigger.kind === "available-now" || trigger.kind === "once";
}

/** Monotonic time from which the next batch may start, after one that started at `lastStartMs` (undefined: none yet). */
export function dueAtMs(trigger: Trigger, lastStartMs: number | undefined, nowMs: number): number {
  if (lastStartMs === undefined) return nowMs;
  switch (trigger.kind) {
    case "asap":
      return lastStartMs + trigger.minIntervalMs;
    case "interval":
      return lastStartMs + trigger.everyMs;
    case "available-now":
    case "once":
      return nowMs;
  }
}
