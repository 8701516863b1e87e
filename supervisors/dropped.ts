/**
 * Messages that were accepted and are not handled to their end: told with the messages and the reason, never only
 * counted. Drops that follow each other for one reason share an event, so that a flood costs a push each.
 */
import type { DropReason, UnitEvent } from "../src/contract/unit.ts";

/** Messages in one event. Of a flood in one turn the first are shown, all are counted. */
export const DROPPED_SHOWN_MAX = 1_024;

type Told = Extract<UnitEvent, { kind: "message-dropped" }>;
interface Open {
  readonly epoch: number;
  readonly why: DropReason;
  readonly messages: unknown[];
  count: number;
}

/** See the file's head. */
export class Dropped {
  readonly #unit: string;
  readonly #emit: (event: () => UnitEvent) => void;
  #open: Open | undefined;

  /** @param emit - takes what makes the event: it is asked when the event is delivered */
  constructor(unit: string, emit: (event: () => UnitEvent) => void) {
    this.#unit = unit;
    this.#emit = emit;
  }

  add(epoch: number, why: DropReason, message: unknown): void {
    const open = this.#open;
    if (open?.epoch !== epoch || open.why !== why) return this.#begin(epoch, why, [message]);
    open.count++;
    if (open.messages.length < DROPPED_SHOWN_MAX) open.messages.push(message);
  }

  /** All of these, in as many events as it takes. */
  addAll(epoch: number, why: DropReason, messages: readonly unknown[]): void {
    for (let from = 0; from < messages.length; from += DROPPED_SHOWN_MAX)
      this.#begin(epoch, why, messages.slice(from, from + DROPPED_SHOWN_MAX));
    this.seal();
  }

  /** Something else is told: what is dropped after it is told after it. */
  seal(): void {
    this.#open = undefined;
  }

  #begin(epoch: number, why: DropReason, messages: unknown[]): void {
    const begun: Open = { epoch, why, messages, count: messages.length };
    this.#open = begun;
    this.#emit((): Told => {
      if (this.#open === begun) this.#open = undefined;
      const { count } = begun;
      return { kind: "message-dropped", unit: this.#unit, epoch, why, count, messages };
    });
  }
}
