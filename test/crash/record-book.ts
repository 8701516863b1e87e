/**
 * What the clients sent and what was acknowledged to them.
 */

interface CountWaiter {
  readonly count: number;
  resolve(): void;
}

/** Every record of a run by its id. Each id is sent once; a broken connection leaves its ids undecided for ever. */
export class RecordBook {
  readonly #acknowledged = new Set<string>();
  readonly #sent = new Set<string>();
  readonly #problems: string[] = [];
  readonly #waiters = new Set<CountWaiter>();

  /** Ids that were given to a socket, acknowledged or not. */
  get sent(): ReadonlySet<string> {
    return this.#sent;
  }

  get acknowledged(): ReadonlySet<string> {
    return this.#acknowledged;
  }

  /** Answers that break the protocol: they fail the run like a lost record does. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** A record of a new id, as one line of JSON without its newline. */
  write(id: string, filler: number): string {
    if (this.#sent.has(id)) throw new Error(`id ${id} was sent before`);
    this.#sent.add(id);
    const device = `crash-${id.length % 3}`;
    return JSON.stringify({
      id,
      device,
      temperature: 20 + (filler % 10),
      note: "x".repeat(filler),
    });
  }

  acknowledge(ids: readonly string[]): void {
    for (const id of ids) this.#acknowledged.add(id);
    for (const waiter of this.#waiters)
      if (this.#acknowledged.size >= waiter.count) {
        this.#waiters.delete(waiter);
        waiter.resolve();
      }
  }

  problem(text: string): void {
    this.#problems.push(text);
  }

  /** Resolves when `more` further records are acknowledged. */
  acknowledgedMore(more: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.add({ count: this.#acknowledged.size + more, resolve });
    });
  }
}
