import type { Clock } from "../host/clock.ts";

/** Wall time, asked once per turn of the event loop: asking costs as much as taking a small record. */
export class TurnClock {
  readonly #clock: Pick<Clock, "wallMs">;
  #nowMs: number | undefined;
  readonly #end = (): void => {
    this.#nowMs = undefined;
  };

  constructor(clock: Pick<Clock, "wallMs">) {
    this.#clock = clock;
  }

  wallMs(): number {
    if (this.#nowMs === undefined) {
      this.#nowMs = this.#clock.wallMs();
      queueMicrotask(this.#end);
    }
    return this.#nowMs;
  }
}
