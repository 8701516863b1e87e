/**
 * Connects for one owner that keeps its connections itself, a receiver over all its incarnations: each endpoint has one
 * governor, so whoever is restarted again and again does not storm what it connects to.
 */
import { toError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { Random } from "../host/random.ts";
import { type Attempt, Governor, type Stamp } from "./governor.ts";
import { stalled } from "./pool-errors.ts";
import { Waiters } from "./waiters.ts";

/** What a dialer works with. */
export interface DialerParts {
  readonly clock: Clock;
  readonly random: Random;
}

/** An endpoint and who waits for a turn to connect to it. */
interface Line {
  readonly governor: Governor;
  readonly waiters: Waiters<Attempt>;
  /** When it connected last. */
  stamp: Stamp;
}

/** Connects in flight to one endpoint. */
const CONNECTS_MAX = 16;
/** Longest wait for a turn: several probes. */
const TURN_MS_MAX = 60_000;
/** Endpoints that are remembered; the one that was new longest ago is forgotten first. */
const LINES_MAX = 64;

/** See the file's head. */
export class Dialer {
  readonly #parts: DialerParts;
  readonly #lines = new Map<string, Line>();

  constructor(parts: DialerParts) {
    this.#parts = parts;
  }

  /**
   * Connects when it is time to: at once while the endpoint is up, at its next probe while it is down. Rejects with
   * what `connect` throws, with the signal's reason, and with CONNECTION_STALLED when no turn came within a minute.
   */
  async dial<C>(address: string, signal: AbortSignal, connect: () => Promise<C>): Promise<C> {
    signal.throwIfAborted();
    const line = this.#line(address);
    const turn = line.waiters.add({
      signal,
      deadlineMs: TURN_MS_MAX,
      expired: () => stalled("turn to connect", TURN_MS_MAX, address),
      grant: (attempt) => attempt,
    });
    serve(line);
    const attempt = await turn;
    try {
      const connection = await connect();
      line.governor.end(attempt);
      line.stamp = line.governor.connected();
      return connection;
    } catch (thrown) {
      line.governor.end(attempt);
      // An owner that was stopped says nothing about the endpoint.
      if (!signal.aborted) line.governor.refused(attempt, toError(thrown));
      throw thrown;
    } finally {
      serve(line);
    }
  }

  /** What was connected last works: data came, or went. */
  proved(): void {
    for (const { governor, stamp } of this.#lines.values()) governor.proved(stamp);
  }

  /** Ends the timers. */
  close(): void {
    for (const { governor } of this.#lines.values()) governor.close();
  }

  #line(address: string): Line {
    const known = this.#lines.get(address);
    if (known !== undefined) return known;
    const line: Line = {
      waiters: new Waiters(this.#parts.clock),
      stamp: 0,
      governor: new Governor({
        ...this.#parts,
        address,
        connectsMax: CONNECTS_MAX,
        // The owner's supervisor decides what is hopeless.
        isPermanent: () => false,
        changed: () => undefined,
        probeDue: () => serve(line),
      }),
    };
    this.#lines.set(address, line);
    this.#forgetOldest();
    return line;
  }

  #forgetOldest(): void {
    const [oldest] = this.#lines;
    if (oldest === undefined || this.#lines.size <= LINES_MAX) return;
    const [address, { governor, waiters }] = oldest;
    if (waiters.count + governor.connecting > 0) return;
    governor.close();
    this.#lines.delete(address);
  }
}

function serve({ governor, waiters }: Line): void {
  while (waiters.count > 0 && governor.openings > 0) waiters.serve(governor.begin());
}
