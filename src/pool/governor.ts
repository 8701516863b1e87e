/**
 * The connect governor of one endpoint: how many connects may be in flight, whoever waits.
 *
 *     up --(2 failures in a row)--> down --(probe connects)--> recovering --(proof)--> up
 *                                    ^------(any failure)----------'
 *     any --(permanent error)--> parked --(resume)--> down, with a probe at once
 *
 * Connects in flight start at 1, and each success allows one more, which makes rounds of 1, 2, 4, 8 as in TCP's slow
 * start (RFC 5681, 3.1): after the start as well as after an outage, for the first-connect storm and the recovery storm
 * are two things. A connection proves itself when it comes back from a lease
 * in good order or passes a check; until then its early end counts as a failed connect. An endpoint that accepts and
 * then kicks is down, however often it accepts.
 */
import type { EndpointState, EndpointStatus } from "../contract/pool.ts";
import type { Backoff } from "../contract/unit.ts";
import type { Cancel, Clock } from "../host/clock.ts";
import type { Random } from "../host/random.ts";
import { delayMs, equalJitter } from "../../supervisors/backoff.ts";

/** Failed connects or checks in a row that bring an endpoint down. */
const FAILURES_MAX = 2;

/** Connects past their deadline that may be outstanding: a connector that ignores its signal holds something for each. */
const LATE_CONNECTS_MAX = 16;

/**
 * Delays between probes. Their attempts count on until the endpoint was up for `resetAfterMs`. A little more than 5 s: in
 * a simulated fleet of 1,000 whose store was away for a minute, 5,000 let 5.1 % back in one tenth of a second with one
 * seed of five, 5,250 at most 4.2 %, and 99 % are back within 4.9 s (`npm run bench -- fleet`).
 */
export const PROBE_BACKOFF: Backoff = equalJitter({
  minMs: 250,
  maxMs: 5_250,
  resetAfterMs: 30_000,
});

/** What a governor works with. */
export interface GovernorParts {
  readonly address: string;
  /** Connects that may ever be in flight at once. */
  readonly connectsMax: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly isPermanent: (error: Error) => boolean;
  /** The status is another. */
  readonly changed: (status: EndpointStatus, error: Error | undefined) => void;
  /** A probe may start now. */
  readonly probeDue: () => void;
}

/** Moments in a governor's life, in order: later than any clock could tell. */
export type Stamp = number;

/** A connect in flight. */
export interface Attempt {
  readonly stamp: Stamp;
  isOver: boolean;
}

/** See the file's head. */
export class Governor {
  readonly #parts: GovernorParts;
  #status: EndpointStatus = "up";
  #connecting = 0;
  #lateConnects = 0;
  /** Connects that may be in flight, unless the endpoint is down. */
  #allowed = 1;
  #failures = 0;
  #attempt = 0;
  #lastError: Error | undefined;
  #stamp: Stamp = 0;
  /** When it failed last, and when it went down. */
  #failureStamp: Stamp = 0;
  #downStamp: Stamp = 0;
  #failedAtMs = -Infinity;
  #upAtMs: number;
  #probeAtMs = 0;
  #isProbeDue = false;
  #cancelProbe: Cancel | undefined;

  constructor(parts: GovernorParts) {
    this.#parts = parts;
    this.#upAtMs = parts.clock.monotonicMs();
  }

  get address(): string {
    return this.#parts.address;
  }

  get status(): EndpointStatus {
    return this.#status;
  }

  /** Whether connections are to be had here. */
  get isUsable(): boolean {
    return this.#status === "up" || this.#status === "recovering";
  }

  get connecting(): number {
    return this.#connecting;
  }

