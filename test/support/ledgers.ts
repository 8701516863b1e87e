/**
 * Ledgers on a disk in memory, and a pipeline that plans and commits.
 */
import type { Plan } from "../../src/contract/log.ts";
import { decodeEntryHeader, entryDiskBytes } from "../../src/wal/entry.ts";
import { decodeSegmentHeader } from "../../src/wal/format.ts";
import { type LedgerOptions, openLedger, type OpenedLedger } from "../../src/wal/ledger.ts";
import { encodeSnapshot, type LedgerState } from "../../src/wal/ledger-facts.ts";
import { NEW_LEDGER } from "../../src/wal/ledger-state.ts";
import type { SimulatedDisk } from "../../src/testing/disk.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "./virtual-clock.ts";

export const LEDGER_DIRECTORY = "/data/ledger";
/** The smallest file there is: 14 small entries fit behind its header and snapshot. */
export const SMALL_FILE_BYTES: number = 64 * 1024;

/** Opens the ledger of `/data`, with small files. */
export function openTestLedger(
  disk: SimulatedDisk,
  options: Partial<LedgerOptions> = {},
): Promise<OpenedLedger> {
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
export async function ledgerAfter(disk: SimulatedDisk, batchCount: number): Promise<OpenedLedger> {
  const ledger = await openTestLedger(disk);
  await ledger.register("p", { writerId: "w", start: { log: { "0": 0 } } });
  for (let batchId = 1; batchId <= batchCount; batchId += 1) {
    await ledger.plan(planOf(batchId));
    await ledger.commit({
      pipeline: "p",
      batchId,
      epoch: ledger.epoch,
      tokens: { s: Uint8Array.of(batchId) },
    });
  }
  return ledger;
}

/** Names of the ledger's files. */
export function ledgerFiles(disk: SimulatedDisk): readonly string[] {
  return disk.paths().filter((path) => path.startsWith(LEDGER_DIRECTORY));
}

/** State as bytes, without what every opening changes. */
export function comparable(state: LedgerState): string {
  return Buffer.from(
    encodeSnapshot({ ...state, epoch: 0, factCount: 0, identity: NEW_LEDGER.identity }),
  ).toString();
}

export function stateOf(ledger: OpenedLedger): string {
  const { floor, cuts, gaps } = ledger.facts("log");
  const isEmpty = floor === undefined && cuts.length + gaps.length === 0;
  return comparable({
    ...pipelinesOf(ledger),
    logs: new Map(isEmpty ? [] : [["log", { floor, cuts, gaps }]]),
  });
}

/** State of a ledger without what it knows of logs. */
export function pipelinesOf(ledger: OpenedLedger): LedgerState {
  const pipelines = ledger.pipelines().flatMap((name) => {
    const checkpoint = ledger.checkpoint(name);
    return checkpoint === undefined ? [] : [[name, checkpoint] as const];
  });
  return { ...NEW_LEDGER, epoch: ledger.epoch, pipelines: new Map(pipelines) };
}

/** Positions of the entries of a ledger file, the snapshot first. */
export function entriesOf(bytes: Uint8Array): { at: number; end: number }[] {
  const decoded = decodeSegmentHeader(bytes);
  const salt = decoded.kind === "valid" ? decoded.header.salt : 0;
  const entries: { at: number; end: number }[] = [];
  for (let at = 4096; at < bytes.length; ) {
    const header = decodeEntryHeader(bytes, at, salt);
    if (header === undefined) break;
    entries.push({ at, end: at + header.entryBytes });
    at += entryDiskBytes(header.entryBytes);
  }
  return entries;
}
