/**
 * The write-ahead log and its ledger, as the other stages see them.
 */
import type { Idempotency, RecordBlock, Stored, StoredBlock } from "./record.ts";

/** Who appends: the fence and the names table use it. */
export interface AppendOrigin {
  readonly receiver: string;
  /** Incarnation of the receiver. An older one than the newest seen is refused with STORE_FENCED. */
  readonly epoch: number;
}

/** Why records of a range cannot be had. */
export type GapReason = "damaged" | "unreadable" | "missing-segment" | "lost-tail" | "dropped";

/** A range of offsets, half open. */
export interface OffsetSpan {
  readonly from: number;
  readonly to: number;
}

/** What reading the log gives, in offset order and without overlap: every offset of the range is in one item. */
export type LogItem =
  | { readonly kind: "records"; readonly block: StoredBlock }
  | {
      readonly kind: "gap";
      readonly from: number;
      readonly to: number;
      readonly reason: GapReason;
    };

/** `full`: the budget is used up and appends wait. `degraded`: it works, and something was lost or repaired. */
export type LogState = "opening" | "running" | "full" | "degraded" | "failed" | "closed";
/** What has no room: the log's budget, or the disk, which something else has filled. */
export type FullBy = "bytesMax" | "disk";

/** Numbers of the log for status, metrics and start lines. */
export interface LogStatus {
  readonly state: LogState;
  readonly oldestOffset: number;
  readonly nextOffset: number;
  readonly durableEnd: number;
  /** Disk space that counts against `bytesMax`: segments and spares. */
  readonly bytes: number;
  readonly bytesMax: number;
  /** Accepted and not yet on disk. */
  readonly unacknowledgedBytes: number;
  readonly gapRecords: number;
  readonly lastError: Error | undefined;
  /** While it is full. */
  readonly fullBy?: FullBy;
  /** With `log.reserve: full`: how far it is. */
  readonly reserve?: ReserveProgress;
}

/** How much of the log's budget is allocated in advance: all of it when both numbers are equal. */
export interface ReserveProgress {
  /** Bytes of files that have all their blocks. */
  readonly bytes: number;
  /** What they will be. */
  readonly bytesTarget: number;
  /** Files that hold no records: room for new ones. */
  readonly spareBytes: number;
  /** Why it does not go on for now; it is tried again. */
  readonly error?: Error;
}

/** What is on disk under an idempotency key. */
export interface KeyedStore extends Idempotency {
  readonly firstOffset: number;
  readonly recordCount: number;
}

/** What the log tells while it runs; the composition root turns these into events and metrics. */
export interface LogListener {
  /** Called after every group commit, in offset order. Never throws. */
  committed(commit: {
    readonly recordCount: number;
    readonly bytes: number;
    readonly seconds: number;
    readonly durableEnd: number;
  }): void;
  stateChanged(state: LogState, cause: Error | undefined): void;
  gap(gap: LogGap): void;
  /** Damaged bytes were copied aside. */
  quarantined?(copy: { readonly file: string; readonly bytes: number }): void;
  /** Space was allocated in advance: a tenth more, all of it, or none for now because of an error. */
  reserved?(progress: ReserveProgress): void;
  /** The open entry holds `openEntryBytesPause` or the log is full (true), or fell to half (false): receivers pause and resume. */
  pressure(full: boolean): void;
}

/**
 * The log. One writer; `append` may be called at any time, also while a commit is in flight.
 */
export interface Log {
  /**
   * Takes a block into the open entry: its bytes are copied before this returns. Resolves when the block
   * is on disk; appends resolve in call order. Rejects with BLOCK_TOO_LARGE, BLOCK_INVALID, STORE_FENCED,
   * LOG_CLOSED, LOG_FAILED at once, and with LOG_FULL when there was no room for `storeTimeoutMs`; then everything
   * that was accepted behind it is refused too, so that a position never stands for a block that is not there.
   * A rejected block is never in the log, except after LOG_FAILED: then the next open decides.
   */
  append(block: RecordBlock, origin: AppendOrigin): Promise<Stored>;
  /** Refuses appends of this receiver below `epoch` from now on, and resolves when what it had accepted is settled. */
  fence(receiver: string, epoch: number): Promise<void>;
  /** Newest durable position of a channel, or undefined. */
  position(receiver: string, channel: string): Uint8Array | undefined;
  /** What is on disk under this key: the newest 4,096 keys of the last 24 hours are known. */
  keyed(keyHash: Uint8Array): KeyedStore | undefined;
  /** All offsets below are durable; readers see no others. */
  readonly durableEnd: number;
  status(): LogStatus;
  /**
   * Reads a durable range. The blocks are views that are valid until the next item is asked for. A range
   * below `oldestOffset` begins with a gap. Several readers may run at once.
   */
  read(span: OffsetSpan, signal: AbortSignal): AsyncIterable<LogItem>;
  /** End of the longest range from `from` that is durable and has at most about `recordsMax` and `bytesMax`; more than `from` if anything is there. */
  boundedEnd(from: number, recordsMax: number, bytesMax: number): number;
  /** Resolves when `durableEnd > offset`; rejects when the signal aborts, and with LOG_CLOSED when the log is closed. */
  waitFor(offset: number, signal: AbortSignal): Promise<void>;
  /** Offsets below are needed by nobody: their segments may be recycled. */
  release(offset: number): Promise<void>;
  /** Commits what is open, writes CLOSE, and closes the files. May be called twice. */
  close(): Promise<void>;
}

/** What shortening a log at its begin did. */
export interface Truncation {
  /** Where the log begins now. */
  readonly oldestOffset: number;
  readonly freedSegments: number;
  readonly freedBytes: number;
}