  /** How many connects may start now: when down, the probe that is due. */
  get openings(): number {
    if (this.#lateConnects >= LATE_CONNECTS_MAX) return 0;
    switch (this.#status) {
      case "parked":
        return 0;
      case "down":
        return this.#connecting === 0 && this.#isProbeDue ? 1 : 0;
      case "up":
      case "recovering":
        return Math.max(0, this.#allowed - this.#connecting);
    }
  }

  state(connections: number): EndpointState {
    const nextProbeInMs = this.#probeAtMs - this.#parts.clock.monotonicMs();
    return {
      address: this.address,
      status: this.#status,
      connections,
      connecting: this.#connecting,
      lateConnects: this.#lateConnects,
      failures: this.#failures,
      nextProbeInMs: this.#status === "down" ? Math.max(0, nextProbeInMs) : undefined,
      lastError: this.#lastError,
    };
  }

  /** A connect begins, and has a place until it ends. */
  begin(): Attempt {
    this.#connecting++;
    return { stamp: ++this.#stamp, isOver: false };
  }

  /** Its place is free, or taken by its connection in the same moment: no turn may come between. */
  end(attempt: Attempt): void {
    if (attempt.isOver) return;
    attempt.isOver = true;
    this.#connecting--;
  }

  /** It was given up, and has not ended. */
  abandon(attempt: Attempt): void {
    this.end(attempt);
    this.#lateConnects++;
  }

  /** One that was given up has ended. */
  endLate(): void {
    this.#lateConnects--;
  }

  /** A connection was made; gives its moment, for what it tells later. */
  connected(): Stamp {
    const { connectsMax } = this.#parts;
    this.#allowed = Math.min(connectsMax, this.#isDownOrParked() ? 1 : this.#allowed + 1);
    if (this.#isDownOrParked()) this.#become("recovering");
    else if (this.#status === "recovering" && this.#allowed === connectsMax) this.#rise();
    return ++this.#stamp;
  }

  /** A connection works. It speaks for the endpoint only if it was made after the last failure. */
  proved(stamp: Stamp): void {
    if (stamp <= this.#failureStamp) return;
    this.#failures = 0;
    if (this.#status === "recovering") this.#rise();
  }

  /** A connect has failed. One that began before the endpoint went down tells nothing new, unless it parks it. */
  refused({ stamp }: Attempt, error: Error): void {
    if (this.#status === "parked") return;
    if (this.#parts.isPermanent(error)) this.#park(error);
    else this.disproved(stamp, error);
  }

  /** A connection does not work. One from before the endpoint went down tells nothing new. */
  disproved(stamp: Stamp, error: Error): void {
    if (this.#status === "parked" || stamp <= this.#downStamp) return;
    const nowMs = this.#parts.clock.monotonicMs();
    // Long ago is not in a row.
    if (nowMs - this.#failedAtMs >= PROBE_BACKOFF.resetAfterMs) this.#failures = 0;
    this.#failures++;
    this.#failedAtMs = nowMs;
    this.#failureStamp = ++this.#stamp;
    this.#lastError = error;
    if (this.#status !== "up" || this.#failures >= FAILURES_MAX) this.#fall(error, nowMs);
  }

  /** By hand: parked no more, and a probe may start at once. */
  unpark(): void {
    if (this.#status !== "parked") return;
    this.#isProbeDue = true;
    this.#become("down");
  }

  /** Ends the timer. */
  close(): void {
    this.#cancelProbe?.();
  }

  #isDownOrParked(): boolean {
    return this.#status === "down" || this.#status === "parked";
  }

  #rise(): void {
    this.#upAtMs = this.#parts.clock.monotonicMs();
    this.#become("up");
  }

  #fall(error: Error, nowMs: number): void {
    const { clock, random } = this.#parts;
    if (this.#status === "up" && nowMs - this.#upAtMs >= PROBE_BACKOFF.resetAfterMs)
      this.#attempt = 0;
    const waitMs = delayMs(PROBE_BACKOFF, this.#attempt, random.next());
    this.#attempt++;
    this.#probeAtMs = nowMs + waitMs;
    this.#cancelProbe?.();
    this.#isProbeDue = false;
    // A flag and no comparison of times: a timer may fire a fraction of a millisecond early.
    this.#cancelProbe = clock.after(waitMs, () => {
      this.#isProbeDue = true;
      this.#parts.probeDue();
    });
    this.#downStamp = ++this.#stamp;
    this.#become("down", error);
  }

  #park(error: Error): void {
    this.#cancelProbe?.();
    this.#lastError = error;
    this.#failureStamp = ++this.#stamp;
    this.#downStamp = this.#stamp;
    this.#become("parked", error);
  }

  #become(status: EndpointStatus, error?: Error): void {
    if (this.#status === status) return;
    this.#status = status;
    this.#parts.changed(status, error);
  }
}
