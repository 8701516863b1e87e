/**
 * Shortens a log that nobody has open, in the order of a running one: first the floor is a durable fact, then
 * files go, oldest first. The caller holds the lock.
 */
import { join } from "node:path";

import type { Truncation } from "../contract/log.ts";
import type { ClosedLog } from "./repair.ts";
import { Retention } from "./retention.ts";
import { surveyDirectory } from "./survey.ts";

/** A log's beginning and end without opening it, and the means to shorten it. */
export interface ClosedLogSurvey {
  readonly oldestOffset: number;
  readonly durableEnd: number;
  /** As `OwnedLog.truncate`. */
  truncate(offset: number, neededFrom: number): Promise<Truncation>;
}

/** Looks at a closed log. Rejects with ENOENT when there is none, and with LOG_VERSION. */
export async function surveyClosedLog(log: ClosedLog): Promise<ClosedLogSurvey> {
  const { files, directory, clock, facts } = log;
  const survey = await surveyDirectory(log);
  const segments = survey.segments.map(({ segment }) => segment);
  const retention = new Retention({
    clock,
    facts,
    segments,
    keepBytes: 0,
    keepMs: 0,
    freed: () => undefined,
    dropped: () => undefined,
    pool: {
      async free({ identity }) {
        await files.remove(join(directory, identity.fileName));
        try {
          await files.syncDirectory(directory);
          return "freed";
        } catch {
          return "unsynced";
        }
      },
    },
  });
  return {
    oldestOffset: segments[0]?.identity.baseOffset ?? survey.nextOffset,
    durableEnd: survey.nextOffset,
    truncate: (offset, neededFrom) => retention.truncate(offset, neededFrom),
  };
}