/** The log as its owner holds it. */
export interface OwnedLog extends Log {
  /**
   * Frees every whole segment below `offset`, whatever `keep` says; the newest one and those that are being
   * read stay. What of it lies at or above `neededFrom` becomes a gap, is counted and told as dropped.
   */
  truncate(offset: number, neededFrom: number): Promise<Truncation>;
}

/** The durable end of a segment that was closed without its own end mark: what lies behind is void. */
export interface SegmentCut {
  readonly segmentId: number;
  /** Bytes from the start of the file; nothing behind is an entry. */
  readonly endPosition: number;
  readonly endOffset: number;
  /** Checksum in the header of the last entry before the end; 0 when there is none. */
  readonly lastHeaderCrc: number;
}

/** A range that is lost, and why. */
export interface LogGap extends OffsetSpan {
  readonly reason: GapReason;
}

/** Everything below is needed by nobody. */
export interface LogFloor {
  /** Segments with a lower id are free. */
  readonly segmentId: number;
  /** Offsets below cannot be read any more. */
  readonly offset: number;
}

/**
 * What the ledger keeps for a log: facts that must survive the loss of the log's own bytes. The ledger implements it,
 * the log asks. What is read is the state when the ledger was opened plus what was added since; what is written is
 * durable when its promise resolves. Facts below the floor are forgotten.
 */
export interface LogFacts {
  /** No lower offset is unused: highest end of every plan, gap, cut and floor. */
  readonly nextOffsetMin: number;
  /** Highest segment id in any cut or floor, 0 when there is none: ids are never reused. */
  readonly segmentIdMax: number;
  /** Undefined until a floor was kept: then nothing is known to be free and nothing to be missing in front. */
  readonly floor: LogFloor | undefined;
  readonly cuts: readonly SegmentCut[];
  readonly gaps: readonly LogGap[];
  addCut(cut: SegmentCut): Promise<void>;
  addGap(gap: LogGap): Promise<void>;
  /** Durable before any file below it is touched. */
  moveFloor(floor: LogFloor): Promise<void>;
  /** Rejects with LEDGER_FENCED when a newer opening has written to the ledger. Asked before each new segment. */
  assertOwner(): Promise<void>;
}

/** Offsets per partition of a source: the key is the partition as text. */
export type Offsets = Readonly<Record<string, number>>;
/** Next offsets per source and partition: where a pipeline stands. */
export type Ends = Readonly<Record<string, Offsets>>;
/** Half-open ranges per source and partition. */
export type Ranges = Readonly<
  Record<string, Readonly<Record<string, readonly [from: number, to: number]>>>
>;

/** A batch as it was planned: durable before it runs, so that a replay reads the same records. */
export interface Plan {
  readonly pipeline: string;
  /** 1 for the first batch of a pipeline; contiguous. */
  readonly batchId: number;
  /** Opening of the log that planned it. */
  readonly epoch: number;
  readonly batchTimeMs: number;
  readonly watermarkMs?: number;
  /** Of kinds, names, versions and options of the graph; no function bodies. */
  readonly graphHash: string;
  readonly ranges: Ranges;
  /** Next offset of the dead-letter log when this was planned: a replay looks for its own letters from there. */
  readonly deadLettersFrom: number;
}

/** What makes a batch done. `tokens` are what each sink returned, base64 in the ledger. */
export interface Commit {
  readonly pipeline: string;
  readonly batchId: number;
  readonly epoch: number;
  readonly tokens: Readonly<Record<string, Uint8Array>>;
}

/** What the ledger knows of a pipeline. */
export interface PipelineCheckpoint {
  /** Drawn at random when the pipeline was born; its sinks know it by that. */
  readonly writerId: string;
  /** Where it started, per source and partition. */
  readonly start: Ends;
  /** The newest commit, with where every partition stands after it. */
  readonly committed:
    | {
        readonly batchId: number;
        readonly ends: Ends;
        readonly tokens: Readonly<Record<string, Uint8Array>>;
      }
    | undefined;
  /** A plan without a commit: run it again, identically. */
  readonly open: Plan | undefined;
  /** Wall milliseconds since which the configuration lacks it, or undefined. */
  readonly orphanedSinceMs: number | undefined;
}

/** The pipelines' part of the ledger. Calls made in one turn share one durable write. */
export interface Ledger {
  /** Number of this opening: one more than any before. */
  readonly epoch: number;
  checkpoint(pipeline: string): PipelineCheckpoint | undefined;
  pipelines(): readonly string[];
  /** Makes a pipeline known. Durable when it resolves. */
  register(
    pipeline: string,
    born: { readonly writerId: string; readonly start: Ends },
  ): Promise<void>;
  /** Durable when it resolves; rejects with LEDGER_FENCED when its epoch is below a seen one or the batch does not follow the last. */
  plan(plan: Plan): Promise<void>;
  /** A commit and, when input waits, the next plan in the same durable write. */
  commit(commit: Commit, next?: Plan): Promise<void>;
  /** Marks a pipeline as left out of the configuration (a time) or back in it (undefined). */
  orphan(pipeline: string, sinceMs: number | undefined): Promise<void>;
  /** Removes a pipeline: it stops holding space. */
  forget(pipeline: string): Promise<void>;
}

/** Where a pipeline stands after the ranges: partitions they do not touch stay. */
export function endsAfter(before: Ends, ranges: Ranges): Ends {
  const ends: Record<string, Offsets> = { ...before };
  for (const [source, partitions] of Object.entries(ranges)) {
    const moved = Object.entries(partitions).map(([partition, [, to]]) => [partition, to] as const);
    ends[source] = { ...ends[source], ...Object.fromEntries(moved) };
  }
  return ends;
}
