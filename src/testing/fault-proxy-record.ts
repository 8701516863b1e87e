/**
 * What a fault proxy did, in order: for tests that wait for it, and for the message of one that fails.
 */
import type { Clock } from "../host/clock.ts";

/** Events that are kept; older ones are counted only. */
const EVENTS_MAX = 1000;

/** The two ends that a proxy stands between. */
export type ProxySide = "client" | "server";

/** One thing that happened. What does not apply is absent. */
export interface ProxyEvent {
  /**
   * - `listening`, `refusing`, `pointed`: the proxy itself, connection 0
   * - `accepted`: a client is there; `connected`: so is its server
   * - `passed`, `swallowed`: bytes that came `from` a side, and went on or did not
   * - `struck`: a fault set in
   * - `ended`: a side sent its end (FIN); `closed`: its socket is gone, with `code` if it broke
   */
  readonly what:
    | "listening"
    | "refusing"
    | "pointed"
    | "accepted"
    | "connected"
    | "passed"
    | "swallowed"
    | "struck"
    | "ended"
    | "closed";
  /** Which connection, from 1 in order of arrival; 0 for the proxy itself. */
  readonly connection: number;
  readonly from?: ProxySide;
  readonly bytes?: number;
  /** Kind of the fault that struck. */
  readonly fault?: string;
  /** Of the system error, such as `ECONNRESET`. */
  readonly code?: string;
}

/** An event fits when it has all of these values. */
export type ProxyEventMatch = Partial<ProxyEvent>;

interface Waiter {
  readonly match: ProxyEventMatch;
  readonly resolve: (event: ProxyEvent) => void;
  readonly reject: (cause: unknown) => void;
}

/** The newest {@link EVENTS_MAX} events of a proxy, and who waits for one. */
export class ProxyRecord {
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #events: { readonly atMs: number; readonly event: ProxyEvent }[] = [];
  readonly #waiters = new Set<Waiter>();
  #forgottenCount = 0;
  #closed: Error | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
  }

  /** Those kept, oldest first. */
  get events(): readonly ProxyEvent[] {
    return this.#events.map(({ event }) => event);
  }

  add(event: ProxyEvent): void {
    if (this.#closed !== undefined) return;
    this.#events.push({ atMs: this.#clock.monotonicMs() - this.#startMs, event });
    if (this.#events.length > EVENTS_MAX) {
      this.#events.shift();
      this.#forgottenCount += 1;
    }
    for (const waiter of this.#waiters)
      if (fits(event, waiter.match)) {
        this.#waiters.delete(waiter);
        waiter.resolve(event);
      }
  }

  /** The first event that fits: one of those kept, or one to come. Rejects with the signal's reason, or at `close`. */
  saw(match: ProxyEventMatch, signal?: AbortSignal): Promise<ProxyEvent> {
    const past = this.#events.find(({ event }) => fits(event, match));
    if (past !== undefined) return Promise.resolve(past.event);
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      const settled = (): void => signal?.removeEventListener("abort", stop);
      const waiter: Waiter = {
        match,
        resolve: (event) => (settled(), resolve(event)),
        reject: (cause) => (settled(), reject(cause)),
      };
      const stop = (): void => {
        this.#waiters.delete(waiter);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", stop, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** Records nothing more; who still waits is told what did happen. */
  close(): void {
    if (this.#closed !== undefined) return;
    const story = this.explain();
    this.#closed = new Error(`the proxy is closed; what it saw:\n${story}`);
    for (const { match, reject } of this.#waiters)
      reject(new Error(`${JSON.stringify(match)} never came; what did:\n${story}`));
    this.#waiters.clear();
  }

  /** A line for each event kept. */
  explain(): string {
    const lines = this.#events.map(({ atMs, event }) => line(atMs, event));
    const forgotten = this.#forgottenCount;
    return [...(forgotten > 0 ? [`(${forgotten} earlier events)`] : []), ...lines].join("\n");
  }
}

function fits(event: ProxyEvent, match: ProxyEventMatch): boolean {
  return Object.entries(match).every(([field, value]) => Reflect.get(event, field) === value);
}

function line(atMs: number, { what, connection, from, bytes, fault, code }: ProxyEvent): string {
  const words = [
    `${atMs.toFixed(1).padStart(9)} ms`,
    connection === 0 ? "proxy" : `#${connection}`,
    what,
    ...(bytes === undefined ? [] : [`${bytes} bytes`]),
    ...(from === undefined ? [] : [`from the ${from}`]),
    ...(fault === undefined ? [] : [`by ${fault}`]),
    ...(code === undefined ? [] : [code]),
  ];
  return words.join(" ");
}
