/**
 * The breaker: stops asking somebody who mostly fails, tries a few calls after a while, and waits longer each time.
 *
 *     closed --(failed or slow calls reach their ratio)--> open --(the break is over)--> half-open
 *       ^----------(every try succeeded)------------------------------------------------'   |
 *                                      open, with a longer break <--(one failed or took too long)
 *     any --(isolate)--> isolated --(reset)--> closed
 *
 * Every change of status begins a new generation. A result of an older one changes nothing: a call that was made before
 * the break and fails after it says nothing about now.
 */
import type {
  Breaker,
  BreakerEvent,
  BreakerOptions,
  BreakerState,
  BreakerStatus,
} from "../contract/breaker.ts";
import { HoldfastError, toError } from "../errors.ts";
import type { Cancel } from "../host/clock.ts";
import { delayMs } from "../../supervisors/backoff.ts";
import { type ResolvedBreakerOptions, resolveBreakerOptions } from "./breaker-options.ts";
import { countOutcomes, isTooBad, type Outcomes, recentOutcomes } from "./breaker-window.ts";
import { type Tell, telling } from "./telling.ts";

/** Makes a breaker, closed. @throws CONFIG_OUT_OF_RANGE */
export function createBreaker(options: BreakerOptions): Breaker {
  return new SlidingBreaker(resolveBreakerOptions(options));
}

/** A call that was let through. */
interface Permit {
  readonly generation: number;
  readonly startMs: number;
  isSettled: boolean;
}

class SlidingBreaker implements Breaker {
  readonly #options: ResolvedBreakerOptions;
  readonly #tell: Tell<BreakerEvent, "breaker">;
  #status: BreakerStatus = "closed";
  #generation = 0;
  #outcomes: Outcomes = [];
  /** What the status came from, for who is refused. */
  #why = "";
  /** Breaks since it was closed for long. */
  #attempt = 0;
  #closedAtMs: number;
  #triesAtMs = 0;
  /** Of the half-open generation, oldest first. */
  #permits: Permit[] = [];
  /** Of this generation: all are cancelled at its end. */
  #timers: Cancel[] = [];

  constructor(options: ResolvedBreakerOptions) {
    this.#options = options;
    this.#tell = telling<BreakerEvent, "breaker">({ breaker: options.name }, options.onEvent);
    this.#closedAtMs = options.clock.monotonicMs();
  }

  async run<R>(call: () => Promise<R>): Promise<R> {
    const permit = this.#admit();
    try {
      const result = await call();
      this.#settle(permit, false);
      return result;
    } catch (thrown) {
      this.#settle(permit, this.#isFailure(toError(thrown)));
      throw thrown;
    }
  }

  isolate(): void {
    if (this.#status === "isolated") return;
    this.#why = "by hand";
    this.#become("isolated");
  }

  reset(): void {
    this.#attempt = 0;
    this.#closeAgain();
  }

  state(): BreakerState {
    const { name, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const recent = recentOutcomes(this.#outcomes, nowMs, this.#options);
    return {
      breaker: name,
      status: this.#status,
      generation: this.#generation,
      ...countOutcomes(recent),
      triesInMs: this.#status === "open" ? Math.max(0, this.#triesAtMs - nowMs) : undefined,
    };
  }

  close(): void {
    this.#cancelTimers();
  }

  #admit(): Permit {
    const { clock, probesMax } = this.#options;
    const isAdmitted =
      this.#status === "closed" ||
      (this.#status === "half-open" && this.#permits.length < probesMax);
    if (!isAdmitted) throw this.#rejection();
    const permit: Permit = {
      generation: this.#generation,
      startMs: clock.monotonicMs(),
      isSettled: false,
    };
    if (this.#status === "half-open") this.#watch(permit);
    return permit;
  }

  #rejection(): HoldfastError {
    this.#tell({ kind: "rejected" });
    const { breaker, status, triesInMs } = this.state();
    const until = triesInMs === undefined ? "" : `, tried again in ${Math.ceil(triesInMs)} ms`;
    return new HoldfastError("BREAKER_OPEN", `${breaker} is ${status}: ${this.#why}${until}`, {
      fix: status === "isolated" ? "reset the breaker" : "",
    });
  }

  /** A try has its own deadline; it cannot keep the breaker half-open. */
  #watch(permit: Permit): void {
    const { clock, probeDeadlineMs } = this.#options;
    this.#permits.push(permit);
    this.#timers.push(
      clock.after(probeDeadlineMs, () => {
        if (!permit.isSettled) return this.#open(`a try took more than ${probeDeadlineMs} ms`);
        // All that tried have succeeded, and nobody else came to try.
        if (this.#permits.at(-1) === permit) this.#closeAgain();
      }),
    );
  }

  #settle(permit: Permit, isFailed: boolean): void {
    permit.isSettled = true;
    if (permit.generation !== this.#generation) return;
    const nowMs = this.#options.clock.monotonicMs();
    const isSlow = nowMs - permit.startMs > this.#options.slowAfterMs;
    if (this.#status === "half-open") return this.#settleTry(isFailed || isSlow);
    this.#outcomes = recentOutcomes(
      [...this.#outcomes, { atMs: nowMs, isFailed, isSlow }],
      nowMs,
      this.#options,
    );
    const count = countOutcomes(this.#outcomes);
    if (isTooBad(count, this.#options))
      this.#open(`${count.failed} of ${count.calls} calls failed, ${count.slow} were slow`);
  }

  #settleTry(isBad: boolean): void {
    if (isBad) return this.#open("a try failed");
    const isThrough =
      this.#permits.length === this.#options.probesMax &&
      this.#permits.every(({ isSettled }) => isSettled);
    if (isThrough) this.#closeAgain();
  }

  #open(why: string): void {
    this.#why = why;
    const { clock, random, breaks, probesMax } = this.#options;
    const nowMs = clock.monotonicMs();
    if (this.#status === "closed" && nowMs - this.#closedAtMs >= breaks.resetAfterMs)
      this.#attempt = 0;
    const breakMs = delayMs(breaks, this.#attempt, random.next());
    this.#attempt++;
    this.#triesAtMs = nowMs + breakMs;
    this.#become("open", breakMs);
    this.#timers.push(
      clock.after(breakMs, () => {
        this.#why = `${probesMax} calls may try`;
        this.#become("half-open");
      }),
    );
  }

  #closeAgain(): void {
    this.#outcomes = [];
    this.#closedAtMs = this.#options.clock.monotonicMs();
    this.#become("closed");
  }

  #become(status: BreakerStatus, breakMs?: number): void {
    this.#cancelTimers();
    this.#permits = [];
    this.#status = status;
    this.#generation++;
    this.#tell({ kind: "status", status, generation: this.#generation, breakMs });
  }

  #cancelTimers(): void {
    for (const cancel of this.#timers.splice(0)) cancel();
  }

  #isFailure(error: Error): boolean {
    try {
      return this.#options.isFailure(error);
    } catch {
      // Who cannot judge it has not shown that it is harmless.
      return true;
    }
  }
}
