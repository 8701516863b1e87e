/**
 * Dead letters: records set aside with the reason, in a log of their own.
 */

/** One letter. */
export interface DeadLetter {
  /** Identity: a letter whose key is there already is not stored again. Empty: always stored. */
  readonly key: string;
  /** Pipeline or receiver that set it aside. */
  readonly unit: string;
  /** `framing`, `decode`, `map:toCelsius`, `sink:store`. */
  readonly stage: string;
  readonly code: string;
  readonly message: string;
  readonly receiver: string;
  /** Of the record in the log; undefined for bytes that never became one. */
  readonly offset: number | undefined;
  readonly bytes: Uint8Array;
}

/** Where letters go. */
export interface DeadLetterStore {
  /** Offset that the next letter will have. */
  readonly nextOffset: number;
  /** Resolves when they are on disk. */
  add(letters: readonly DeadLetter[]): Promise<void>;
  /** Keys of the letters from this offset on. */
  keysFrom(offset: number, signal: AbortSignal): Promise<ReadonlySet<string>>;
}
