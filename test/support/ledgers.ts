/**
 * Ledgers on a disk in memory, and a pipeline that plans and commits.
 */
import type { Plan } from "../../src/contract/log.ts";
import { type LedgerOptions, openLedger, type OpenedLedger } from "../../src/wal/ledger.ts";
import type { MemoryDisk } from "./memory-disk.ts";
import { createSeededRandom } from "./seeded-random.ts";
import { VirtualClock } from "./virtual-clock.ts";

export const LEDGER_DIRECTORY = "/data/ledger";
/** The smallest file there is: 14 small entries fit behind its header and snapshot. */
export const SMALL_FILE_BYTES: number = 64 * 1024;

/** Opens the ledger of `/data`, with small files. */
export function openTestLedger(disk: MemoryDisk, options: Partial<LedgerOptions> = {}): Promise<OpenedLedger> {
  disk.putDirectory("/data");
  return openLedger({
    files: disk,
    clock: new VirtualClock(),
    random: createSeededRandom(1),
    directory: LEDGER_DIRECTORY,
    logDirectory: "/data/log",
    identity: { machineId: "m1", inode: "i1" },
    fileBytes: SMALL_FILE_BYTES,
    ...options,
  });
}

/** Plan of batch n of `p`: ten records of the log, from where batch n-1 ended. */
export function planOf(batchId: number, change: Partial<Plan> = {}): Plan {
  return {
    pipeline: "p",
    batchId,
    epoch: 1,
    batchTimeMs: 1_000 + batchId,
    graphHash: "g",
    ranges: { log: { "0": [(batchId - 1) * 10, batchId * 10] } },
    deadLettersFrom: 0,
    ...change,
  };
}

/** A ledger that knows pipeline `p` and has committed so many batches. */
export async function ledgerAfter(disk: MemoryDisk, batchCount: number): Promise<OpenedLedger> {
  const ledger = await openTestLedger(disk);
  await ledger.register("p", { writerId: "w", start: { log: { "0": 0 } } });
  for (let batchId = 1; batchId <= batchCount; batchId += 1) {
    await ledger.plan(planOf(batchId));
    await ledger.commit({ pipeline: "p", batchId, epoch: ledger.epoch, tokens: { s: Uint8Array.of(batchId) } });
  }
  return ledger;
}

/** Names of the ledger's files. */
export function ledgerFiles(disk: MemoryDisk): readonly string[] {
  return disk.paths().filter((path) => path.startsWith(LEDGER_DIRECTORY));
}
