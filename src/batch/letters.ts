/**
 * Dead letters of one batch: what a stage could not take, kept until the batch's rows are through, made durable
 * before any sink commits, and not stored twice when the batch is replayed.
 */
import type { DeadLetter, DeadLetterStore } from "../contract/dead-letters.ts";
import type { StoredBlock } from "../contract/record.ts";
import { copyOf } from "../contract/record.ts";
import type { Decider } from "../contract/unit.ts";
import { HoldfastError } from "../errors.ts";

/** A ratio of set-aside records is judged from this many records on. */
export const RATIO_RECORDS_MIN = 100;

/** One thing a stage could not take. */
export interface Failure {
  readonly stage: string;
  readonly cause: Error;
  readonly block: StoredBlock;
  readonly recordIndex: number;
}

/** A letter with what made it one. */
export interface SetAside {
  readonly letter: DeadLetter;
  readonly error: HoldfastError;
  readonly offset: number;
}

/** Identity of the batch that the letters belong to. */
export interface LetterIdentity {
  readonly pipeline: string;
  readonly writerId: string;
  readonly batchId: number;
}

/** Counts over batches, so that a trickle of small batches cannot drain a week of data into the dead letters. */
export class RatioGuard {
  readonly #pipeline: string;
  readonly #ratioMax: number;
  #recordCount = 0;
  #letterCount = 0;

  constructor(pipeline: string, ratioMax: number) {
    this.#pipeline = pipeline;
    this.#ratioMax = ratioMax;
  }

  /**
   * Adds a batch's counts; each window of at least 100 records is judged once.
   *
   * @throws DEAD_LETTER_RATIO when more than the allowed share was set aside.
   */
  judge(recordCount: number, letterCount: number): void {
    this.#recordCount += recordCount;
    this.#letterCount += letterCount;
    if (this.#recordCount < RATIO_RECORDS_MIN) return;
    const [records, letters] = [this.#recordCount, this.#letterCount];
    this.#recordCount = 0;
    this.#letterCount = 0;
    if (letters <= records * this.#ratioMax) return;
    throw new HoldfastError(
      "DEAD_LETTER_RATIO",
      `${this.#pipeline}: ${letters} of ${records} records were set aside, the limit is a share of ${this.#ratioMax}`,
      {
        fix: "mend the step or the decoder, then restart the pipeline; or raise deadLetterRatioMax",
      },
    );
  }
}

/** The letters of one run of one batch. */
export class BatchLetters {
  readonly #identity: LetterIdentity;
  readonly #store: DeadLetterStore;
  readonly #decide: Decider;
  /** Keys that are stored already, by an earlier run or attempt of this batch too. */
  readonly #known: Set<string>;
  readonly #ordinals = new Map<string, number>();
  #waiting: SetAside[] = [];
  /** All letters of the batch, those of an earlier run included. */
  count = 0;

  constructor(
    identity: LetterIdentity,
    store: DeadLetterStore,
    options: { readonly decide: Decider; readonly known: Set<string> },
  ) {
    this.#identity = identity;
    this.#store = store;
    this.#decide = options.decide;
    this.#known = options.known;
  }

  /**
   * Sets the record aside if the pipeline's strategy says `resume`.
   *
   * @throws the cause itself otherwise: the batch stops and the supervisor decides about the unit.
   */
  add(failure: Failure): void {
    const { stage, cause, block, recordIndex } = failure;
    if (stops(cause) || this.#decide(cause) !== "resume") throw cause;
    const ordinal = this.#ordinals.get(stage) ?? 0;
    this.#ordinals.set(stage, ordinal + 1);
    this.count++;
    const { pipeline, writerId, batchId } = this.#identity;
    const key = `${writerId}/${batchId}/${stage}/${ordinal}`;
    if (this.#known.has(key)) return;
    const error =
      cause instanceof HoldfastError
        ? cause
        : new HoldfastError("OPERATOR_FAILED", cause.message, { cause });
    const offset = block.firstOffset + recordIndex;
    // A copy: the block's buffer is used again while the letter waits.
    const bytes = copyOf(block, recordIndex);
    const letter = {
      key,
      unit: pipeline,
      stage,
      code: error.code,
      message: error.message,
      receiver: block.receiver,
      offset,
      bytes,
    };
    this.#waiting.push({ letter, error, offset });
  }

  /** Makes durable what waits; the letters that were new. */
  async flush(): Promise<readonly SetAside[]> {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (waiting.length > 0) await this.#store.add(waiting.map(({ letter }) => letter));
    for (const { letter } of waiting) this.#known.add(letter.key);
    return waiting;
  }
}

/** Errors that no record is to blame for: setting records aside would only hide them. */
function stops(cause: Error): boolean {
  return cause instanceof HoldfastError && cause.code === "SCHEMA_ASYNC";
}
