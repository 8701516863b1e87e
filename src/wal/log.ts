/**
 * The log as the other stages see it: the writer, the readers and the retention behind one
 * contract.
 */
import type {
  AppendOrigin,
  KeyedStore,
  LogItem,
  LogState,
  LogStatus,
  OffsetSpan,
  OwnedLog,
  Truncation,
} from "../contract/log.ts";
import type { RecordBlock, Stored } from "../contract/record.ts";
import { HoldfastError, toError } from "../errors.ts";
import type { ChannelTable } from "./channels.ts";
import { DurableEndCell } from "./durable-end.ts";
import type { GapList } from "./gaps.ts";
import type { KeyTable } from "./keys.ts";
import type { ResolvedLogOptions } from "./log-options.ts";
import { LogReader, type MetDamage, type ReaderHost } from "./reader.ts";
import type { Retention } from "./retention.ts";
import type { Segment } from "./segment.ts";
import type { SegmentChain } from "./segment-chain.ts";
import type { SegmentPool } from "./segment-pool.ts";
import { quarantine } from "./quarantine.ts";
import { LogWriter } from "./writer.ts";
import type { WriterHost } from "./writer-host.ts";

/** What an opening has put together. */
export interface LogParts {
  readonly options: ResolvedLogOptions;
  readonly pool: SegmentPool;
  readonly chain: SegmentChain;
  readonly channels: ChannelTable;
  readonly keys: KeyTable;
  readonly retention: Retention;
  readonly gaps: GapList;
  /** Offsets below are durable or lost, and the opening has said which. */
  readonly nextOffset: number;
  /** Something was lost or repaired. */
  readonly isDegraded: boolean;
}

interface Waiter {
  readonly offset: number;
  readonly resolve: () => void;
  readonly reject: (cause: Error) => void;
}

/** See the contract for what each method promises. */
export class SegmentedLog implements OwnedLog {
  readonly #parts: LogParts;
  readonly #writer: LogWriter;
  readonly #reader: LogReader;
  readonly #sharedEnd: DurableEndCell | undefined;
  #durableEnd: number;
  #waiters: readonly Waiter[] = [];
  #isDegraded: boolean;
  #isClosed = false;
  #closing: Promise<void> | undefined;
  #told: LogState = "opening";
  #lastError: Error | undefined;

