/**
 * Looking at the files that options name, before anything runs.
 */
import type { Clock } from "../host/clock.ts";
import type { Files } from "../host/files.ts";
import type { Logger } from "./logger.ts";

/** What such a look needs. */
export interface FileLook {
  readonly files: Files;
  readonly clock: Clock;
  /** Takes what is doubtful and no error. */
  readonly logger: Logger;
}

/** What names files: a receiver, a source, a sink. */
export interface NamesFiles {
  /**
   * Reads the files that the options name, as `open` will; nothing is opened, nobody is asked. For `holdfast validate`.
   * Absent where options name none.
   *
   * @throws CONFIG_VALUE for one that cannot be used
   */
  checkFiles?(look: FileLook): Promise<unknown>;
}
