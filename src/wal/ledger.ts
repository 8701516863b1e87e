/**
 * The ledger: plans, commits and what the logs must not forget. It is the only metadata there is, so
 * nothing can contradict the log.
 *
 * Each opening begins a new file with the state as it was found; a file is never appended to by two
 * openings. Recovery is the newest file whose first entry is whole, and every valid entry in it.
 */
import { dirname } from "node:path";

import {
  endsAfter,
  type Commit,
  type Ledger,
  type LogFacts,
  type LogFloor,
  type LogGap,
  type PipelineCheckpoint,
  type Plan,
  type SegmentCut,
} from "../contract/log.ts";
import { HoldfastError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { Files } from "../host/files.ts";
import type { Random } from "../host/random.ts";
import { ALIGNMENT_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, UUID_BYTES } from "./format.ts";
import type { Fact, LedgerIdentity } from "./ledger-facts.ts";
import { LEDGER_FILE_BYTES } from "./ledger-file.ts";
import { findLedger, type FoundLedger } from "./ledger-recovery.ts";
import { LedgerSpare } from "./ledger-spare.ts";
import { hasMoved, logOf, nextOffsetMin, standing } from "./ledger-state.ts";
import { LedgerWriter } from "./ledger-writer.ts";

export type { LedgerIdentity } from "./ledger-facts.ts";

/** What opening a ledger needs. */
export interface LedgerOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  /** Where its files are; made if needed. */
  readonly directory: string;
  /** Where the log's segments are: if there are some and no ledger, the ledger was lost. */
  readonly logDirectory: string;
  /** Where this directory is now; compared with where it was when it was last open. */
  readonly identity: LedgerIdentity;
  /** Take over a directory that was moved or copied. @defaultValue false */
  readonly adopt?: boolean;
  /** Size of a file, 64 KiB .. 1 GiB, a multiple of 4 KiB. @defaultValue 1 MiB */
  readonly fileBytes?: number;
  /** Told once when no fact can be written any more: only another opening helps. @defaultValue nobody */
  readonly failed?: (cause: Error) => void;
}

const DEFAULTS = {
  adopt: false,
  fileBytes: LEDGER_FILE_BYTES,
  failed: (): void => undefined,
} as const;

/** How a ledger was found. */
export type LedgerRecovery =
  | { readonly kind: "new" }
  | { readonly kind: "recovered" }
  /** Some facts are gone with damaged entries; what was behind them is there. */
  | { readonly kind: "damaged"; readonly lostFacts: number }
  /** There are segments and no ledger that can be read: positions of pipelines are unknown, nothing may be deleted. */
  | { readonly kind: "lost" };

/** Numbers for status and metrics. */
export interface LedgerStatus {
  readonly epoch: number;
  readonly factCount: number;
  /** Why no fact can be written any more. */
  readonly failure: Error | undefined;
  /** Why the next file is not ready, while that is so. */
  readonly spareError: Error | undefined;
}

/** An open ledger. */
export interface OpenedLedger extends Ledger {
  /** Born with the directory: segments of another one are foreign. */
  readonly logUuid: Uint8Array;
  readonly recovery: LedgerRecovery;
  /** The part about one log: "log" is the data log, "dead-letters" the other one. */
  facts(log: string): LogFacts;
  status(): LedgerStatus;
  /** Waits for what was taken. May be called twice. */
  close(): Promise<void>;
}

function resolveLedgerOptions(options: LedgerOptions): Required<LedgerOptions> {
  const resolved = { ...DEFAULTS, ...options };
  const { fileBytes } = resolved;
  if (
    fileBytes < SEGMENT_BYTES_MIN ||
    fileBytes > SEGMENT_BYTES_MAX ||
    fileBytes % ALIGNMENT_BYTES !== 0
  ) {
    throw new HoldfastError(
      "CONFIG_OUT_OF_RANGE",
      `ledger file of ${fileBytes} bytes; allowed are ${SEGMENT_BYTES_MIN} to ${SEGMENT_BYTES_MAX}, in steps of ${ALIGNMENT_BYTES}`,
    );
  }
  return Object.freeze(resolved);
}

/**
 * Opens the ledger of a data directory, which the caller has locked. It is ours, durably, when this
 * resolves. Rejects with LOG_MOVED before anything is written, with LOG_VERSION for files of a newer
 * program, LOG_DAMAGED for entries that are whole and mean nothing, LOG_FAILED when it cannot be written.
 * An earlier ledger of this process on the directory must be closed first.
 */
export async function openLedger(options: LedgerOptions): Promise<OpenedLedger> {
  const resolved = resolveLedgerOptions(options);
  const { files, clock, random, directory, logDirectory, identity } = resolved;
  const { adopt, failed, fileBytes } = resolved;
  await files.makeDirectory(directory);
  await files.syncDirectory(dirname(directory));
  const found = await findLedger(files, directory, logDirectory);
  if (!adopt) assertNotMoved(directory, found, identity);
  const logUuid = found.logUuid ?? random.bytes(UUID_BYTES);
  const state = {
    ...found.state,
    epoch: found.highestEpoch + 1,
    identity: merged(found.state.identity, identity),
  };
  const spare = new LedgerSpare(files, directory, found.highestNumber);
  if (found.blank !== undefined) spare.prepare(fileBytes, found.blank);
  const writer = new LedgerWriter(
    { files, clock, directory, logUuid, fileBytes, spare, failed },
    state,
  );
  try {
    await writer.begin(found.superseded);
  } catch (cause) {
    await writer.close();
    throw new HoldfastError("LOG_FAILED", `${directory}: no ledger file can be begun`, {
      cause,
      fix: "free some space or repair the disk",
    });
  }
  return new DirectoryLedger(writer, spare, {
    epoch: state.epoch,
    logUuid,
    recovery: found.recovery,
  });
}

