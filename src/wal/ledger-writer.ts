/**
 * Makes facts durable, in order, one write at a time. Facts queued while a write flies, or in the same
 * turn, share the next one.
 */
import { HoldfastError, toError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { FileHandle, Files } from "../host/files.ts";
import { closeQuietly } from "./close-quietly.ts";
import { ENTRY_BODY_BYTES_MAX } from "./entry.ts";
import { alignUp } from "./format.ts";
import { encodeSnapshot, type Fact, type LedgerState } from "./ledger-facts.ts";
import {
  encodeLedgerEntry,
  encodeLedgerStart,
  type EncodedEntry,
  type LedgerFileIdentity,
} from "./ledger-file.ts";
import { applyFact, checkFact } from "./ledger-state.ts";
import { type BlankFile, type LedgerSpare, removeQuietly } from "./ledger-spare.ts";
import { writeAll } from "./segment-writer.ts";

/** Calls that wait for a write; a further one is refused with BUSY. */
export const QUEUED_CALLS_MAX = 10_000;
/** Calls that share one write. */
const CALLS_PER_WRITE_MAX = 256;
/** A file is this many times as large as the state it begins with, so that files are not replaced all the time. */
const CAPACITY_PER_STATE = 4;

interface Call {
  readonly facts: readonly Fact[];
  /** The state once this call is durable. */
  readonly after: LedgerState;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** The file that is being written. */
interface CurrentFile {
  readonly identity: LedgerFileIdentity;
  readonly path: string;
  readonly handle: FileHandle;
  readonly endBytes: number;
  readonly lastHeaderCrc: number;
}

/** What a writer works with. */
export interface LedgerWriterOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly directory: string;
  readonly logUuid: Uint8Array;
  readonly fileBytes: number;
  readonly spare: LedgerSpare;
  /** Told once, when nothing can be written any more. */
  readonly failed: (cause: Error) => void;
}

export class LedgerWriter {
  readonly #options: LedgerWriterOptions;
  #durable: LedgerState;
  /** The durable state and every fact that was taken since: what the next fact is checked against. */
  #accepted: LedgerState;
  #queue: Call[] = [];
  #current: CurrentFile | undefined;
  /** Number of the file that was begun last: the one that is written, or that is being left for the next. */
  #fileNumber = 0;
  #writing: Promise<void> | undefined;
  #failure: HoldfastError | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: LedgerWriterOptions, state: LedgerState) {
    this.#options = options;
    this.#durable = state;
    this.#accepted = state;
  }

  /** What is on disk: nobody sees more. */
  get durable(): LedgerState {
    return this.#durable;
  }

  /** What will be on disk when every call so far has resolved. */
  get accepted(): LedgerState {
    return this.#accepted;
  }

  /** Why nothing can be written any more, or undefined. */
  get failure(): HoldfastError | undefined {
    return this.#failure;
  }

  /** Begins the first file of this opening; the ledger is ours once it resolves. Then `superseded` are removed. */
  async begin(superseded: readonly string[]): Promise<void> {
    await this.#replaceFileOrNext(this.#durable);
    // Not reused: should the lock have failed us, an older opening may still write to its file.
    for (const path of superseded) await removeQuietly(this.#options.files, path);
    this.#options.spare.prepare(this.#options.fileBytes);
  }

  /** Durable when it resolves, together or not at all. Refused at once when a fact may not follow. */
  submit(facts: readonly Fact[]): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#closed !== undefined)
      return Promise.reject(new HoldfastError("LOG_CLOSED", "the ledger is closed"));
    if (this.#queue.length >= QUEUED_CALLS_MAX) {
      return Promise.reject(
        new HoldfastError(
          "BUSY",
          `${this.#queue.length} calls wait for the ledger, limit ${QUEUED_CALLS_MAX}`,
        ),
      );
    }
    let after = this.#accepted;
    for (const fact of facts) {
      const refusal = checkFact(after, fact);
      if (refusal !== undefined) return Promise.reject(refusal);
      after = applyFact(after, fact);
    }
    this.#accepted = after;
    return new Promise((resolve, reject) => {
      this.#queue.push({ facts, after, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  /** Rejects with LEDGER_FENCED when another process has opened the ledger; nothing is written from then on. */
  async assertOwner(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const fileNumber = this.#fileNumber;
    try {
      await this.#options.spare.assertOwner(fileNumber);
    } catch (error) {
      // While the names were read the file was left for the next one and went: that says nothing about others.
      if (fileNumber !== this.#fileNumber) return this.assertOwner();
      if (error instanceof HoldfastError && error.code === "LEDGER_FENCED") this.#fail(error);
      throw error;
    }
  }

  /** Waits for what was taken, then closes. May be called twice. */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    await this.#writing;
    await this.#options.spare.close();
    if (this.#current !== undefined) await closeQuietly(this.#current.handle);
  }

  async #drain(): Promise<void> {
    // One turn of microtasks later, so that calls made in one go share a write.
    await Promise.resolve();
    while (this.#queue.length > 0)
      await this.#writeCalls(this.#queue.splice(0, CALLS_PER_WRITE_MAX));
    this.#writing = undefined;
  }

  async #writeCalls(calls: readonly Call[]): Promise<void> {
    const after = calls.at(-1)?.after;
    if (after === undefined) return;
    try {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#makeDurable(
        calls.flatMap((call) => call.facts),
        after,
      );
    } catch (error) {
      const failure = this.#fail(toError(error));
      for (const call of calls) call.reject(failure);
      return;
    }
    this.#durable = after;
    for (const call of calls) call.resolve();
  }

  async #makeDurable(facts: readonly Fact[], after: LedgerState): Promise<void> {
    const file = this.#current;
    if (file === undefined) return this.#replaceFile(after);
    const firstFact = this.#durable.factCount;
    const entry = encodeLedgerEntry(file.identity, facts, {
      firstFact,
      previousHeaderCrc: file.lastHeaderCrc,
      wallMs: this.#wallMs(),
    });
    if (file.endBytes + entry.bytes.length > file.identity.capacityBytes)
      return this.#rollOver(file, after);
    try {
      await writeAll(file.handle, entry.bytes, entry.bytes.length, file.endBytes);
    } catch {
      return this.#rescue(file, after);
    }
    this.#current = advanced(file, entry);
    this.#options.spare.retry(file.identity.capacityBytes);
  }

  /** The file is full: the next one begins with a state that holds the new facts, then the old one is blanked. */
  async #rollOver(file: CurrentFile, after: LedgerState): Promise<void> {
    await this.#options.spare.assertOwner(file.identity.fileNumber);
    await this.#replaceFileOrNext(after);
    await closeQuietly(file.handle);
    const { capacityBytes } = file.identity;
    this.#options.spare.prepare(capacityBytes, { path: file.path, bytes: capacityBytes });
  }

  /**
   * A write failed, so nobody knows what the file holds behind the last entry, and a second try could report
   * success for pages that were dropped: the file is left for good. The facts go once to the next file.
   */
  async #rescue(file: CurrentFile, after: LedgerState): Promise<void> {
    this.#current = undefined;
    await closeQuietly(file.handle);
    await this.#replaceFile(after);
    await removeQuietly(this.#options.files, file.path);
    this.#options.spare.prepare(file.identity.capacityBytes);
  }

  /** A file that fails at its first write is left like any other; the state goes once to another one. */
  async #replaceFileOrNext(state: LedgerState): Promise<void> {
    try {
      await this.#replaceFile(state);
    } catch {
      await this.#replaceFile(state);
    }
  }

  /** Begins a new file with this state in one write. */
  async #replaceFile(state: LedgerState): Promise<void> {
    const { spare, fileBytes } = this.#options;
    const startBytes = encodeSnapshot(state).length;
    if (startBytes > ENTRY_BODY_BYTES_MAX) {
      throw new HoldfastError(
        "LOG_FAILED",
        `the ledger's state is ${startBytes} bytes, limit ${ENTRY_BODY_BYTES_MAX}`,
        { fix: "`holdfast pipelines forget` what is not needed" },
      );
    }
    const capacityBytes =
      startBytes * CAPACITY_PER_STATE <= fileBytes
        ? fileBytes
        : alignUp(startBytes * CAPACITY_PER_STATE);
    const blank = await spare.take(capacityBytes);
    try {
      this.#current = await this.#beginFile(blank, state);
    } catch (error) {
      await closeQuietly(blank.handle);
      throw error;
    }
  }

  async #beginFile(blank: BlankFile, state: LedgerState): Promise<CurrentFile> {
    const { fileNumber, capacityBytes, path, handle } = blank;
    const identity = {
      fileNumber,
      capacityBytes,
      logUuid: this.#options.logUuid,
      epoch: state.epoch,
    };
    const start = encodeLedgerStart(identity, state, this.#wallMs());
    await writeAll(handle, start.bytes, start.bytes.length, 0);
    this.#fileNumber = fileNumber;
    return { identity, path, handle, endBytes: start.bytes.length, lastHeaderCrc: start.headerCrc };
  }

  #wallMs(): number {
    return Math.max(0, Math.floor(this.#options.clock.wallMs()));
  }

  /** Sticky: whoever opens the ledger again decides from the disk what was durable. */
  #fail(cause: Error): HoldfastError {
    if (this.#failure !== undefined) return this.#failure;
    const isFenced = cause instanceof HoldfastError && cause.code === "LEDGER_FENCED";
    const failure = isFenced ? cause : this.#failed(cause);
    this.#failure = failure;
    this.#options.failed(failure);
    return failure;
  }

  #failed(cause: Error): HoldfastError {
    return new HoldfastError(
      "LOG_FAILED",
      `the ledger in ${this.#options.directory} cannot be written: ${cause.message}`,
      { cause },
    );
  }
}

function advanced(file: CurrentFile, entry: EncodedEntry): CurrentFile {
  return { ...file, endBytes: file.endBytes + entry.bytes.length, lastHeaderCrc: entry.headerCrc };
}
