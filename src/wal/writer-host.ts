/**
 * The log behind its writer.
 */
import type { LogState } from "../contract/log.ts";

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
  /** What the budget says, for the message of LOG_FULL. */
  space(): { readonly bytes: number; readonly bytesMax: number };
}