function assertNotMoved(directory: string, found: FoundLedger, now: LedgerIdentity): void {
  const before = found.state.identity;
  if (!hasMoved(before, now)) return;
  const [was, is] = [before, now].map(
    (identity) =>
      `machine ${identity.machineId || "unknown"}, inode ${identity.inode || "unknown"}`,
  );
  throw new HoldfastError("LOG_MOVED", `${directory} was written on ${was}; this is ${is}`, {
    fix: "if no other copy is in use: `holdfast log adopt`",
  });
}

/** What is known now stands; what is not stays as it was. */
function merged(before: LedgerIdentity, now: LedgerIdentity): LedgerIdentity {
  return { machineId: now.machineId || before.machineId, inode: now.inode || before.inode };
}

class DirectoryLedger implements OpenedLedger {
  readonly epoch: number;
  readonly logUuid: Uint8Array;
  readonly recovery: LedgerRecovery;
  readonly #writer: LedgerWriter;
  readonly #spare: LedgerSpare;

  constructor(
    writer: LedgerWriter,
    spare: LedgerSpare,
    opened: {
      readonly epoch: number;
      readonly logUuid: Uint8Array;
      readonly recovery: LedgerRecovery;
    },
  ) {
    this.#writer = writer;
    this.#spare = spare;
    this.epoch = opened.epoch;
    this.logUuid = opened.logUuid;
    this.recovery = opened.recovery;
  }

  checkpoint(pipeline: string): PipelineCheckpoint | undefined {
    return this.#writer.durable.pipelines.get(pipeline);
  }

  pipelines(): readonly string[] {
    return [...this.#writer.durable.pipelines.keys()];
  }

  register(
    pipeline: string,
    born: { readonly writerId: string; readonly start: PipelineCheckpoint["start"] },
  ): Promise<void> {
    return this.#submit({ fact: "register", pipeline, writerId: born.writerId, start: born.start });
  }

  plan(plan: Plan): Promise<void> {
    return this.#submit({ fact: "plan", plan });
  }

  commit(commit: Commit, next?: Plan): Promise<void> {
    const checkpoint = this.#writer.accepted.pipelines.get(commit.pipeline);
    const open = checkpoint?.open;
    const ends =
      checkpoint === undefined || open === undefined
        ? {}
        : endsAfter(standing(checkpoint), open.ranges);
    const committed: Fact = { fact: "commit", commit, ends };
    return next === undefined
      ? this.#submit(committed)
      : this.#submit(committed, { fact: "plan", plan: next });
  }

  orphan(pipeline: string, sinceMs: number | undefined): Promise<void> {
    return this.#submit({ fact: "orphan", pipeline, sinceMs });
  }

  forget(pipeline: string): Promise<void> {
    return this.#submit({ fact: "forget", pipeline });
  }

  facts(log: string): LogFacts {
    return new LogView(this.#writer, log);
  }

  status(): LedgerStatus {
    const { durable, failure } = this.#writer;
    return {
      epoch: this.epoch,
      factCount: durable.factCount,
      failure,
      spareError: this.#spare.lastError,
    };
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  #submit(...facts: readonly Fact[]): Promise<void> {
    return this.#writer.submit(facts);
  }
}

/** What the ledger keeps for one log. */
class LogView implements LogFacts {
  readonly #writer: LedgerWriter;
  readonly #log: string;

  constructor(writer: LedgerWriter, log: string) {
    this.#writer = writer;
    this.#log = log;
  }

  get nextOffsetMin(): number {
    return nextOffsetMin(this.#writer.durable, this.#log);
  }

  get segmentIdMax(): number {
    const { floor, cuts } = logOf(this.#writer.durable, this.#log);
    return Math.max(floor?.segmentId ?? 0, ...cuts.map((cut) => cut.segmentId));
  }

  get floor(): LogFloor | undefined {
    return logOf(this.#writer.durable, this.#log).floor;
  }

  get cuts(): readonly SegmentCut[] {
    return logOf(this.#writer.durable, this.#log).cuts;
  }

  get gaps(): readonly LogGap[] {
    return logOf(this.#writer.durable, this.#log).gaps;
  }

  addCut(cut: SegmentCut): Promise<void> {
    return this.#writer.submit([{ fact: "cut", log: this.#log, cut }]);
  }

  addGap(gap: LogGap): Promise<void> {
    return this.#writer.submit([{ fact: "gap", log: this.#log, gap }]);
  }

  async moveFloor(floor: LogFloor): Promise<void> {
    // Files below the floor are reused: nobody else may still write to this log.
    await this.#writer.assertOwner();
    await this.#writer.submit([{ fact: "floor", log: this.#log, floor }]);
  }

  assertOwner(): Promise<void> {
    return this.#writer.assertOwner();
  }
}
