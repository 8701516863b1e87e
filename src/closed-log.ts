/**
 * A data directory that no instance runs on: its logs shortened or repaired under the lock, with the ledger open
 * and the logs closed.
 */
import { join } from "node:path";
import { codeOf, HoldfastError } from "./errors.ts";
import type { Host } from "./host/host.ts";
import {
  DEAD_LETTER_DIRECTORY,
  LEDGER_DIRECTORY,
  lockDirectory,
  LOG_DIRECTORY,
  openLedgerOf,
} from "./storage.ts";
import { type TruncateReport, type TruncateRequest, truncateLog } from "./truncate.ts";
import type { LedgerRecovery, OpenedLedger } from "./wal/ledger.ts";
import { findLedger } from "./wal/ledger-recovery.ts";
import { type ClosedLog, type Repair, repairLog } from "./wal/repair.ts";
import { surveyClosedLog } from "./wal/truncate-closed.ts";

/** What a repair did to a data directory. */
export interface DirectoryRepair {
  /** How the ledger was found. Opened, it goes on in a new file that holds what could be read. */
  readonly ledger: LedgerRecovery;
  /** By the name of the log's directory; undefined where there is none. */
  readonly logs: ReadonlyMap<string, Repair | undefined>;
}

/**
 * Frees the whole segments of a closed log below an offset.
 *
 * @throws DATA_LOCKED when an instance runs, LOG_NEEDED, LOG_MOVED, LOG_DAMAGED when the ledger is lost and it is
 * not forced
 */
export async function truncateClosedLog(
  host: Host,
  directory: string,
  request: TruncateRequest,
): Promise<TruncateReport> {
  return await locked(host, directory, async () => {
    if (!request.force) await requireLedger(host, directory);
    return await withLedger(host, directory, async (ledger) => {
      const log = await surveyClosedLog(
        closedLog(host, directory, { ledger, name: LOG_DIRECTORY }),
      );
      const { oldestOffset, durableEnd } = log;
      const wallMs = host.clock.wallMs();
      return await truncateLog({ log, oldestOffset, durableEnd, ledger, wallMs }, request);
    });
  });
}

/**
 * Sets aside everything that is damaged.
 *
 * @throws DATA_LOCKED when an instance runs, LOG_MOVED, LOG_VERSION
 */
export async function repairDirectory(host: Host, directory: string): Promise<DirectoryRepair> {
  return await locked(host, directory, () =>
    withLedger(host, directory, async (ledger) => {
      const logs = new Map<string, Repair | undefined>();
      for (const name of [LOG_DIRECTORY, DEAD_LETTER_DIRECTORY])
        logs.set(name, await repairOne(closedLog(host, directory, { ledger, name })));
      return { ledger: ledger.recovery, logs };
    }),
  );
}

async function repairOne(log: ClosedLog): Promise<Repair | undefined> {
  try {
    return await repairLog(log);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Opening makes a new ledger where the old one is lost, and with it nobody would need anything any more. */
async function requireLedger({ files }: Host, directory: string): Promise<void> {
  const logDirectory = join(directory, LOG_DIRECTORY);
  const { recovery } = await findLedger(files, join(directory, LEDGER_DIRECTORY), logDirectory);
  if (recovery.kind !== "lost") return;
  throw new HoldfastError(
    "LOG_DAMAGED",
    "there is a log and no ledger that can be read: which records pipelines need is unknown",
    { fix: "start the instance once, so that its pipelines are known again, or --force" },
  );
}

async function locked<T>(host: Host, directory: string, work: () => Promise<T>): Promise<T> {
  const lock = await lockDirectory(host, directory);
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

async function withLedger<T>(
  host: Host,
  directory: string,
  work: (ledger: OpenedLedger) => Promise<T>,
): Promise<T> {
  const ledger = await openLedgerOf(host, directory);
  try {
    return await work(ledger);
  } finally {
    await ledger.close();
  }
}

function closedLog(
  { files, clock }: Host,
  directory: string,
  { ledger, name }: { readonly ledger: OpenedLedger; readonly name: string },
): ClosedLog {
  const { logUuid } = ledger;
  return { files, clock, logUuid, directory: join(directory, name), facts: ledger.facts(name) };
}
