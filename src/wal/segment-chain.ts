/**
 * The segment that is written and how the next one follows: sealing, tables at the head, and what
 * happens to a segment whose write failed.
 */
import type { LogFacts } from "../contract/log.ts";
import type { Clock } from "../host/clock.ts";
import { closeQuietly } from "./close-quietly.ts";
import type { Channel, ChannelTable } from "./channels.ts";
import { ENTRY_TYPE } from "./entry.ts";
import { ALIGNMENT_BYTES, alignUp, SEGMENT_HEADER_BYTES } from "./format.ts";
import { KEYS_SHARE, type KeyTable } from "./keys.ts";
import type { Segment } from "./segment.ts";
import type { SegmentPool } from "./segment-pool.ts";
import type { EntryStamp, SegmentWriter } from "./segment-writer.ts";
import { encodeHead, type HeadTables, writeHead } from "./segment-head.ts";

/** Each copy of the tables takes at most this share of a segment. */
const TABLE_SHARE = 1 / 8;

/** What the chain needs. */
export interface SegmentChainOptions {
  readonly clock: Clock;
  readonly pool: SegmentPool;
  readonly facts: LogFacts;
  readonly channels: ChannelTable;
  readonly keys: KeyTable;
  readonly epoch: number;
  readonly segmentBytes: number;
  /** A segment that may be appended to: the log was closed in order. */
  readonly active: SegmentWriter | undefined;
  /** The newest segment before, for the link in the next header. */
  readonly previous: { readonly endOffset: number; readonly salt: number };
  /** Where the next segment begins: beyond `previous.endOffset` when a tail was lost. */
  readonly nextOffset: number;
  /** A new segment with its tables is on disk. */
  readonly started: (segment: Segment) => void;
}

/**
 * One writer at a time, and never two of these methods at once. Errors mean: call {@link poison}.
 */
export class SegmentChain {
  readonly #options: SegmentChainOptions;
  #active: SegmentWriter | undefined;
  #previous: { readonly endOffset: number; readonly salt: number };
  #nextOffset: number;
  /** Whether the active segment's tables are on disk. */
  #hasHead: boolean;

  constructor(options: SegmentChainOptions) {
    this.#options = options;
    this.#active = options.active;
    this.#hasHead = options.active !== undefined;
    this.#previous = options.previous;
    this.#nextOffset = options.nextOffset;
  }

  /** The segment that takes entries, if there is one; its tables are on disk. */
  get active(): SegmentWriter | undefined {
    return this.#hasHead ? this.#active : undefined;
  }

  /** All offsets below are on disk, or lost and reported. */
  get durableEnd(): number {
    return this.#active?.segment.end.offset ?? this.#nextOffset;
  }

  stamp(): EntryStamp {
    return { epoch: this.#options.epoch, wallMs: Math.floor(this.#options.clock.wallMs()) };
  }

  /**
   * The first entry of an opening in a segment that was closed in order: from now on its CLOSE is
   * not the last word.
   */
  async markOpened(): Promise<void> {
    await this.#active?.writeTables(
      [{ type: ENTRY_TYPE.witness, body: new Uint8Array(0) }],
      this.stamp(),
    );
  }

