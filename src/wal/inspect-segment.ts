/**
 * Walks one segment file and says what is in it. Reads only and takes no lock, so a writer may be at work:
 * an entry counts only when something later shows that it was durable, and a file that the writer has given
 * another life is left alone.
 */
import { codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";
import { type ChannelName, decodeData } from "./block-codec.ts";
import { ENTRY_HEADER_BYTES, ENTRY_TYPE, type EntryHeader } from "./entry.ts";
import { ALIGNMENT_BYTES, SEGMENT_HEADER_BYTES } from "./format.ts";
import { hasExpired } from "./header-reading.ts";
import {
  judgeWalk,
  type SegmentVerdict,
  type Sighting,
  startWalk,
  type Step,
  stepWalk,
  type Walk,
  type WalkDamage,
} from "./recovery.ts";
import { readSeal } from "./segment-scan.ts";
import { SegmentWindow } from "./segment-window.ts";
import { decodeNames, type Seal } from "./tables.ts";

/** How to read a segment: from its header, or from its name and a neighbour's uuid when the header is lost. */
export interface SegmentLife {
  readonly segmentId: number;
  readonly salt: number;
  readonly baseOffset: number;
  /** Entries of a lower epoch are not its; 0 where the header is lost. */
  readonly epoch: number;
  /** Records from this offset on are void here: a later segment holds them. */
  readonly offsetMax: number;
  /** Size that the file was made for; undefined where the header is lost. */
  readonly capacityBytes: number | undefined;
}

/** Records of one channel. */
export interface ChannelRange extends ChannelName {
  readonly recordCount: number;
  readonly payloadBytes: number;
  readonly firstOffset: number;
  readonly endOffset: number;
}

/** What a segment holds. */
export interface SegmentContent {
  readonly entryCount: number;
  readonly entriesByType: Readonly<Record<string, number>>;
  readonly recordCount: number;
  readonly payloadBytes: number;
  readonly endOffset: number;
  /** Behind the last entry, in bytes from the start of the file. */
  readonly endPosition: number;
  /** Offsets below were durable for certain: a later entry or the ledger says so. */
  readonly provenEnd: number;
  /** Records behind `endOffset` that are written and that nothing shows to be durable. They are not counted. */
  readonly unprovenRecords: number;
  readonly isSealed: boolean;
  /** The log was closed in order with this segment as its last. */
  readonly isClosed: boolean;
  readonly firstTimeMs: number | undefined;
  /** The latest one: clocks may go backwards. */
  readonly lastTimeMs: number | undefined;
  readonly channels: readonly ChannelRange[];
  /** Bytes that are no entry although one was there; `from === to` when no record went with them. */
  readonly damaged: readonly WalkDamage[];
}

/** What the walk has counted: only entries that are proven. */
interface Tally {
  entryCount: number;
  readonly byType: Map<string, number>;
  readonly channels: Map<number, Counted>;
  readonly damaged: WalkDamage[];
  recordCount: number;
  payloadBytes: number;
  provenEnd: number;
  firstTimeMs: number | undefined;
  lastTimeMs: number | undefined;
}

/** An entry that was seen, until something later shows that it was durable. */
interface SeenEntry {
  readonly position: number;
  readonly header: EntryHeader;
  readonly blocks: readonly { readonly channelId: number; readonly range: Counted }[];
}

type Counted = Omit<ChannelRange, keyof ChannelName>;

const TYPE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ENTRY_TYPE).map(([name, type]) => [type, name]),
);

