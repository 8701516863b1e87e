import type { UnitContext } from "../../src/contract/unit.ts";

/** A unit whose supervisor is the test. */
export class Unit implements UnitContext {
  readonly path = "receivers/meters";
  readonly epoch: number;
  readonly abort: AbortController = new AbortController();
  readonly signal: AbortSignal = this.abort.signal;
  readonly failures: unknown[] = [];
  readonly alive = (): void => undefined;
  readonly watch = (): void => undefined;
  readonly unwatch = (): void => undefined;
  readonly stash = (): void => undefined;
  readonly unstashAll = (): void => undefined;
  readonly #isResumed: boolean;

  constructor(epoch: number, isResumed = false) {
    this.epoch = epoch;
    this.#isResumed = isResumed;
  }

  readonly fail = (cause: unknown): void => {
    this.failures.push(cause);
    if (!this.#isResumed) this.abort.abort(cause);
  };
}
