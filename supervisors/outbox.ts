/**
 * Calls to the outside, in order and never in the middle of a change: a listener that stops or restarts a unit must
 * not find it half way from one state to the next.
 */
export class Outbox {
  #calls: (() => void)[] = [];

  /** Makes the call in a microtask. What it throws changes nothing: listeners are bystanders. */
  post(call: () => void): void {
    this.#calls.push(call);
    if (this.#calls.length === 1) queueMicrotask(() => this.#deliver());
  }

  #deliver(): void {
    const calls = this.#calls;
    this.#calls = [];
    for (const call of calls) {
      try {
        call();
      } catch {
        // There is nobody left to tell: whoever would hear of it is who threw.
      }
    }
  }
}
