/**
 * Offsets and times on the command line.
 */
import { HoldfastError } from "../errors.ts";
import { parseDuration } from "../units.ts";
import type { Call } from "./command.ts";

/** A place in the log: an offset, or what was received before a time. */
export type LogPlace =
  | { readonly kind: "offset"; readonly offset: number }
  | { readonly kind: "time"; readonly timeMs: number };

/** Digits, also in groups as `inspect` prints them. */
const OFFSET = /^(\d+|\d{1,3}(,\d{3})+)$/;
/** Not what else `Date` takes: it reads a plain number as a year. */
const ISO_TIME = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

/** An offset from an option; undefined when it is not given. @throws USAGE */
export function offsetOption(call: Call, option: string): number | undefined {
  const text = call.text(option);
  if (text === undefined) return undefined;
  const offset = readOffset(text);
  if (offset !== undefined) return offset;
  throw new HoldfastError(
    "USAGE",
    `--${option} is ${JSON.stringify(text)}, allowed are offsets: whole numbers from 0`,
    { fix: `--${option} 1204` },
  );
}

/** A time from an option, wall milliseconds; undefined when it is not given. @throws USAGE */
export function timeOption(call: Call, option: string, nowMs: number): number | undefined {
  const text = call.text(option);
  if (text === undefined) return undefined;
  const timeMs = readTime(text, nowMs);
  if (timeMs !== undefined) return timeMs;
  throw new HoldfastError(
    "USAGE",
    `--${option} is ${JSON.stringify(text)}, allowed are times such as 2026-01-31T12:00:00Z and ages such as 15m`,
    { fix: `--${option} 15m` },
  );
}

/** An offset or a time from an option that has to be there. @throws USAGE */
export function placeOption(call: Call, option: string, nowMs: number): LogPlace {
  const text = call.text(option);
  const offset = readOffset(text ?? "");
  if (offset !== undefined) return { kind: "offset", offset };
  const timeMs = readTime(text ?? "", nowMs);
  if (timeMs !== undefined) return { kind: "time", timeMs };
  const given = text === undefined ? "is missing" : `is ${JSON.stringify(text)}`;
  throw new HoldfastError(
    "USAGE",
    `--${option} ${given}, allowed are offsets, times such as 2026-01-31T12:00:00Z and ages such as 7d`,
    { fix: `--${option} 1204` },
  );
}

function readOffset(text: string): number | undefined {
  if (!OFFSET.test(text)) return undefined;
  const offset = Number(text.replaceAll(",", ""));
  return Number.isSafeInteger(offset) ? offset : undefined;
}

/** An ISO time, local unless it names its zone, or a duration before now. */
function readTime(text: string, nowMs: number): number | undefined {
  if (ISO_TIME.test(text)) {
    const timeMs = Date.parse(text);
    return Number.isNaN(timeMs) ? undefined : timeMs;
  }
  const ageMs = /^\d/.test(text) ? parseDuration(text) : undefined;
  return ageMs === undefined ? undefined : nowMs - ageMs;
}
