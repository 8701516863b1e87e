/**
 * One incarnation of a receiver as its intake sees it: from its opening until it has closed, or has run out of time
 * for that.
 */
import type { ReceiverSession } from "./contract/receiver.ts";
import type { UnitContext } from "./contract/unit.ts";

/** What an intake keeps of an incarnation. */
export class ReceiverLife {
  readonly unit: UnitContext;
  /** Resolves when it has closed, or its time for that is over. What it held is stored by then, or given up. */
  readonly over: Promise<void>;
  /** The epoch for which its blocks are refused, whether the log could be told or not. */
  fencedBy: number | undefined;
  connectionCount = 0;
  #session: ReceiverSession | undefined;
  #isClosing = false;
  #end: () => void = () => undefined;

  constructor(unit: UnitContext) {
    this.unit = unit;
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** It is open. */
  begin(session: ReceiverSession): void {
    this.#session = session;
  }

  /** It did not open, so there is nothing to wait for. Should it open after all, it is only to be closed. */
  abandon(): void {
    this.#end();
  }

  /** There may be something that it has read and holds. */
  get isOpen(): boolean {
    return this.#session !== undefined;
  }

  /** Where it listens, while it is meant to. */
  get address(): ReceiverSession["address"] {
    return this.#isClosing || this.unit.signal.aborted ? undefined : this.#session?.address;
  }

  pause(): void {
    this.#tell((session) => session.pause?.());
  }

  resume(): void {
    this.#tell((session) => session.resume?.());
  }

  async close(signal: AbortSignal): Promise<void> {
    this.#isClosing = true;
    if (signal.aborted) this.#end();
    else signal.addEventListener("abort", this.#end, { once: true });
    try {
      await this.#session?.close(signal);
    } finally {
      signal.removeEventListener("abort", this.#end);
      this.#end();
    }
  }

  /** Who calls is the log or a sibling's store: a throw here is none of theirs. */
  #tell(call: (session: ReceiverSession) => void): void {
    try {
      if (this.#session !== undefined) call(this.#session);
    } catch (cause) {
      this.unit.fail(cause);
    }
  }
}
