/**
 * Entries that wait for the disk: usually one that fills while another is written, more only while
 * the disk is slow or the log is full.
 */
import type { RecordBlock, Stored } from "../contract/record.ts";
import { HoldfastError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { Channel } from "./channels.ts";
import { ENTRY_BODY_BYTES_MAX } from "./entry.ts";
import { type BlockStamp, EntryBuffer } from "./entry-buffer.ts";

/** Accepted and not yet on disk, all entries together; beyond it `append` rejects with BUSY. */
export const ACCEPTED_BYTES_MAX: number = 64 * 1024 * 1024;
/**
 * Empty entries that are kept with their buffers: the one that fills and the one that is written.
 */
const IDLE_ENTRIES_MAX = 2;

/** An entry on its way: it fills, waits, and is written. */
export interface PendingEntry {
  /** Ascending: later entries have higher numbers. */
  readonly number: number;
  readonly buffer: EntryBuffer;
  /** Channels it uses, each once. */
  readonly channels: Channel[];
}

/** What an append brings beside its block and its channel. */
export interface AppendStamp extends BlockStamp {
  /** As `blockBytes` says. */
  readonly bytes: number;
}

interface Drain {
  readonly upTo: number;
  readonly resolve: () => void;
}

/** First in, first out. The last entry is open for blocks, unless it was taken. */
export class EntryQueue {
  readonly #waiting: PendingEntry[] = [];
  readonly #idle: EntryBuffer[] = [];
  #drains: Drain[] = [];
  #flight: PendingEntry | undefined;
  #nextNumber = 1;
  #waitingBytes = 0;
  #flightBytes = 0;
  readonly #clock: Pick<Clock, "monotonicMs">;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** The entry that is being written, or was when the write failed. */
  get flight(): PendingEntry | undefined {
    return this.#flight;
  }

  /** The entry to be written next. */
  get head(): PendingEntry | undefined {
    return this.#flight ?? this.#waiting[0];
  }

  /** In entries that are not being written. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get acceptedBytes(): number {
    return this.#waitingBytes + this.#flightBytes;
  }

  /**
   * Number of the oldest entry that is not on disk: channels used from there on must keep their
   * names.
   */
  get oldestNumber(): number {
    return this.head?.number ?? this.#nextNumber;
  }

  /**
   * Copies a block into the open entry and promises what becomes of it. Throws BUSY, BLOCK_INVALID;
   * then nothing has changed.
   */
  add(block: RecordBlock, channel: Channel, stamp: AppendStamp): Promise<Stored> {
    const { bytes } = stamp;
    if (this.acceptedBytes + bytes > ACCEPTED_BYTES_MAX) {
      throw new HoldfastError(
        "BUSY",
        `log: ${this.acceptedBytes} bytes wait for the disk, a block of ${bytes} more is over ${ACCEPTED_BYTES_MAX}`,
      );
    }
    const entry = this.#openEntry(bytes);
    const isFirst = entry.buffer.isEmpty;
    const before = isFirst ? 0 : entry.buffer.entryBytes;
    try {
      entry.buffer.add(block, channel.id, stamp);
    } catch (cause) {
      // An entry without records is never written.
      if (isFirst) this.#waiting.pop();
      throw cause;
    }
    if (isFirst) entry.buffer.firstAppendMs = this.#clock.monotonicMs();
    this.#waitingBytes += entry.buffer.entryBytes - before;
    if (channel.usedIn !== entry.number) {
      channel.usedIn = entry.number;
      entry.channels.push(channel);
    }
    return entry.buffer.settled(block.count);
  }

  /** The last entry, or a new one when the block would make it too long. */
  #openEntry(bytes: number): PendingEntry {
    const last = this.#waiting.at(-1);
    if (last !== undefined && last.buffer.entryBytes + bytes <= ENTRY_BODY_BYTES_MAX) return last;
    const opened: PendingEntry = {
      number: this.#nextNumber,
      buffer: this.#idle.pop() ?? new EntryBuffer(),
      channels: [],
    };
    this.#nextNumber += 1;
    this.#waiting.push(opened);
    return opened;
  }

  /** Closes the head: it takes no more blocks and is laid out for writing. */
  take(): PendingEntry | undefined {
    if (this.#flight !== undefined) return this.#flight;
    const entry = this.#waiting.shift();
    if (entry === undefined) return undefined;
    entry.buffer.layOut();
    this.#flight = entry;
    this.#flightBytes = entry.buffer.entryBytes;
    this.#waitingBytes -= this.#flightBytes;
    return entry;
  }

  /**
   * The entry in flight is on disk: its callers hear where, in one turn and in the order of their
   * calls.
   */
  resolveFlight(firstOffset: number): void {
    const entry = this.#flight;
    if (entry === undefined) return;
    this.#flight = undefined;
    this.#flightBytes = 0;
    entry.buffer.resolveAll(firstOffset);
    this.#settled(entry);
  }

  /** The head will not be stored. */
  rejectHead(cause: Error): void {
    const entry = this.#flight ?? this.#waiting.shift();
    if (entry === undefined) return;
    if (entry === this.#flight) {
      this.#flight = undefined;
      this.#flightBytes = 0;
    } else {
      this.#waitingBytes -= entry.buffer.entryBytes;
    }
    entry.buffer.rejectAll(cause);
    this.#settled(entry);
  }

  /** Nothing will be stored any more. */
  rejectAll(cause: Error): void {
    while (this.head !== undefined) this.rejectHead(cause);
  }

  /** Resolves when everything that is accepted now is settled. */
  drained(): Promise<void> {
    const last = this.#waiting.at(-1) ?? this.#flight;
    if (last === undefined) return Promise.resolve();
    return new Promise((resolve) => this.#drains.push({ upTo: last.number, resolve }));
  }

  /** Whether someone waits for the head, so that it must not be held back. */
  get isUrgent(): boolean {
    return this.#drains.length > 0;
  }

  /** Frees what a burst made large. */
  shrink(): void {
    this.#idle.length = 0;
  }

  #settled(entry: PendingEntry): void {
    if (this.#idle.length < IDLE_ENTRIES_MAX) this.#idle.push(entry.buffer);
    const due = this.#drains.filter((drain) => drain.upTo <= entry.number);
    if (due.length === 0) return;
    this.#drains = this.#drains.filter((drain) => drain.upTo > entry.number);
    for (const drain of due) drain.resolve();
  }
}
