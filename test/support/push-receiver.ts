/** A receiver that a test drives by hand: each incarnation hands out its context. */
import type { Receiver, ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";

/** The value and what its incarnations did. */
export class PushReceiver<const Name extends string = string> implements Receiver<Name> {
  readonly kind = "receiver";
  readonly type = "push";
  readonly redelivers = true;
  readonly options: unknown = {};
  readonly common: Receiver["common"];
  readonly name: Name;
  readonly contexts: ReceiverContext<unknown>[] = [];
  readonly calls: string[] = [];
  /** Thrown by the next opens, from the front. */
  readonly failures: Error[] = [];
  #waiting: (() => void)[] = [];

  constructor(name: Name, common: Partial<Receiver["common"]> = {}) {
    this.name = name;
    this.common = { inflightBytesMax: 8 * 1024 * 1024, storeTimeoutMs: 30_000, ...common };
  }

  open(context: ReceiverContext<unknown>): Promise<ReceiverSession> {
    const failure = this.failures.shift();
    if (failure !== undefined) return Promise.reject(failure);
    this.contexts.push(context);
    this.calls.push(`open ${context.epoch}`);
    for (const wake of this.#waiting.splice(0)) wake();
    return Promise.resolve({
      pause: () => void this.calls.push("pause"),
      resume: () => void this.calls.push("resume"),
      close: () => void this.calls.push(`close ${context.epoch}`),
    });
  }

  /** The context of the newest incarnation. */
  get context(): ReceiverContext<unknown> {
    const context = this.contexts.at(-1);
    if (context === undefined) throw new Error(`${this.name} was never opened`);
    return context;
  }

  /** Resolves when incarnation number `count` is open. */
  async opened(count: number): Promise<ReceiverContext<unknown>> {
    while (this.contexts.length < count)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.context;
  }
}
