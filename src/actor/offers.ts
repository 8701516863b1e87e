/**
 * Those who wait for room in a mailbox, first come, first served.
 */
import { HoldfastError } from "../errors.ts";

/** Offers that wait at most, for one unit: whoever has so many senders must bound them elsewhere. */
export const OFFERS_MAX = 1_024;

/** A message whose sender waits. */
export interface Offer<Message> {
  readonly message: Message;
  /** It is in the mailbox. */
  readonly accept: () => void;
  readonly refuse: (reason: unknown) => void;
}

/** See the file's head. */
export class Offers<Message> {
  readonly #waiting = new Set<Offer<Message>>();

  /**
   * Resolves when the message was accepted, and only then. Rejects with the signal's reason when it aborts before, with
   * what `refuse` is given, and at once with BUSY when {@link OFFERS_MAX} wait already.
   */
  wait(message: Message, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (this.#waiting.size === OFFERS_MAX) return reject(tooMany(this.#waiting.size + 1));
      const leave = (): void => {
        this.#waiting.delete(offer);
        signal?.removeEventListener("abort", aborted);
      };
      const aborted = (): void => offer.refuse(signal?.reason);
      const offer: Offer<Message> = {
        message,
        accept: () => {
          leave();
          resolve();
        },
        refuse: (reason) => {
          leave();
          reject(reason);
        },
      };
      this.#waiting.add(offer);
      signal?.addEventListener("abort", aborted, { once: true });
    });
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** The one that has waited longest. It waits until it is accepted. */
  next(): Offer<Message> | undefined {
    const [first] = this.#waiting;
    return first;
  }

  refuse(reason: Error): void {
    for (const offer of this.#waiting) offer.refuse(reason);
  }
}

function tooMany(count: number): HoldfastError {
  return new HoldfastError(
    "BUSY",
    `${count} offers wait for room in a mailbox, allowed are ${OFFERS_MAX}`,
    {
      fix: "await earlier offers first",
    },
  );
}
