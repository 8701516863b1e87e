/**
 * The one writer of the log: takes blocks into the open entry and writes entries one after the
 * other. While one is on its way to the disk the next one fills: group commit without timers.
 */
import type { AppendOrigin } from "../contract/log.ts";
import type { RecordBlock, Stored } from "../contract/record.ts";
import { codeOf, HoldfastError, toError } from "../errors.ts";
import type { Cancel, Clock } from "../host/clock.ts";
import type { ChannelTable } from "./channels.ts";
import { blockBytes } from "./block-shape.ts";
import { EntryQueue, type PendingEntry } from "./entry-queue.ts";
import type { KeyTable } from "./keys.ts";
import type { ResolvedLogOptions } from "./log-options.ts";
import { namesDiskBytes, writeNames } from "./segment-head.ts";
import type { SegmentChain } from "./segment-chain.ts";
import type { SegmentWriter } from "./segment-writer.ts";
import { TurnClock } from "./turn-clock.ts";
import { fullError, type WriterHost } from "./writer-host.ts";

/** An entry of this size is committed without waiting for `minCommitIntervalMs`. */
export const ENTRY_BYTES_SOFT: number = 1024 * 1024;
/** How often a full log looks for room on its own. */
export const PROBE_MS = 1_000;
/** Failed writes within {@link RESCUE_WINDOW_MS} that are answered with another segment; one more fails the log. */
export const RESCUES_MAX = 8;
export const RESCUE_WINDOW_MS: number = 60 * 60 * 1000;

/** Appends, commits, rescues. */
export class LogWriter {
  readonly #options: ResolvedLogOptions;
  readonly #clock: Clock;
  readonly #chain: SegmentChain;
  readonly #channels: ChannelTable;
  readonly #keys: KeyTable;
  readonly #host: WriterHost;
  readonly #queue: EntryQueue;
  readonly #turn: TurnClock;
  #pumping: Promise<void> | undefined;
  #failure: HoldfastError | undefined;
  #isClosing = false;
  #isFull = false;
  #hasPressure = false;
  #hasCommitted = false;
  /** Failed tries to write the head, or to get a segment for it. */
  #triesFailed = 0;
  #rescueTimesMs: readonly number[] = [];
  #lastCommitMs = -Infinity;
  #needsWitness = false;
  #intervalTimer: Cancel | undefined;
  #idleTimer: Cancel | undefined;
  #wake: (() => void) | undefined;

  constructor(
    options: ResolvedLogOptions,
    parts: {
      readonly chain: SegmentChain;
      readonly channels: ChannelTable;
      readonly keys: KeyTable;
      readonly host: WriterHost;
    },
  ) {
    this.#options = options;
    this.#clock = options.clock;
    this.#queue = new EntryQueue(options.clock);
    this.#turn = new TurnClock(options.clock);
    this.#chain = parts.chain;
    this.#channels = parts.channels;
    this.#keys = parts.keys;
    this.#host = parts.host;
  }

  get failure(): HoldfastError | undefined {
    return this.#failure;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  get acceptedBytes(): number {
    return this.#queue.acceptedBytes;
  }

  /** As `Log.append`. */
  append(block: RecordBlock, origin: AppendOrigin): Promise<Stored> {
    try {
      const accepted = this.#accept(block, origin);
      this.#updatePressure();
      this.#schedule();
      return accepted;
    } catch (cause) {
      return Promise.reject(toError(cause));
    }
  }

