/**
 * The log behind its writer.
 */
import type { FullBy, LogState, LogStatus } from "../contract/log.ts";
import { HoldfastError } from "../errors.ts";

/** What the writer tells the log. */
export interface WriterHost {
  /** Records are on disk: called before their callers hear. */
  committed(commit: {
    readonly recordCount: number;
    readonly bytes: number;
    readonly seconds: number;
    readonly durableEnd: number;
  }): void;
  stateChanged(state: LogState, cause: Error | undefined): void;
  pressure(full: boolean): void;
  /** The log is full: true when room was made by dropping something. */
  makeRoom(): Promise<boolean>;
  /** The active segment is half full or a first one was used: prepare the next. */
  prepare(): void;
  /** Nothing was written for a while. */
  idle(): void;
  /** What budget and disk say, for the message of LOG_FULL. */
  space(): LogSpace;
}

/** What the log takes of its budget, and what has no room when it is full. */
export type LogSpace = Pick<LogStatus, "bytes" | "bytesMax"> & { readonly fullBy: FullBy };

/** LOG_FULL, with what to do. */
export function fullError(
  { bytes, bytesMax, fullBy }: LogSpace,
  storeTimeoutMs: number,
): HoldfastError {
  const isDisk = fullBy === "disk";
  return new HoldfastError(
    "LOG_FULL",
    `the log has ${bytes} bytes of ${bytesMax} and found no room${isDisk ? " on its disk" : ""} for ${storeTimeoutMs} ms`,
    {
      fix: isDisk
        ? "free disk space: something else has filled it, or log.bytesMax is more than it has"
        : "repair the sink that holds it (/readyz names it), or raise log.bytesMax",
    },
  );
}
