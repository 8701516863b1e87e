/**
 * Gathers what is wrong with a configuration, so that one run reports all of it.
 */
import { type Code, type FilePlace, HoldfastError } from "../errors.ts";

/** Most problems that are kept; the rest is counted. */
export const PROBLEMS_MAX = 20;

/** Problems in the order of their places in the file. */
export interface ProblemReport {
  readonly problems: readonly HoldfastError[];
  /** How many more there were beyond {@link PROBLEMS_MAX}. */
  readonly omittedCount: number;
}

/** Collects problems of one file. */
export class Problems {
  readonly #found: HoldfastError[] = [];
  #omittedCount = 0;

  /** Number of problems so far, also of those that are not kept. */
  get count(): number {
    return this.#found.length + this.#omittedCount;
  }

  /** Adds a problem; `fix` is one thing to type, "" for none. */
  add(code: Code, message: string, at: FilePlace, fix = ""): void {
    this.addError(new HoldfastError(code, message, { at, fix }));
  }

  /** Adds a problem that is an error already. */
  addError(error: HoldfastError): void {
    if (this.#found.length < PROBLEMS_MAX) this.#found.push(error);
    else this.#omittedCount++;
  }

  /** What was found, sorted by place. */
  report(): ProblemReport {
    return { problems: this.#found.toSorted(byPlace), omittedCount: this.#omittedCount };
  }
}

function byPlace(a: HoldfastError, b: HoldfastError): number {
  return (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0);
}