  #accept(block: RecordBlock, { epoch, receiver }: AppendOrigin): Promise<Stored> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isClosing) throw new HoldfastError("LOG_CLOSED", `${receiver}: the log is closed`);
    const bytes = blockBytes(block);
    const { blockBytesMax } = this.#options;
    if (bytes > blockBytesMax) {
      throw new HoldfastError(
        "BLOCK_TOO_LARGE",
        `${receiver}: block of ${bytes} bytes with its columns, limit ${blockBytesMax}`,
        { fix: "hand over fewer records at once" },
      );
    }
    const channel = this.#channels.channelFor(receiver, epoch, block.channel);
    return this.#queue.add(block, channel, { epoch, wallMs: this.#turn.wallMs(), bytes });
  }

  /** Refuses older epochs at once, and resolves when what was accepted is settled. */
  async fence(receiver: string, epoch: number): Promise<void> {
    this.#channels.fence(receiver, epoch);
    const drained = this.#queue.drained();
    this.#schedule();
    await drained;
  }

  /**
   * The first steps of an opening: the mark behind an orderly end, or the first segment. Rejects
   * when both tries fail.
   */
  async start(isContinued: boolean): Promise<void> {
    if (isContinued) await this.#attempt(() => this.#chain.markOpened());
    this.#schedule();
    await this.#pumping;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Room may have come back. */
  roomFreed(): void {
    this.#wake?.();
    if (this.#isFull) this.#run();
  }

  /** Commits what is accepted, marks the end and closes the file. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#intervalTimer?.();
    this.#idleTimer?.();
    this.#wake?.();
    const drained = this.#queue.drained();
    this.#run();
    await drained;
    await this.#pumping;
    // Without an orderly end the next opening takes another segment, so nothing depends on this
    // write.
    if (this.#failure === undefined) await this.#chain.close().catch(() => undefined);
    else await this.#chain.abandon();
    this.#endPressure();
  }

  /** Runs the pump now, or when the minimum interval since the last commit is over. */
  #schedule(): void {
    const waitMs = this.#holdBackMs();
    if (waitMs <= 0) this.#run();
    else
      this.#intervalTimer ??= this.#clock.after(waitMs, () => {
        this.#intervalTimer = undefined;
        this.#run();
      });
  }

  /** How long the head is held back to spare the disk; 0 when much waits, or someone does. */
  #holdBackMs(): number {
    const { minCommitIntervalMs } = this.#options;
    if (
      minCommitIntervalMs === 0 ||
      this.#isClosing ||
      this.#queue.isUrgent ||
      this.#queue.waitingBytes >= ENTRY_BYTES_SOFT
    )
      return 0;
    return this.#lastCommitMs + minCommitIntervalMs - this.#clock.monotonicMs();
  }

  /** A microtask later, so that blocks handed over in one go share an entry. */
  #run(): void {
    this.#pumping ??= Promise.resolve()
      .then(() => this.#pump())
      .catch((cause: unknown) => this.#fail(toError(cause)))
      .finally(() => {
        this.#pumping = undefined;
        // An append may have come between the pump's last look and here.
        if (this.#queue.head !== undefined && this.#failure === undefined) this.#schedule();
      });
  }

  /**
   * Writes until nothing waits. One turn of the loop is one write, or one step towards room for it.
   */
  async #pump(): Promise<void> {
    while (this.#failure === undefined) {
      const head = this.#queue.head;
      if (head === undefined) return await this.#whenEmpty();
      if (this.#queue.flight === undefined && this.#holdBackMs() > 0) return;
      const active = this.#chain.active;
      const diskBytes = namesDiskBytes(this.#chain.unnamed(head.channels)) + head.buffer.diskBytes;
      // No wait between this check and the taking of the head: the room is for exactly what it
      // holds now.
      if (active === undefined || !active.isReadyFor(diskBytes)) {
        if ((await this.#ensureRoom(diskBytes)) === "full") await this.#waitForRoom(head);
        continue;
      }
      this.#setFull(false, undefined);
      const entry = this.#queue.take();
      this.#updatePressure();
      if (entry !== undefined) await this.#write(entry, active);
    }
  }

  async #whenEmpty(): Promise<void> {
    if (this.#isClosing) return;
    while (this.#chain.active === undefined && this.#failure === undefined) {
      if ((await this.#ensureRoom(0)) === "full") return this.#beFull();
    }
    this.#setFull(false, undefined);
    if (this.#needsWitness && this.#queue.head === undefined && this.#failure === undefined) {
      this.#needsWitness = false;
      await this.#attempt(() => this.#chain.witness());
    }
  }

  async #ensureRoom(diskBytes: number): Promise<"ok" | "full" | "failed"> {
    const room = await this.#attempt(() =>
      this.#chain.ensureRoom(diskBytes, this.#queue.oldestNumber),
    );
    if (room === undefined) return "failed";
    return room === "full" && (await this.#host.makeRoom()) ? "ok" : room;
  }

  /** Names first, then the records, each in a write of its own. */
  async #write(entry: PendingEntry, active: SegmentWriter): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    this.#lastCommitMs = startedMs;
    const firstOffset = active.segment.end.offset;
    const isDone = await this.#attempt(async () => {
      const unnamed = this.#chain.unnamed(entry.channels);
      if (unnamed.length > 0) await writeNames(active, unnamed, this.#chain.stamp());
      await active.writeRecords(entry.buffer, this.#chain.stamp());
      return true;
    });
    if (isDone === undefined) return;
    this.#triesFailed = 0;
    const { entryBytes, recordCount } = entry.buffer;
    entry.buffer.forEachPosition((channelId, position) =>
      this.#channels.movePosition(channelId, position),
    );
    this.#keys.addAll(entry.buffer.keyed, { firstOffset, wallMs: entry.buffer.baseTimeMs });
    this.#host.committed({
      recordCount,
      bytes: entryBytes,
      seconds: (this.#clock.monotonicMs() - startedMs) / 1000,
      durableEnd: firstOffset + recordCount,
    });
    this.#queue.resolveFlight(firstOffset);
    this.#afterCommit(active);
  }

  #afterCommit(active: SegmentWriter): void {
    active.zeroAhead();
    if (!this.#hasCommitted || active.fill >= 0.5) this.#host.prepare();
    this.#hasCommitted = true;
    this.#needsWitness = false;
    if (this.#idleTimer === undefined && this.#options.witnessAfterMs > 0 && !this.#isClosing)
      this.#armIdleTimer(this.#options.witnessAfterMs);
  }

  /** One timer for many commits: when it fires too early it waits for the rest. */
  #armIdleTimer(ms: number): void {
    this.#idleTimer = this.#clock.after(ms, () => {
      this.#idleTimer = undefined;
      if (this.#isClosing || this.#failure !== undefined) return;
      const leftMs = this.#lastCommitMs + this.#options.witnessAfterMs - this.#clock.monotonicMs();
      if (leftMs > 0 || this.#queue.head !== undefined)
        return this.#armIdleTimer(Math.max(leftMs, 1));
      this.#needsWitness = true;
      this.#queue.shrink();
      this.#host.idle();
      this.#run();
    });
  }

  /**
   * Runs a step that writes. When it fails, the segment is given up with its end as a fact, and the pump goes on in
   * another one: same records, same offsets, from memory. A second failure in a row, or too many in an hour, fail the log.
   */
  async #attempt<Result>(step: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await step();
    } catch (cause) {
      await this.#rescue(toError(cause));
      return undefined;
    }
  }

  async #rescue(cause: Error): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    this.#triesFailed += 1;
    this.#rescueTimesMs = [
      ...this.#rescueTimesMs.filter((timeMs) => nowMs - timeMs < RESCUE_WINDOW_MS),
      nowMs,
    ];
    try {
      await this.#chain.poison();
    } catch (second) {
      // Without the fact the next opening decides from the disk alone, and it may find the failed
      // entry.
      return this.#fail(toError(second));
    }
    const isHopeless =
      this.#triesFailed > 1 ||
      this.#rescueTimesMs.length > RESCUES_MAX ||
      codeOf(cause) === "LEDGER_FENCED";
    if (isHopeless) return this.#fail(cause);
    this.#host.stateChanged("degraded", cause);
  }

  #fail(cause: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = new HoldfastError("LOG_FAILED", `the log cannot be written: ${cause.message}`, {
      cause,
      fix: "check the disk; the log is opened again by its supervisor",
    });
    this.#idleTimer?.();
    this.#intervalTimer?.();
    this.#queue.rejectAll(this.#failure);
    this.#endPressure();
    this.#host.stateChanged("failed", this.#failure);
  }

  /**
   * The disk or the budget is full: waits for room, at most until the head's callers have waited
   * long enough.
   */
  async #waitForRoom(head: PendingEntry): Promise<void> {
    this.#setFull(true, undefined);
    const deadlineMs = head.buffer.firstAppendMs + this.#options.storeTimeoutMs;
    const leftMs = deadlineMs - this.#clock.monotonicMs();
    if (this.#isClosing)
      return this.#queue.rejectHead(
        new HoldfastError("LOG_CLOSED", "the log was closed while it was full"),
      );
    // Everything behind it too: no block is stored without those before it, or a position would stand for what is not there.
    if (leftMs <= 0)
      return this.#queue.rejectAll(fullError(this.#host.space(), this.#options.storeTimeoutMs));
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(Math.min(leftMs, PROBE_MS), resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** Full with nothing to write: looks again in a second, because paused receivers will not ask. */
  #beFull(): void {
    this.#setFull(true, undefined);
    this.#intervalTimer ??= this.#clock.after(PROBE_MS, () => {
      this.#intervalTimer = undefined;
      this.#run();
    });
  }

  #setFull(isFull: boolean, cause: Error | undefined): void {
    if (this.#isFull === isFull) return;
    this.#isFull = isFull;
    this.#host.stateChanged(isFull ? "full" : "running", cause);
    this.#updatePressure();
  }

  /** The log is over: whoever waits for it to get better would wait for ever. */
  #endPressure(): void {
    this.#isFull = false;
    this.#updatePressure();
  }

  /** Tells when receivers have to pause and may go on; at half, so that they do not flap. */
  #updatePressure(): void {
    const limit = this.#options.openEntryBytesPause;
    const waiting = this.#queue.waitingBytes;
    const hasPressure =
      this.#isFull || waiting >= limit || (this.#hasPressure && waiting > limit / 2);
    if (hasPressure === this.#hasPressure) return;
    this.#hasPressure = hasPressure;
    this.#host.pressure(hasPressure);
  }
}
