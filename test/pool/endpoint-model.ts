import type { PoolEvent } from "../../src/contract/pool.ts";

/** Half of each delay is fixed: the shortest wait before probe k since the last success. */
const PROBE_MS_MIN = [125, 250, 500, 1_000, 2_000, 2_500];

/** Invariants 17 and 18 of one endpoint, by the order of events. */
export class EndpointModel {
  #status = "up";
  /** Connects that may be in flight: one more with each success. */
  #allowed = 1;
  #inFlight = 0;
  #probes = 0;
  /** By hand a parked endpoint may be probed at once. */
  #isProbeFree = false;
  #lastMs = -Infinity;

  /** What is wrong about this event, or undefined. */
  note(event: PoolEvent, nowMs: number, connectionsMax: number): string | undefined {
    if (event.kind === "connect-started") return this.#start(nowMs);
    if (event.kind === "connect-failed") this.#inFlight--;
    if (event.kind === "endpoint")
      this.#become(event.status, event.error === undefined ? -Infinity : nowMs);
    if (event.kind === "connected") {
      if (!event.isLate) this.#inFlight--;
      this.#allowed = Math.min(connectionsMax, this.#allowed + 1);
      this.#probes = 0;
    }
    return undefined;
  }

  #become(status: string, nowMs: number): void {
    this.#isProbeFree = this.#status === "parked" && status === "down";
    // The success that leads here makes it 1.
    if (status === "recovering") this.#allowed = 0;
    if (status === "down") this.#lastMs = nowMs;
    this.#status = status;
  }

  #start(nowMs: number): string | undefined {
    this.#inFlight++;
    if (this.#status === "parked") return "a connect while parked";
    if (this.#status !== "down")
      return this.#inFlight > this.#allowed
        ? `${this.#inFlight} connects, allowed ${this.#allowed}`
        : undefined;
    if (this.#inFlight > 1) return `${this.#inFlight} connects while down`;
    const gapMs = nowMs - this.#lastMs;
    const leastMs = PROBE_MS_MIN[Math.min(this.#probes, PROBE_MS_MIN.length - 1)] ?? 0;
    const isTooEarly = !this.#isProbeFree && gapMs < leastMs;
    this.#lastMs = nowMs;
    if (!this.#isProbeFree) this.#probes++;
    this.#isProbeFree = false;
    return isTooEarly ? `probe ${this.#probes} after ${gapMs} of ${leastMs} ms` : undefined;
  }
}
