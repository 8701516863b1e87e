/**
 * Which segments exist, which of them nobody needs, and in which order they go: first the floor is
 * a durable fact, then files are touched. A crash in between leaves files that the same fact frees
 * at the next opening.
 */
import type { LogFacts, LogGap, Truncation } from "../contract/log.ts";
import type { Clock } from "../host/clock.ts";
import type { Segment } from "./segment.ts";
import type { SegmentPool } from "./segment-pool.ts";

/** What retention needs. */
export interface RetentionOptions {
  readonly clock: Clock;
  /** Takes the files of freed segments. */
  readonly pool: Pick<SegmentPool, "free">;
  readonly facts: LogFacts;
  readonly keepBytes: number;
  readonly keepMs: number;
  readonly segments: readonly Segment[];
  /** Segments are gone. */
  readonly freed: () => void;
  /** Records nobody has asked to drop are gone. */
  readonly dropped: (gap: LogGap) => void;
}

/** The live segments, oldest first. The newest one always stays: it holds the newest tables. */
export class Retention {
  readonly #options: RetentionOptions;
  #segments: readonly Segment[];
  #released = 0;
  #running: Promise<boolean> | undefined;
  #isClosed = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#segments = options.segments;
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  add(segment: Segment): void {
    this.#segments = [...this.#segments, segment];
  }

  /** The segment with `offset`, or the first one behind it. */
  segmentAt(offset: number): Segment | undefined {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#segments[middle]?.end.offset ?? Infinity) > offset) high = middle;
      else low = middle + 1;
    }
    return this.#segments[low];
  }

  /** Offsets below are needed by nobody. */
  async release(offset: number): Promise<void> {
    this.#released = Math.max(this.#released, offset);
    await this.collect(false);
  }

  /**
   * Frees what may go, `isPressed` also what is only kept while there is room. True when something
   * went.
   */
  async collect(isPressed: boolean): Promise<boolean> {
    while (this.#running !== undefined) await this.#running.catch(() => false);
    const count = this.#isClosed ? 0 : this.#freeCount(isPressed);
    if (count === 0) return false;
    return await this.#alone(() => this.#free(count));
  }

  /** Frees the oldest segment although it may be needed. False when there is none to free. */
  async dropOldest(): Promise<boolean> {
    while (this.#running !== undefined) await this.#running.catch(() => false);
    const [oldest] = this.#segments;
    if (oldest === undefined || this.#segments.length < 2 || oldest.pins > 0 || this.#isClosed)
      return false;
    return await this.#alone(() => this.#drop(1, this.#released));
  }

  /**
   * Frees every whole segment below `offset`, also what is kept while there is room. What someone still
   * needs begins at `neededFrom`; what of that goes is told as dropped.
   */
  async truncate(offset: number, neededFrom: number): Promise<Truncation> {
    while (this.#running !== undefined) await this.#running.catch(() => false);
    const before = this.#segments;
    const above = before.slice(0, -1).findIndex(({ end, pins }) => end.offset > offset || pins > 0);
    const count = above === -1 ? before.length - 1 : above;
    if (count > 0 && !this.#isClosed) await this.#alone(() => this.#drop(count, neededFrom));
    const freed = before.filter((segment) => !this.#segments.includes(segment));
    return {
      oldestOffset: this.#segments[0]?.identity.baseOffset ?? 0,
      freedSegments: freed.length,
      freedBytes: freed.reduce((sum, { identity }) => sum + identity.capacityBytes, 0),
    };
  }

  /**
   * Frees nothing from now on: the directory may soon be another opening's. May be called twice.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#running !== undefined) await this.#running.catch(() => false);
  }

  async #alone(step: () => Promise<boolean>): Promise<boolean> {
    this.#running = step();
    try {
      return await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  /** Frees the oldest segments; the loss of what is needed is a durable fact before the floor is. */
  async #drop(count: number, neededFrom: number): Promise<boolean> {
    const from = Math.max(this.#segments[0]?.identity.baseOffset ?? 0, neededFrom);
    const to = this.#segments[count - 1]?.end.offset ?? 0;
    const gap: LogGap = { from, to, reason: "dropped" };
    const isNeeded = to > from;
    if (isNeeded) await this.#options.facts.addGap(gap);
    const isFreed = await this.#free(count);
    if (isFreed && isNeeded) this.#options.dropped(gap);
    return isFreed;
  }

  #freeCount(isPressed: boolean): number {
    const { clock, keepBytes, keepMs } = this.#options;
    let bytes = this.#segments.reduce((sum, segment) => sum + segment.identity.capacityBytes, 0);
    let count = 0;
    for (const segment of this.#segments.slice(0, -1)) {
      const isFree = segment.end.offset <= this.#released && segment.pins === 0;
      bytes -= segment.identity.capacityBytes;
      const isKept =
        !isPressed && (bytes < keepBytes || clock.wallMs() - segment.lastTimeMs < keepMs);
      if (!isFree || isKept) break;
      count += 1;
    }
    return count;
  }

  async #free(count: number): Promise<boolean> {
    const { facts, freed } = this.#options;
    const going = this.#segments.slice(0, count);
    const first = this.#segments[count];
    if (first === undefined) return false;
    // No reader may enter them from here on, while the floor is on its way to the disk.
    this.#segments = this.#segments.slice(count);
    try {
      await facts.moveFloor({
        segmentId: first.identity.segmentId,
        offset: first.identity.baseOffset,
      });
    } catch (cause) {
      this.#segments = [...going, ...this.#segments];
      throw cause;
    }
    const left = await this.#freeFiles(going);
    this.#segments = [...left, ...this.#segments];
    freed();
    return left.length < count;
  }

  /**
   * Gives files back, oldest first, and returns the segments that are left after the first failure.
   * A younger one must not go while an older one may come back after a power cut: without a ledger
   * that would look like a hole.
   */
  async #freeFiles(going: readonly Segment[]): Promise<readonly Segment[]> {
    for (const [index, segment] of going.entries()) {
      try {
        if ((await this.#options.pool.free(segment)) === "unsynced") return going.slice(index + 1);
      } catch {
        // The file is as it was, counts as before, and is tried again at the next release.
        return going.slice(index);
      }
    }
    return [];
  }
}
