/**
 * Whether blocks may be handed over: closed while the engine pauses the receiver.
 */

/** Opened again by `resume`, or for good by `end`. */
export class Gate {
  #isPaused = false;
  #isEnded = false;
  #resumed: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;

  get isPaused(): boolean {
    return this.#isPaused && !this.#isEnded;
  }

  /** Nothing is handed over any more; whoever waits goes on and finds that out. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Resolves when it is not paused. */
  get resumed(): Promise<void> {
    return this.#resumed;
  }

  pause(): void {
    if (this.isPaused || this.#isEnded) return;
    this.#isPaused = true;
    this.#resumed = new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  resume(): void {
    this.#isPaused = false;
    this.#wake();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }
}
