/**
 * What a write that goes astray destroys: where it landed, what should have been there, and channels whose names it took.
 */
import type { SimulatedDisk } from "../../../src/testing/disk.ts";
import { ENTRY_TYPE } from "../../../src/wal/entry.ts";
import {
  entriesOnDisk,
  type EntryOnDisk,
  isIn,
  offsetsAt,
  recordsOf,
  type Span,
} from "./entries-on-disk.ts";

/** What was there before a write could go astray, and what was stored since. */
interface Watched {
  readonly entries: readonly EntryOnDisk[];
  readonly damages: number;
  readonly stored: { readonly channel: string; readonly span: Span }[];
}

/** What the world knows of its records. */
export interface Records {
  readonly promised: ReadonlyMap<number, string>;
  readonly released: number;
  readonly channels: readonly string[];
}

/** At most one stray in a world: two that meet may hide each other. */
export class Strays {
  readonly #disk: SimulatedDisk;
  #watched: Watched | undefined;
  #hasStruck = false;
  /** Channels whose names may be lost in both places. */
  readonly #unnamed = new Set<string>();

  constructor(disk: SimulatedDisk) {
    this.#disk = disk;
  }

  get hasStruck(): boolean {
    return this.#hasStruck;
  }

  /** The `nth` write from now on goes astray; nothing when there is or was another. */
  begin(nth: number): void {
    if (this.#watched !== undefined || this.#hasStruck) return;
    const damages = this.#disk.damages().length;
    this.#watched = { entries: entriesOnDisk(this.#disk), damages, stored: [] };
    this.#disk.inject({ what: "misdirected-write", nth });
  }

  end(): void {
    this.#watched = undefined;
  }

  /** Records were acknowledged. What of them is destroyed already: their channel has lost its name. */
  stored(channel: string, span: Span): readonly Span[] {
    this.#watched?.stored.push({ channel, span });
    return this.#unnamed.has(channel) ? [span] : [];
  }

  /** What is destroyed since the last look; undefined when nothing went astray. */
  destroyed({ promised, released, channels }: Records): readonly Span[] | undefined {
    if (this.#watched === undefined) return undefined;
    const { entries: before, damages, stored } = this.#watched;
    const strays = this.#disk.damages().slice(damages);
    const after = entriesOnDisk(this.#disk);
    this.#watched = { entries: after, damages: damages + strays.length, stored: [] };
    if (strays.length === 0) return undefined;
    this.#hasStruck = true;
    // Where it landed it will be overwritten by what belongs there.
    const destroyed = strays.flatMap((stray) => offsetsAt(after, stray));
    const isWhole = ({ path, position }: EntryOnDisk): boolean =>
      after.some((entry) => entry.path === path && entry.position === position);
    const lost = before.filter((entry) => !isWhole(entry));
    destroyed.push(...recordsOf(lost));
    // Long enough for both copies of a name: then all records of that channel in this file are nobody's.
    if (lost.some(({ header }) => header.type === ENTRY_TYPE.names)) {
      for (const channel of channels) this.#unnamed.add(channel);
      destroyed.push(...recordsOf(after.filter(({ path }) => path === strays[0]?.path)));
    }
    // What was acknowledged and is nowhere.
    const whole = recordsOf(after);
    for (const offset of promised.keys())
      if (offset >= released && !isIn(offset, whole))
        destroyed.push({ from: offset, to: offset + 1 });
    // It may have hit both copies of a name: then the channel's records are there and nobody's.
    for (const { channel, span } of stored) {
      this.#unnamed.add(channel);
      destroyed.push(span);
    }
    return destroyed;
  }
}