class SegmentWalk {
  readonly #window: SegmentWindow;
  readonly #life: SegmentLife;
  readonly #names = new Map<number, ChannelName>();
  readonly #seen: SeenEntry[] = [];
  readonly #tally: Tally = {
    entryCount: 0,
    byType: new Map(),
    channels: new Map(),
    damaged: [],
    recordCount: 0,
    payloadBytes: 0,
    provenEnd: 0,
    firstTimeMs: undefined,
    lastTimeMs: undefined,
  };

  constructor(window: SegmentWindow, life: SegmentLife, provenEnd: number) {
    this.#window = window;
    this.#life = life;
    this.#tally.provenEnd = provenEnd;
  }

  async run(limit: number, seal: Seal | undefined): Promise<SegmentContent> {
    this.#prove(seal?.endOffset ?? 0);
    const walk = await this.#walk(limit);
    const verdict = judgeWalk(walk, {
      provenOffset: Math.min(seal?.endOffset ?? 0, this.#life.offsetMax),
    });
    const { endPosition, lostTail } = verdict;
    if (lostTail !== undefined)
      this.#tally.damaged.push({ fromPosition: endPosition, toPosition: limit, ...lostTail });
    return this.#content(verdict, seal);
  }

  async #walk(limit: number): Promise<Walk> {
    let walk = startWalk(this.#life, {
      position: SEGMENT_HEADER_BYTES,
      offset: this.#life.baseOffset,
    });
    let beforeHole = walk;
    let checkedAgain: number | undefined;
    while (walk.position < limit) {
      if (walk.hole === undefined) beforeHole = walk;
      const step = await this.#step(walk);
      if (step.kind === "accepted" && step.walk.expected > this.#life.offsetMax) return walk;
      const hole = step.kind === "accepted" ? step.damage?.fromPosition : undefined;
      if (hole !== undefined && hole !== checkedAgain) {
        // A writer may have filled the place after it was read. What lies in front of a valid entry is
        // finished, so what is there now decides.
        checkedAgain = hole;
        walk = beforeHole;
        this.#window.forget();
        continue;
      }
      if (step.kind === "accepted") this.#see(walk.position, step);
      walk = step.walk;
    }
    return walk;
  }

  async #step(walk: Walk): Promise<Step> {
    const step = stepWalk(walk, await this.#look(walk.position));
    if (step.kind === "accepted" || walk.hole !== undefined) return step;
    // Once more from the file: memory or bus may have been wrong, and a writer may have finished meanwhile.
    this.#window.forget();
    const sighting = await this.#look(walk.position);
    if (sighting.kind === "entry") this.#proveByTorn(walk, sighting.header);
    return stepWalk(walk, sighting);
  }

  #look(position: number): Promise<Sighting> {
    return this.#window.look(position, () => true);
  }

  /** A torn entry proves no records of its own, but its header was built when those before it were durable. */
  #proveByTorn({ target, epoch, expected }: Walk, header: EntryHeader): void {
    const isNext =
      header.segmentIdLow === target.segmentId % 2 ** 32 &&
      header.epoch >= epoch &&
      header.firstOffset === expected;
    if (isNext) this.#prove(header.durableEnd);
  }

  #see(position: number, step: Step & { readonly kind: "accepted" }): void {
    const header = step.walk.last;
    if (step.damage !== undefined) this.#tally.damaged.push(step.damage);
    if (header === undefined) return;
    const at = this.#window.indexOf(position);
    const bytes = this.#window.buffer.subarray(at, at + header.entryBytes);
    if (header.type === ENTRY_TYPE.names) this.#learnNames(bytes);
    const blocks = header.type === ENTRY_TYPE.data ? blocksOf(header, bytes) : [];
    this.#seen.push({ position, header, blocks });
    this.#prove(header.durableEnd);
  }

  #learnNames(bytes: Uint8Array): void {
    for (const { channelId, receiver, channel } of decodeNames(bytes.subarray(ENTRY_HEADER_BYTES))
      ?.rows ?? [])
      this.#names.set(channelId, { receiver, channel });
  }

  /** Offsets below were durable: what was seen of them counts. */
  #prove(offset: number): void {
    this.#tally.provenEnd = Math.max(this.#tally.provenEnd, offset);
    for (let next = this.#seen[0]; next !== undefined; next = this.#seen[0]) {
      const { recordCount, firstOffset } = next.header;
      if (recordCount > 0 && firstOffset + recordCount > this.#tally.provenEnd) return;
      this.#count(next);
      this.#seen.shift();
    }
  }

  #count({ header, blocks }: SeenEntry): void {
    const tally = this.#tally;
    const type = TYPE_NAMES.get(header.type) ?? `type-${header.type}`;
    tally.entryCount += 1;
    tally.byType.set(type, (tally.byType.get(type) ?? 0) + 1);
    tally.recordCount += header.recordCount;
    tally.payloadBytes += header.payloadBytes;
    if (header.type === ENTRY_TYPE.data) {
      tally.firstTimeMs ??= header.baseTimeMs;
      tally.lastTimeMs = Math.max(tally.lastTimeMs ?? 0, header.baseTimeMs);
    }
    for (const { channelId, range } of blocks) this.#countBlock(channelId, range);
  }

  #countBlock(channelId: number, range: Counted): void {
    const { channels } = this.#tally;
    const before = channels.get(channelId);
    const total = before && {
      recordCount: before.recordCount + range.recordCount,
      payloadBytes: before.payloadBytes + range.payloadBytes,
      firstOffset: before.firstOffset,
      endOffset: range.endOffset,
    };
    channels.set(channelId, total ?? range);
  }

  #content(verdict: SegmentVerdict, seal: Seal | undefined): SegmentContent {
    const { byType, channels, entryCount, provenEnd, ...counts } = this.#tally;
    const sealedEnd = Math.min(seal?.endOffset ?? 0, this.#life.offsetMax);
    const open = this.#seen[0];
    const endOffset = Math.max(open?.header.firstOffset ?? verdict.endOffset, sealedEnd);
    return {
      ...counts,
      entryCount: entryCount + (seal === undefined ? 0 : 1),
      entriesByType: Object.fromEntries(seal === undefined ? byType : [...byType, ["seal", 1]]),
      endOffset,
      endPosition: open?.position ?? verdict.endPosition,
      provenEnd: Math.min(provenEnd, endOffset),
      unprovenRecords: this.#seen.reduce((sum, { header }) => sum + header.recordCount, 0),
      isSealed: seal !== undefined,
      isClosed: verdict.isClosed && open === undefined,
      channels: [...channels].map(([channelId, range]) => ({
        ...(this.#names.get(channelId) ?? { receiver: `channel-${channelId}`, channel: "" }),
        ...range,
      })),
    };
  }
}

