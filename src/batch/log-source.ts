/**
 * The local log as a source: one partition, "0".
 */
import type { Log, Offsets } from "../contract/log.ts";
import type { Source } from "../contract/source.ts";

/** Name of the log in plans and positions. */
export const LOG_SOURCE = "log";
/** Its only partition. */
export const LOG_PARTITION = "0";

/** The log behind the source contract. `release` is the log owner's: several pipelines share it. */
export function logSource(log: Log): Source {
  const at = (offsets: Offsets): number => offsets[LOG_PARTITION] ?? 0;
  return {
    name: LOG_SOURCE,
    latest: () => Promise.resolve({ [LOG_PARTITION]: log.durableEnd }),
    oldest: () => Promise.resolve({ [LOG_PARTITION]: log.status().oldestOffset }),
    bounded: (from, { recordsMax, bytesMax }) =>
      Promise.resolve({ [LOG_PARTITION]: log.boundedEnd(at(from), recordsMax, bytesMax) }),
    waitFor: (from, signal) => log.waitFor(at(from), signal),
    read: ({ from, to }, signal) => log.read({ from, to }, signal),
    lag: (ends) => Math.max(0, log.durableEnd - at(ends)),
    release: (upTo) => log.release(at(upTo)),
  };
}