  /**
   * Makes `isReadyFor(diskBytes)` true for the active segment, with a new one if needed.
   * `oldestEntry` is the number of the oldest entry that is not on disk.
   */
  async ensureRoom(diskBytes: number, oldestEntry: number): Promise<"ok" | "full"> {
    const active = this.#active;
    if (active !== undefined && this.#hasHead && active.fits(diskBytes)) {
      if ((await active.makeRoom(diskBytes)) === "ok") return "ok";
      if (!this.#options.pool.hasSpare) return "full";
      // A spare has all its blocks already: better than waiting for the disk. This file cannot be
      // sealed, so its end is a fact.
      await this.poison();
      return await this.ensureRoom(diskBytes, oldestEntry);
    }
    const { wallMs } = this.stamp();
    const { channels, keys, segmentBytes } = this.#options;
    channels.trim(oldestEntry, segmentBytes * TABLE_SHARE);
    const tables = encodeHead(channels, keys.rows(wallMs, segmentBytes * KEYS_SHARE));
    if (
      active !== undefined &&
      (this.#hasHead || !active.fits(tables.diskBytes + diskBytes)) &&
      (await this.#finish(active)) === "full"
    )
      return "full";
    if (this.#active === undefined && (await this.#next(tables.diskBytes + diskBytes)) === "full")
      return "full";
    return await this.#writeHead(tables, diskBytes);
  }

  async #finish(active: SegmentWriter): Promise<"ok" | "full"> {
    // The SEAL comes first: it proves the last entry before anything depends on the next segment.
    if (!active.isSealed && (await active.seal(this.stamp())) === "full") return "full";
    this.#leave(active);
    await closeQuietly(active);
    return "ok";
  }

  #leave(active: SegmentWriter): void {
    this.#active = undefined;
    this.#previous = { endOffset: active.segment.end.offset, salt: active.segment.identity.salt };
    this.#nextOffset = active.segment.end.offset;
  }

  async #next(diskBytes: number): Promise<"ok" | "full"> {
    const { epoch, facts, pool } = this.#options;
    // A newer opening that shares the directory must not be written over.
    await facts.assertOwner();
    const taken = await pool.take({
      baseOffset: this.#nextOffset,
      epoch,
      previousEnd: this.#previous.endOffset,
      previousSalt: this.#previous.salt,
      capacityBytesMin: alignUp(SEGMENT_HEADER_BYTES + diskBytes + ALIGNMENT_BYTES),
    });
    if (taken === "full") return "full";
    this.#active = taken;
    this.#hasHead = false;
    return "ok";
  }

  /**
   * The tables are durable before the first record: the segment reads alone. Without room on the
   * disk the segment stays the active one, has no head yet, and is tried again.
   */
  async #writeHead(tables: HeadTables, diskBytes: number): Promise<"ok" | "full"> {
    const writer = this.#active;
    if (writer === undefined || (await writer.makeRoom(tables.diskBytes + diskBytes)) === "full")
      return "full";
    await writeHead(writer, tables, this.stamp());
    this.#hasHead = true;
    this.#options.started(writer.segment);
    return "ok";
  }

  /** Channels that the active segment does not name yet. */
  unnamed(channels: readonly Channel[]): readonly Channel[] {
    const segmentId = this.#active?.segment.identity.segmentId;
    return channels.filter((channel) => channel.announcedIn !== segmentId);
  }

  /**
   * A write failed: this file is never written or synced again, because what the system says about
   * it afterwards may be wrong. Its end becomes a fact, so that what the failed write left behind
   * is void, and the next entry goes to another segment. Rejects when the fact cannot be kept.
   */
  async poison(): Promise<void> {
    const active = this.#active;
    if (active === undefined) return;
    this.#leave(active);
    await closeQuietly(active);
    const { end, identity } = active.segment;
    await this.#options.facts.addCut({
      segmentId: identity.segmentId,
      endPosition: end.position,
      endOffset: end.offset,
      lastHeaderCrc: active.previousHeaderCrc,
    });
  }

  /** Proves the last entry of a burst. */
  async witness(): Promise<void> {
    const active = this.#active;
    if (active === undefined || !this.#hasHead || !active.fits(ALIGNMENT_BYTES)) return;
    if ((await active.makeRoom(ALIGNMENT_BYTES)) === "full") return;
    await active.writeTables([{ type: ENTRY_TYPE.witness, body: new Uint8Array(0) }], this.stamp());
  }

  /** Closes the file as it is: the log has failed, and the next opening decides what is in it. */
  async abandon(): Promise<void> {
    const active = this.#active;
    if (active === undefined) return;
    this.#leave(active);
    await closeQuietly(active);
  }

  /**
   * Marks the end as orderly and closes the file. A full segment is sealed instead, which says the
   * same.
   */
  async close(): Promise<void> {
    const active = this.#active;
    if (active === undefined) return;
    try {
      if (active.fits(ALIGNMENT_BYTES) && (await active.makeRoom(ALIGNMENT_BYTES)) === "ok") {
        await active.writeTables(
          [{ type: ENTRY_TYPE.close, body: new Uint8Array(0) }],
          this.stamp(),
        );
      } else if (!active.isSealed) await active.seal(this.stamp());
    } finally {
      this.#leave(active);
      await closeQuietly(active);
    }
  }
}
