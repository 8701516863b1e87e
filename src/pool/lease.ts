/**
 * The holder's side of a lease.
 */
import type { Lease } from "../contract/pool.ts";
import type { Holding } from "./holding.ts";

/** What a lease tells its pool. */
export interface LeaseOwner {
  /** `isSound`: nothing is known against the connection. */
  readonly giveBack: (isSound: boolean) => void;
  readonly poison: (cause: unknown) => void;
}

/** See {@link Lease}. Once it is over, nothing it is told has an effect. */
export class PooledLease<C> implements Lease<C> {
  readonly connection: C;
  readonly #holding: Holding;
  readonly #owner: LeaseOwner;

  constructor(connection: C, holding: Holding, owner: LeaseOwner) {
    this.connection = connection;
    this.#holding = holding;
    this.#owner = owner;
  }

  get signal(): AbortSignal {
    return this.#holding.signal;
  }

  pending(): () => void {
    return this.#holding.pending();
  }

  poison(cause: unknown): void {
    if (!this.#holding.isOver) this.#owner.poison(cause);
  }

  release(): void {
    this.#giveBack(true);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    return Promise.resolve();
  }

  /** Runs one call with the connection; ends when the call does or when the connection is taken away. */
  run<R>(use: (connection: C, lease: Lease<C>) => Promise<R>): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#holding.watchWhole(reject);
      if (!this.#holding.isOver) this.#use(use).then(resolve, reject);
    });
  }

  async #use<R>(use: (connection: C, lease: Lease<C>) => Promise<R>): Promise<R> {
    let isSound = false;
    try {
      const result = await use(this.connection, this);
      isSound = true;
      return result;
    } finally {
      this.#giveBack(isSound);
    }
  }

  #giveBack(isSound: boolean): void {
    if (this.#holding.isOver) return;
    this.#holding.answerWhole();
    this.#owner.giveBack(isSound);
  }
}
