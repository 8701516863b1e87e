/**
 * Which records nobody needs any more: the slowest pipeline's position, with pipelines that left the configuration.
 * Pure; the ingest asks after each commit.
 */
import type { Ledger } from "./contract/log.ts";
import { LOG_PARTITION, LOG_SOURCE } from "./batch/log-source.ts";

/** How long a pipeline that left the configuration still holds space. */
export const ORPHAN_HOLDS_MS: number = 24 * 60 * 60 * 1000;

/** Who holds the log, and from where. */
export interface Holder {
  readonly pipeline: string;
  readonly offset: number;
}

/** The slowest pipeline that still counts, or undefined when there is none: then nothing may be released. */
export function slowestHolder(ledger: Ledger, wallMs: number): Holder | undefined {
  let slowest: Holder | undefined;
  for (const pipeline of ledger.pipelines()) {
    const state = ledger.checkpoint(pipeline);
    if (state === undefined || isExpired(state.orphanedSinceMs, wallMs)) continue;
    const offset = (state.committed?.ends ?? state.start)[LOG_SOURCE]?.[LOG_PARTITION];
    if (offset === undefined) continue;
    if (slowest === undefined || offset < slowest.offset) slowest = { pipeline, offset };
  }
  return slowest;
}

function isExpired(orphanedSinceMs: number | undefined, wallMs: number): boolean {
  return orphanedSinceMs !== undefined && wallMs - orphanedSinceMs > ORPHAN_HOLDS_MS;
}
