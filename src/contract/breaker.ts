/**
 * Breakers: stop asking somebody who mostly fails. Types only; `src/pool/breaker.ts` carries them out.
 */
import type { Clock } from "../host/clock.ts";
import type { Random } from "../host/random.ts";
import type { Backoff } from "./unit.ts";

/**
 * `closed`: calls pass and are watched. `open`: calls are refused for the break. `half-open`: a few calls may try.
 * `isolated`: by hand, until `reset`.
 */
export type BreakerStatus = "closed" | "open" | "half-open" | "isolated";

/** Options of a breaker. */
export interface BreakerOptions {
  /** Shown in errors and events. */
  readonly name: string;
  /** Only the newest calls count, 1 .. 10,000. @defaultValue 100 */
  readonly windowCalls?: number;
  /** Only calls that ended this recently count, milliseconds above 0. @defaultValue 30,000 */
  readonly windowMs?: number;
  /** Fewer calls than this never open it, 1 .. `windowCalls`. @defaultValue 10 */
  readonly callsMin?: number;
  /** Share of failed calls that opens it, above 0 .. 1. @defaultValue 0.5 */
  readonly failureRatio?: number;
  /** A call that takes longer is slow; milliseconds or Infinity. @defaultValue Infinity */
  readonly slowAfterMs?: number;
  /** Share of slow calls that opens it, above 0 .. 1. @defaultValue 0.5 */
  readonly slowRatio?: number;
  /** Calls that may try while half-open, 1 .. 1,000; all must succeed. @defaultValue 3 */
  readonly probesMax?: number;
  /** A try that takes longer counts as failed, milliseconds above 0, never Infinity. @defaultValue 10,000 */
  readonly probeDeadlineMs?: number;
  /** Length of the breaks. @defaultValue equal jitter 1 s .. 60 s, back to 1 s after 60 s closed */
  readonly breaks?: Backoff;
  /** Which errors count as failures. @defaultValue all of them */
  readonly isFailure?: (error: Error) => boolean;
  /** Called in order, never in the middle of a change; a throw changes nothing. @defaultValue nobody listens */
  readonly onEvent?: (event: BreakerEvent) => void;
  /** @defaultValue the machine's */
  readonly clock?: Clock;
  /** @defaultValue the machine's */
  readonly random?: Random;
}

/** What breakers tell. */
export type BreakerEvent = { readonly breaker: string } & (
  | {
      readonly kind: "status";
      readonly status: BreakerStatus;
      readonly generation: number;
      /** Length of the break, where one begins. */
      readonly breakMs: number | undefined;
    }
  | { readonly kind: "rejected" }
);

/** A breaker at one moment. */
export interface BreakerState {
  readonly breaker: string;
  readonly status: BreakerStatus;
  /** Grows with every change of status: results of an older one change nothing. */
  readonly generation: number;
  /** Calls in the window, and how many of them failed or were slow. */
  readonly calls: number;
  readonly failed: number;
  readonly slow: number;
  /** Until calls may try again, while open. */
  readonly triesInMs: number | undefined;
}

/** Watches calls and refuses them for a while when too many fail. */
export interface Breaker {
  /** Makes the call, or refuses it. Rejects with what the call throws. @throws BREAKER_OPEN */
  run<R>(call: () => Promise<R>): Promise<R>;
  /** Refuses every call until `reset`. */
  isolate(): void;
  /** Closed, as if nothing had ever failed. */
  reset(): void;
  state(): BreakerState;
  /** Ends its timers. */
  close(): void;
}
