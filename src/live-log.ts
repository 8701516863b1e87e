/**
 * The log, the ledger and the dead letters as the other units hold them: the same objects over restarts of the log's
 * own unit. Between two incarnations every call fails with LOG_CLOSED, and the caller's supervisor tries again.
 */
import type { DeadLetter, DeadLetterStore } from "./contract/dead-letters.ts";
import type {
  AppendOrigin,
  Commit,
  Ends,
  KeyedStore,
  Ledger,
  LogItem,
  LogStatus,
  OffsetSpan,
  OwnedLog,
  PipelineCheckpoint,
  Plan,
  Truncation,
} from "./contract/log.ts";
import type { RecordBlock, Stored } from "./contract/record.ts";
import { HoldfastError } from "./errors.ts";

/** What the log says of itself while there is none. */
export const CLOSED_LOG: LogStatus = Object.freeze({
  state: "closed",
  oldestOffset: 0,
  nextOffset: 0,
  durableEnd: 0,
  bytes: 0,
  bytesMax: 0,
  unacknowledgedBytes: 0,
  gapRecords: 0,
  lastError: undefined,
});

/** One incarnation of the log's unit. */
export interface OpenStorage {
  readonly log: OwnedLog;
  readonly ledger: Ledger;
  readonly deadLetters: DeadLetterStore;
}

/** Where the three are found. */
export class LiveStorage {
  #current: OpenStorage | undefined;
  readonly log: OwnedLog = new LiveLog(() => this.#get().log);
  readonly ledger: Ledger = new LiveLedger(() => this.#get().ledger);
  readonly deadLetters: DeadLetterStore = new LiveLetters(() => this.#get().deadLetters);

  /** Swaps the incarnation; undefined while there is none. */
  set(storage: OpenStorage | undefined): void {
    this.#current = storage;
  }

  get isOpen(): boolean {
    return this.#current !== undefined;
  }

  #get(): OpenStorage {
    if (this.#current !== undefined) return this.#current;
    throw new HoldfastError(
      "LOG_CLOSED",
      "the log is closed: it has failed and is being opened again, or the ingest has stopped",
      { fix: "try again when unit log runs" },
    );
  }
}

class LiveLog implements OwnedLog {
  readonly #get: () => OwnedLog;

  constructor(get: () => OwnedLog) {
    this.#get = get;
  }

  get durableEnd(): number {
    return this.#get().durableEnd;
  }

  // Not async: the hot path gets the log's own promise.
  append(block: RecordBlock, origin: AppendOrigin): Promise<Stored> {
    try {
      return this.#get().append(block, origin);
    } catch (cause) {
      return Promise.reject(cause);
    }
  }

  async fence(receiver: string, epoch: number): Promise<void> {
    await this.#get().fence(receiver, epoch);
  }

  position(receiver: string, channel: string): Uint8Array | undefined {
    return this.#get().position(receiver, channel);
  }

  keyed(keyHash: Uint8Array): KeyedStore | undefined {
    return this.#get().keyed(keyHash);
  }

  status(): LogStatus {
    return this.#get().status();
  }

  read(span: OffsetSpan, signal: AbortSignal): AsyncIterable<LogItem> {
    return this.#get().read(span, signal);
  }

  boundedEnd(from: number, recordsMax: number, bytesMax: number): number {
    return this.#get().boundedEnd(from, recordsMax, bytesMax);
  }

  async waitFor(offset: number, signal: AbortSignal): Promise<void> {
    await this.#get().waitFor(offset, signal);
  }

  async release(offset: number): Promise<void> {
    await this.#get().release(offset);
  }

  async truncate(offset: number, neededFrom: number): Promise<Truncation> {
    return await this.#get().truncate(offset, neededFrom);
  }

  async close(): Promise<void> {
    await this.#get().close();
  }
}

class LiveLedger implements Ledger {
  readonly #get: () => Ledger;

  constructor(get: () => Ledger) {
    this.#get = get;
  }

  get epoch(): number {
    return this.#get().epoch;
  }

  checkpoint(pipeline: string): PipelineCheckpoint | undefined {
    return this.#get().checkpoint(pipeline);
  }

  pipelines(): readonly string[] {
    return this.#get().pipelines();
  }

  async register(
    pipeline: string,
    born: { readonly writerId: string; readonly start: Ends },
  ): Promise<void> {
    await this.#get().register(pipeline, born);
  }

  async plan(plan: Plan): Promise<void> {
    await this.#get().plan(plan);
  }

  async commit(commit: Commit, next?: Plan): Promise<void> {
    await this.#get().commit(commit, next);
  }

  async orphan(pipeline: string, sinceMs: number | undefined): Promise<void> {
    await this.#get().orphan(pipeline, sinceMs);
  }

  async forget(pipeline: string): Promise<void> {
    await this.#get().forget(pipeline);
  }
}

class LiveLetters implements DeadLetterStore {
  readonly #get: () => DeadLetterStore;

  constructor(get: () => DeadLetterStore) {
    this.#get = get;
  }

  get nextOffset(): number {
    return this.#get().nextOffset;
  }

  async add(letters: readonly DeadLetter[]): Promise<void> {
    await this.#get().add(letters);
  }

  async keysFrom(offset: number, signal: AbortSignal): Promise<ReadonlySet<string>> {
    return await this.#get().keysFrom(offset, signal);
  }
}
