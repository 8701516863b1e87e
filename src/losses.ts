/**
 * What a receiver has read and could not store: a dead letter where that is possible, else a count with its reason.
 * Nothing is lost without one of the two.
 */
import type { DeadLetterStore } from "./contract/dead-letters.ts";
import type { Emit } from "./contract/events.ts";
import { copyOf, type RecordBlock } from "./contract/record.ts";
import { codeOf } from "./errors.ts";

/** Reasons are labels of a metric, so there is a limit to them; what comes later is counted together. */
export const DROP_REASONS_MAX = 32;
/** The reason of those that are over the limit. */
export const OTHER_REASONS = "other";

/** Whose losses, and who is told. */
export interface LossParts {
  readonly receiver: string;
  readonly deadLetters: DeadLetterStore;
  readonly emit: Emit;
}

/** The losses of one receiver, over all its incarnations. */
export class Losses {
  readonly #parts: LossParts;
  readonly #dropped = new Map<string, number>();

  constructor(parts: LossParts) {
    this.#parts = parts;
  }

  /** Records that were counted and not kept, by reason. */
  get dropped(): ReadonlyMap<string, number> {
    return this.#dropped;
  }

  /** Counts records that are gone. */
  drop(recordCount: number, reason: string): void {
    const isKnown = this.#dropped.has(reason) || this.#dropped.size < DROP_REASONS_MAX;
    const label = isKnown ? reason : OTHER_REASONS;
    this.#dropped.set(label, (this.#dropped.get(label) ?? 0) + recordCount);
    this.#parts.emit("receiver-dropped", { receiver: this.#parts.receiver, recordCount, reason });
  }

  /** Bytes that can be no record. Rejects when they are not on disk. */
  async setAside(bytes: Uint8Array, cause: Error): Promise<void> {
    await this.#keep("framing", [new Uint8Array(bytes)], cause);
  }

  /** Bytes that a receiver failed on. Where they cannot be set aside they count as one record. */
  setAsideOffending(bytes: Uint8Array, cause: Error): void {
    this.#keepOrDrop("receive", [new Uint8Array(bytes)], cause);
  }

  /** Records that the log did not take, each as a letter of its own. */
  giveUp(block: RecordBlock, cause: Error): void {
    const values = Array.from({ length: block.count }, (_, index) => copyOf(block, index));
    this.#keepOrDrop("store", values, cause);
  }

  #keepOrDrop(stage: string, values: readonly Uint8Array[], cause: Error): void {
    // Why there is no letter either is of no use to anyone: what counts is why the records were not stored.
    this.#keep(stage, values, cause).catch(() => this.drop(values.length, codeOf(cause)));
  }

  async #keep(stage: string, values: readonly Uint8Array[], cause: Error): Promise<void> {
    const { receiver, deadLetters, emit } = this.#parts;
    const { message } = cause;
    const letter = { key: "", unit: receiver, stage, code: codeOf(cause), message, receiver };
    await deadLetters.add(values.map((bytes) => ({ ...letter, offset: undefined, bytes })));
    for (const _ of values)
      emit("dead-letter", { pipeline: receiver, stage, error: cause, offset: -1 });
  }
}