/** Records and bytes of each block of an entry. */
function blocksOf(header: EntryHeader, bytes: Uint8Array): SeenEntry["blocks"] {
  const body = decodeData(bytes, 0, header);
  return (body?.blocks ?? []).map(({ channelId, firstRecord, count }) => {
    const start = body?.valueEnds[firstRecord - 1] ?? 0;
    const firstOffset = header.firstOffset + firstRecord;
    return {
      channelId,
      range: {
        recordCount: count,
        payloadBytes: (body?.valueEnds[firstRecord + count - 1] ?? start) - start,
        firstOffset,
        endOffset: firstOffset + count,
      },
    };
  });
}

/** What became of a file that was there when the directory was listed. */
export type InspectedFile =
  | { readonly kind: "content"; readonly content: SegmentContent; readonly fileBytes: number }
  /** Recycled or removed by the writer meanwhile: no damage. */
  | { readonly kind: "expired" }
  | { readonly kind: "unreadable"; readonly reason: string };

/** Walks a segment file that was found to have this life. Offsets below `provenEnd` are known to be durable. */
export async function inspectSegment(
  files: Files,
  path: string,
  { life, provenEnd }: { readonly life: SegmentLife; readonly provenEnd: number },
): Promise<InspectedFile> {
  try {
    const stat = await files.stat(path);
    if (stat === undefined) return { kind: "expired" };
    const content = await readContent(files, path, {
      life,
      provenEnd,
      sizeBytes: stat.bytes,
    });
    const isShort =
      content.damaged.length > 0 ||
      (life.offsetMax < Infinity && content.endOffset < life.offsetMax);
    return isShort && (await hasExpired(files, path, life))
      ? { kind: "expired" }
      : { kind: "content", content, fileBytes: stat.bytes };
  } catch (error) {
    return codeOf(error) === "ENOENT"
      ? { kind: "expired" }
      : { kind: "unreadable", reason: codeOf(error) };
  }
}

async function readContent(
  files: Files,
  path: string,
  file: {
    readonly life: SegmentLife;
    readonly provenEnd: number;
    readonly sizeBytes: number;
  },
): Promise<SegmentContent> {
  const { life, provenEnd, sizeBytes } = file;
  const seal = (await readSeal(files, path, { ...life, sizeBytes }))?.seal;
  // The last block is the SEAL's: no other entry begins there.
  const capacityBytes = (life.capacityBytes ?? sizeBytes) - ALIGNMENT_BYTES;
  const limit = Math.min(seal?.endPosition ?? capacityBytes, sizeBytes);
  const window = new SegmentWindow(files, path, { salt: life.salt, limit });
  try {
    return await new SegmentWalk(window, life, provenEnd).run(limit, seal);
  } finally {
    await window.close();
  }
}
