/**
 * What an incarnation hands to its unit.
 */
import type { UnitContext } from "../contract/unit.ts";
import type { Watchable } from "./watches.ts";

/** The incarnation behind a context. */
export interface Life {
  readonly signal: AbortSignal;
  fail(cause: unknown): void;
  alive(): void;
  watch(unit: Watchable): void;
  unwatch(unit: Watchable): void;
  stash(): void;
  unstashAll(): void;
}

/**
 * See the file's head. Each function is made when it is taken, bound to its incarnation: an idle unit among ten
 * thousand pays only for those it uses.
 */
export class IncarnationContext implements UnitContext {
  readonly path: string;
  readonly epoch: number;
  readonly #life: Life;

  constructor(path: string, epoch: number, life: Life) {
    this.path = path;
    this.epoch = epoch;
    this.#life = life;
  }

  get signal(): AbortSignal {
    return this.#life.signal;
  }

  get fail(): UnitContext["fail"] {
    return (cause) => this.#life.fail(cause);
  }

  get alive(): UnitContext["alive"] {
    return () => this.#life.alive();
  }

  get watch(): UnitContext["watch"] {
    return (unit) => this.#life.watch(unit);
  }

  get unwatch(): UnitContext["unwatch"] {
    return (unit) => this.#life.unwatch(unit);
  }

  get stash(): UnitContext["stash"] {
    return () => this.#life.stash();
  }

  get unstashAll(): UnitContext["unstashAll"] {
    return () => this.#life.unstashAll();
  }
}
