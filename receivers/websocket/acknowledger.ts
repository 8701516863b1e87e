/**
 * One acknowledgement for all that one group commit stored of a connection.
 */

/** Something that tells what of it is on disk. */
export interface Acknowledged {
  acknowledge(): void;
}

/** Calls each connection once for all blocks that resolve in one go. */
export class Acknowledger {
  readonly #guard: (work: () => void) => () => void;
  readonly #due = new Set<Acknowledged>();

  /** `guard` wraps what is called later. */
  constructor(guard: (work: () => void) => () => void) {
    this.#guard = guard;
  }

  soon(connection: Acknowledged): void {
    // Blocks of one group commit resolve in one go; this runs after the last of them.
    if (this.#due.size === 0) queueMicrotask(this.#guard(() => this.#acknowledge()));
    this.#due.add(connection);
  }

  #acknowledge(): void {
    const resolved = [...this.#due];
    this.#due.clear();
    for (const connection of resolved) connection.acknowledge();
  }
}
