/**
 * A fleet of gateways whose sink goes away for a while: who connects when, and how soon everybody is back. All of
 * them are pools of ours on one virtual clock, so that a seed gives the same figures on every machine.
 */
import type { Connector, Pool } from "../../src/contract/pool.ts";
import { createPool } from "../../src/pool/pool.ts";
import { createSeededRandom, type SeededRandom, VirtualClock } from "../../src/testing/index.ts";
import { quantile } from "../statistics.ts";

/** What is simulated. Durations in milliseconds. */
export interface Outage {
  readonly gateways: number;
  readonly connectionsMax: number;
  /** Callers of each gateway; each writes, pauses for about a second and writes again. */
  readonly callers: number;
  readonly outageMs: number;
  /** `refusing`: the server's machine is there and the server is not. `silent`: nothing answers any more. */
  readonly away: "refusing" | "silent";
  readonly seed: number;
}

/** What came of it. */
export interface OutageFigures {
  /** Connects of one gateway while the sink was away: of the most eager one, and of the middle one. */
  readonly connectsMost: number;
  readonly connectsMedian: number;
  /** Most connects of the fleet in 100 ms while the sink was away, without the first second. */
  readonly peakAway: number;
  /** Most connects of the fleet in 100 ms after the return. */
  readonly peakBack: number;
  /** The same for the first connect of each gateway alone. */
  readonly peakFirst: number;
  /** From the return to the first write that came through. */
  readonly backP50Ms: number;
  readonly backP99Ms: number;
  readonly backMostMs: number;
}

/** Healthy time before the outage, and after its end at most until everybody is back. */
const WARM_UP_MS = 3_000;
const RETURN_MS_MAX = 60_000;
const ROUND_TRIP_MS = 2;
const PAUSE_MS = 1_000;
const WINDOW_MS = 100;

/** A connection of a gateway. */
interface SinkConnection {
  readonly broke: (cause: unknown) => void;
}

/** The sink that all gateways share. */
class Sink {
  readonly #clock: VirtualClock;
  readonly #away: Outage["away"];
  readonly #open = new Set<SinkConnection>();
  #isThere = true;

  constructor(clock: VirtualClock, away: Outage["away"]) {
    this.#clock = clock;
    this.#away = away;
  }

  /** As one gateway connects to it. */
  connector(began: () => void): Connector<SinkConnection> {
    return {
      connect: async (_address, signal, broke) => {
        began();
        await this.answer(signal);
        const connection = { broke };
        this.#open.add(connection);
        return connection;
      },
      check: (_connection, signal) => this.answer(signal),
      destroy: (connection) => void this.#open.delete(connection),
    };
  }

  /** One round trip. What is on its way when the sink leaves or returns is lost with a silent one. */
  async answer(signal: AbortSignal): Promise<void> {
    const isHeard = this.#isThere;
    if (!isHeard && this.#away === "silent") await never(signal);
    await this.#clock.sleep(ROUND_TRIP_MS, signal);
    if (this.#isThere && isHeard) return;
    if (this.#away === "silent") await never(signal);
    throw new Error("refused");
  }

  leave(): void {
    this.#isThere = false;
    if (this.#away === "refusing") for (const { broke } of this.#open) broke(new Error("reset"));
  }

  return(): void {
    this.#isThere = true;
  }
}

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
  );
}

/** A gateway: its pool, its callers, and when it connected. */
class Gateway {
  readonly connectsMs: number[] = [];
  readonly pool: Pool<SinkConnection>;
  readonly #clock: VirtualClock;
  readonly #sink: Sink;
  /** Writes that began later than this and came through end the callers. */
  #returnedMs = Infinity;
  backMs: number | undefined;

  constructor(sink: Sink, clock: VirtualClock, random: SeededRandom, connectionsMax: number) {
    this.#clock = clock;
    this.#sink = sink;
    this.pool = createPool({
      name: "sink",
      addresses: ["sink"],
      connector: sink.connector(() => this.connectsMs.push(clock.monotonicMs())),
      connectionsMax,
      clock,
      random,
    });
  }

  /** Writes and pauses until a write comes through after the return. */
  async call(random: SeededRandom): Promise<void> {
    const end = new AbortController().signal;
    await this.#clock.sleep(random.next() * PAUSE_MS, end);
    while (!(await this.#write())) await this.#clock.sleep((0.5 + random.next()) * PAUSE_MS, end);
  }

  returned(): void {
    this.#returnedMs = this.#clock.monotonicMs();
  }

  async #write(): Promise<boolean> {
    try {
      await this.pool.with((_, { signal }) => this.#sink.answer(signal));
    } catch {
      return false;
    }
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#returnedMs) return false;
    this.backMs ??= nowMs - this.#returnedMs;
    return true;
  }
}

/** Simulates an outage. Throws when a gateway is not back a minute after its end. */
export async function simulateOutage(outage: Outage): Promise<OutageFigures> {
  const clock = new VirtualClock();
  const sink = new Sink(clock, outage.away);
  const gateways = Array.from({ length: outage.gateways }, (_, index) => {
    const random = createSeededRandom(outage.seed * outage.gateways + index);
    const gateway = new Gateway(sink, clock, random, outage.connectionsMax);
    for (let count = 0; count < outage.callers; count += 1) void gateway.call(random);
    return gateway;
  });
  await clock.advance(WARM_UP_MS);
  sink.leave();
  await clock.advance(outage.outageMs);
  sink.return();
  for (const gateway of gateways) gateway.returned();
  const returnMs = clock.monotonicMs();
  while (gateways.some(({ backMs }) => backMs === undefined)) {
    if (clock.monotonicMs() - returnMs > RETURN_MS_MAX)
      throw new Error(`a gateway is not back ${RETURN_MS_MAX} ms after the return`);
    await clock.advance(WINDOW_MS);
  }
  await clock.advance(PAUSE_MS * 2);
  const figures = figuresOf(gateways, returnMs - outage.outageMs, returnMs);
  const closed = Promise.all(gateways.map(({ pool }) => pool.close(0)));
  await clock.advance(PAUSE_MS);
  await closed;
  return figures;
}

function figuresOf(gateways: readonly Gateway[], awayMs: number, returnMs: number): OutageFigures {
  const between = (fromMs: number, toMs: number): readonly (readonly number[])[] =>
    gateways.map(({ connectsMs }) => connectsMs.filter((atMs) => atMs >= fromMs && atMs < toMs));
  const counts = sorted(between(awayMs, returnMs).map(({ length }) => length));
  const after = between(returnMs, Infinity);
  const backMs = sorted(gateways.flatMap((gateway) => gateway.backMs ?? []));
  return {
    connectsMost: quantile(counts, 1),
    connectsMedian: quantile(counts, 0.5),
    peakAway: peak(between(awayMs + 1_000, returnMs).flat()),
    peakBack: peak(after.flat()),
    peakFirst: peak(after.flatMap(([first]) => first ?? [])),
    backP50Ms: quantile(backMs, 0.5),
    backP99Ms: quantile(backMs, 0.99),
    backMostMs: quantile(backMs, 1),
  };
}

/** Most of these moments in any 100 ms. */
function peak(momentsMs: readonly number[]): number {
  const ordered = sorted(momentsMs);
  let most = 0;
  let first = 0;
  for (const [index, atMs] of ordered.entries()) {
    while (atMs - (ordered[first] ?? atMs) >= WINDOW_MS) first += 1;
    most = Math.max(most, index - first + 1);
  }
  return most;
}

function sorted(values: readonly number[]): readonly number[] {
  return values.toSorted((left, right) => left - right);
}
