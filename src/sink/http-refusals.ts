/**
 * Tells rows that are wrong from a server or a format that is: single rows may be set aside, a flood of them not.
 */
import { HoldfastError } from "../errors.ts";

/** The share is judged whenever so many rows have been; as pipelines judge their dead letters. */
const ROWS_MIN = 100;
/** A larger share of refused rows is not the rows' own fault. */
const SHARE_MAX = 0.5;

/** Counts over batches, so that many small ones cannot drain a week of records into the dead letters. */
export class RefusedShare {
  readonly #sink: string;
  #rowCount = 0;
  #refusedCount = 0;
  #last: HoldfastError | undefined;

  constructor(sink: string) {
    this.#sink = sink;
  }

  /** The server took so many rows. @throws SINK_REFUSED */
  taken(rowCount: number): void {
    this.#rowCount += rowCount;
    this.#judge();
  }

  /** It refused one that came alone. @throws SINK_REFUSED */
  refused(cause: HoldfastError): void {
    this.#rowCount++;
    this.#refusedCount++;
    this.#last = cause;
    this.#judge();
  }

  #judge(): void {
    if (this.#rowCount < ROWS_MIN) return;
    const [rows, refused] = [this.#rowCount, this.#refusedCount];
    this.#rowCount = 0;
    this.#refusedCount = 0;
    if (refused <= rows * SHARE_MAX) return;
    throw new HoldfastError(
      "SINK_REFUSED",
      `${this.#sink}: ${refused} of ${rows} rows were refused, the limit is a share of ${SHARE_MAX}; the last one: ${this.#last?.message ?? ""}`,
      { cause: this.#last, fix: "compare rows and format with what the server takes" },
    );
  }
}
