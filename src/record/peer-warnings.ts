/**
 * Lines about peers that are kept out or sent away. Peers choose when and why, so their number is limited.
 */
import type { ReceiverContext } from "../contract/receiver.ts";

/** Each reason is told once in this time, and so many reasons of one code. */
const TOLD_MS = 60_000;
const TOLD_MAX = 4;

interface OfCode {
  readonly reasons: Set<string>;
  untold: number;
}

/** See the file's head. */
export class PeerWarnings {
  readonly #context: Pick<ReceiverContext<unknown>, "clock" | "logger">;
  /** As many as there are codes. */
  readonly #codes = new Map<string, OfCode>();
  #beganMs = -Infinity;

  constructor(context: Pick<ReceiverContext<unknown>, "clock" | "logger">) {
    this.#context = context;
  }

  /** `reason` is what the line says of the connection; `count` in it is how many of the code there were since its last line. */
  warn(peer: string, reason: string, code: string): void {
    const { clock, logger } = this.#context;
    if (clock.monotonicMs() - this.#beganMs >= TOLD_MS) {
      this.#beganMs = clock.monotonicMs();
      for (const { reasons } of this.#codes.values()) reasons.clear();
    }
    const of = this.#codes.get(code) ?? { reasons: new Set<string>(), untold: 0 };
    this.#codes.set(code, of);
    of.untold++;
    // One device with a wrong password must not hide what keeps another one out.
    if (of.reasons.has(reason) || of.reasons.size >= TOLD_MAX) return;
    of.reasons.add(reason);
    logger.warn(`connection of ${peer} ${reason}`, { peer, code, count: of.untold });
    of.untold = 0;
  }
}