  constructor(parts: LogParts) {
    this.#parts = parts;
    this.#durableEnd = parts.nextOffset;
    this.#isDegraded = parts.isDegraded;
    this.#writer = new LogWriter(parts.options, {
      chain: parts.chain,
      channels: parts.channels,
      keys: parts.keys,
      host: this.#writerHost(),
    });
    this.#reader = new LogReader(this.#readerHost());
    const { durableEnd } = parts.options;
    this.#sharedEnd = durableEnd === undefined ? undefined : new DurableEndCell(durableEnd);
    this.#sharedEnd?.move(parts.nextOffset);
  }

  /** Prepares the first segment; `isContinued`: the last one goes on. */
  async start(isContinued: boolean): Promise<void> {
    await this.#writer.start(isContinued);
    this.#tellState(undefined);
  }

  append(block: RecordBlock, origin: AppendOrigin): Promise<Stored> {
    return this.#writer.append(block, origin);
  }

  fence(receiver: string, epoch: number): Promise<void> {
    return this.#writer.fence(receiver, epoch);
  }

  position(receiver: string, channel: string): Uint8Array | undefined {
    return this.#parts.channels.position(receiver, channel);
  }

  keyed(keyHash: Uint8Array): KeyedStore | undefined {
    return this.#parts.keys.find(keyHash, this.#parts.options.clock.wallMs());
  }

  get durableEnd(): number {
    return this.#durableEnd;
  }

  status(): LogStatus {
    const { gaps, options, pool, retention } = this.#parts;
    const state = this.#state();
    return {
      state,
      oldestOffset: retention.segments[0]?.identity.baseOffset ?? this.#durableEnd,
      nextOffset: this.#durableEnd,
      durableEnd: this.#durableEnd,
      bytes: pool.bytes,
      bytesMax: options.bytesMax,
      unacknowledgedBytes: this.#writer.acceptedBytes,
      gapRecords: gaps.recordCount,
      lastError: this.#lastError,
      ...(state === "full" ? { fullBy: pool.fullBy } : {}),
      ...(pool.reserved === undefined ? {} : { reserve: pool.reserved }),
    };
  }

  read(span: OffsetSpan, signal: AbortSignal): AsyncIterable<LogItem> {
    // Nobody sees what is not durable: after a crash it may be gone, and a result computed from it
    // would be ahead.
    if (!(span.from <= span.to && span.to <= this.#durableEnd)) {
      throw new HoldfastError(
        "INTERNAL",
        `read of [${span.from}, ${span.to}), the log is durable up to ${this.#durableEnd}`,
      );
    }
    return this.#reader.read(span, signal);
  }

  boundedEnd(from: number, recordsMax: number, bytesMax: number): number {
    const end = Math.min(this.#durableEnd, from + Math.max(1, Math.floor(recordsMax)));
    let bytesLeft = bytesMax;
    let offset = from;
    while (offset < end && bytesLeft > 0) {
      const segment = this.#parts.retention.segmentAt(offset);
      // A gap costs nothing.
      if (segment === undefined) return end;
      const start = Math.min(Math.max(offset, segment.identity.baseOffset), end);
      const before = segment.index.bytesBefore(start, segment.end);
      const reached = segment.index.offsetAt(before + bytesLeft, segment.end);
      if (reached < segment.end.offset) return Math.max(Math.min(reached, end), from + 1);
      bytesLeft -= segment.end.position - before;
      offset = segment.end.offset;
    }
    return Math.max(Math.min(offset, end), Math.min(from + 1, end));
  }

  waitFor(offset: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(toError(signal.reason));
    if (this.#durableEnd > offset) return Promise.resolve();
    if (this.#closing !== undefined) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#waiters = this.#waiters.filter((known) => known !== waiter);
        reject(toError(signal.reason));
      };
      const over = (): void => signal.removeEventListener("abort", stop);
      const waiter: Waiter = {
        offset,
        resolve: () => {
          over();
          resolve();
        },
        reject: (cause) => {
          over();
          reject(cause);
        },
      };
      signal.addEventListener("abort", stop, { once: true });
      this.#waiters = [...this.#waiters, waiter];
    });
  }

  async release(offset: number): Promise<void> {
    // The directory may belong to the next opening already.
    if (this.#closing !== undefined) return;
    await this.#parts.retention.release(Math.min(offset, this.#durableEnd));
  }

  async truncate(offset: number, neededFrom: number): Promise<Truncation> {
    if (this.#closing !== undefined) throw new HoldfastError("LOG_CLOSED", "the log is closed");
    return await this.#parts.retention.truncate(Math.min(offset, this.#durableEnd), neededFrom);
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeOnce();
    return this.#closing;
  }

  async #closeOnce(): Promise<void> {
    await this.#writer.close();
    await this.#parts.retention.close();
    await this.#parts.pool.close();
    this.#isClosed = true;
    // Nothing more will come here: who waits must look for the log's next incarnation.
    for (const waiter of this.#waiters) waiter.reject(closedError());
    this.#waiters = [];
    this.#tellState(undefined);
  }

  #state(): LogState {
    if (this.#isClosed) return "closed";
    if (this.#writer.failure !== undefined) return "failed";
    if (this.#writer.isFull) return "full";
    return this.#isDegraded ? "degraded" : "running";
  }

  #tellState(cause: Error | undefined): void {
    if (cause !== undefined) this.#lastError = cause;
    const state = this.#state();
    if (state === this.#told && cause === undefined) return;
    this.#told = state;
    this.#parts.options.listener.stateChanged(state, cause);
  }

  #writerHost(): WriterHost {
    const { options, pool, retention } = this.#parts;
    return {
      committed: (commit) => {
        this.#durableEnd = commit.durableEnd;
        this.#sharedEnd?.move(commit.durableEnd);
        options.listener.committed(commit);
        this.#wake();
      },
      stateChanged: (state, cause) => {
        if (state === "degraded") this.#isDegraded = true;
        this.#tellState(cause);
      },
      pressure: (full) => options.listener.pressure(full),
      makeRoom: async () =>
        (await retention.collect(true)) ||
        (options.whenFull === "drop-oldest" && (await retention.dropOldest())),
      prepare: () => pool.prepare(),
      idle: () => this.#reader.shrink(),
      space: () => ({ bytes: pool.bytes, bytesMax: options.bytesMax, fullBy: pool.fullBy }),
    };
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const due = this.#waiters.filter((waiter) => waiter.offset < this.#durableEnd);
    if (due.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.offset >= this.#durableEnd);
    for (const waiter of due) waiter.resolve();
  }

  /**
   * Segments are gone: the writer may have room, and what was known of gaps below is nobody's
   * business.
   */
  freed(): void {
    const oldest = this.#parts.retention.segments[0];
    if (oldest !== undefined) this.#parts.gaps.forgetBelow(oldest.identity.baseOffset);
    this.#writer.roomFreed();
  }

  #readerHost(): ReaderHost {
    const { channels, gaps, options, retention } = this.#parts;
    return {
      files: options.files,
      directory: options.directory,
      segmentAt: (offset) => retention.segmentAt(offset),
      reasonOf: (span) =>
        gaps.reasonAt(span.from) ??
        (span.to <= this.status().oldestOffset ? "dropped" : "missing-segment"),
      nameOf: (channelId) => this.#nameOf(channelId, channels),
      damaged: (damage) => this.#damaged(damage),
      unpinned: () =>
        void retention.collect(false).catch((cause: unknown) => this.#tellState(toError(cause))),
    };
  }

  /**
   * Ids are never given to another channel, so any table that names one is as good as the segment's
   * own.
   */
  #nameOf(
    channelId: number,
    channels: ChannelTable,
  ): { readonly receiver: string; readonly channel: string } | undefined {
    const channel = channels.byId(channelId);
    if (channel !== undefined) return { receiver: channel.receiver, channel: channel.name };
    return this.#parts.retention.segments
      .find((segment: Segment) => segment.names.has(channelId))
      ?.names.get(channelId);
  }

  async #damaged(damage: MetDamage): Promise<void> {
    const { gaps, options } = this.#parts;
    const { bytes, from, position, reason, segment, to } = damage;
    if (!(await gaps.add({ from, to, reason }))) return;
    this.#isDegraded = true;
    this.#tellState(
      new HoldfastError(
        "LOG_DAMAGED",
        `${segment.identity.fileName}: records ${from} to ${to} cannot be read (${reason})`,
      ),
    );
    if (bytes.length === 0) return;
    await keepCopy(options, {
      segmentId: segment.identity.segmentId,
      position,
      bytes,
      from,
      to,
      reason,
    });
  }
}

function closedError(): HoldfastError {
  return new HoldfastError("LOG_CLOSED", "the log was closed");
}

/**
 * Copies damaged bytes aside and tells it. Without room for the copy the log goes on: it is for
 * curiosity only.
 */
export async function keepCopy(
  options: ResolvedLogOptions,
  range: {
    readonly segmentId: number;
    readonly position: number;
    readonly bytes: Uint8Array;
    readonly from: number;
    readonly to: number;
    readonly reason: string;
  },
): Promise<void> {
  try {
    const file = await quarantine(options.files, options.directory, {
      ...range,
      wallMs: options.clock.wallMs(),
    });
    options.listener.quarantined?.({ file, bytes: range.bytes.length });
  } catch {
    // As above.
  }
}
