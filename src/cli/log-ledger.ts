/**
 * What the ledger of a data directory says, without its lock.
 */
import { join } from "node:path";
import type { Files } from "../host/files.ts";
import { LEDGER_DIRECTORY, LOG_DIRECTORY } from "../storage.ts";
import { findLedger, type FoundLedger } from "../wal/ledger-recovery.ts";
import { type KnownLog, knownLog } from "../wal/segment-listing.ts";

/** The ledger as it was durable at some time since the call. */
export function readLedger(files: Files, directory: string): Promise<FoundLedger> {
  return findLedger(files, join(directory, LEDGER_DIRECTORY), join(directory, LOG_DIRECTORY));
}

/** What it knows of the log or of the dead letters, by the name of their directory. */
export async function readKnownLog(
  files: Files,
  directory: string,
  log: string,
): Promise<KnownLog> {
  return knownLog(await readLedger(files, directory), log);
}
