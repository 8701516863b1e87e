/**
 * Walks one segment file and says what is in it. Reads only and takes no lock, so a writer may be at work:
 * what it has not finished looks like the end, and a file that it has given another life is left alone.
 */
import { codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";
import { type BlockHead, type ChannelName, decodeData } from "./block-codec.ts";
import { ENTRY_HEADER_BYTES, ENTRY_TYPE, type EntryHeader } from "./entry.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./format.ts";
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
import { readBlock, readSeal } from "./segment-scan.ts";
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
  /** Offsets below were durable for certain: a later entry says so. */
  readonly provenEnd: number;
  readonly isSealed: boolean;
  /** The log was closed in order with this segment as its last. */
  readonly isClosed: boolean;
  readonly firstTimeMs: number | undefined;
  readonly lastTimeMs: number | undefined;
  readonly channels: readonly ChannelRange[];
  /** Bytes that are no entry although one was there; `from === to` when no record went with them. */
  readonly damaged: readonly WalkDamage[];
}

/** What the walk has counted. */
interface Tally {
  readonly byType: Map<string, number>;
  readonly channels: Map<number, { name: ChannelName; range: ChannelRange | undefined }>;
  readonly damaged: WalkDamage[];
  recordCount: number;
  payloadBytes: number;
  provenEnd: number;
  firstTimeMs: number | undefined;
  lastTimeMs: number | undefined;
}

const TYPE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ENTRY_TYPE).map(([name, type]) => [type, name]),
);

class SegmentWalk {
  readonly #window: SegmentWindow;
  readonly #life: SegmentLife;
  readonly #tally: Tally = {
    byType: new Map(),
    channels: new Map(),
    damaged: [],
    recordCount: 0,
    payloadBytes: 0,
    provenEnd: 0,
    firstTimeMs: undefined,
    lastTimeMs: undefined,
  };

  constructor(window: SegmentWindow, life: SegmentLife) {
    this.#window = window;
    this.#life = life;
  }

  async run(limit: number, seal: Seal | undefined): Promise<SegmentContent> {
    let walk = startWalk(this.#life, {
      position: SEGMENT_HEADER_BYTES,
      offset: this.#life.baseOffset,
    });
    while (walk.position < limit) {
      const { position } = walk;
      const step = await this.#step(walk);
      if (step.kind === "accepted" && step.walk.expected > this.#life.offsetMax) break;
      if (step.kind === "accepted") this.#count(position, step);
      walk = step.walk;
    }
    const verdict = judgeWalk(walk, {
      provenOffset: Math.min(seal?.endOffset ?? 0, this.#life.offsetMax),
    });
    const { endPosition, lostTail } = verdict;
    if (lostTail !== undefined)
      this.#tally.damaged.push({ fromPosition: endPosition, toPosition: limit, ...lostTail });
    return this.#content(verdict, seal);
  }

  async #step(walk: Walk): Promise<Step> {
    const step = stepWalk(walk, await this.#look(walk.position));
    if (step.kind === "accepted" || walk.hole !== undefined) return step;
    // Once more from the file: memory or bus may have been wrong, and a writer may have finished meanwhile.
    this.#window.forget();
    return stepWalk(walk, await this.#look(walk.position));
  }

  #look(position: number): Promise<Sighting> {
    return this.#window.look(position, () => true);
  }

  #count(position: number, step: Step & { readonly kind: "accepted" }): void {
    const header = step.walk.last;
    if (step.damage !== undefined) this.#tally.damaged.push(step.damage);
    if (header === undefined) return;
    const tally = this.#tally;
    const type = TYPE_NAMES.get(header.type) ?? `type-${header.type}`;
    tally.byType.set(type, (tally.byType.get(type) ?? 0) + 1);
    tally.recordCount += header.recordCount;
    tally.payloadBytes += header.payloadBytes;
    tally.provenEnd = Math.max(tally.provenEnd, header.durableEnd);
    const at = this.#window.indexOf(position);
    const bytes = this.#window.buffer.subarray(at, at + header.entryBytes);
    if (header.type === ENTRY_TYPE.names) this.#learnNames(bytes);
    if (header.type === ENTRY_TYPE.data) this.#countData(header, bytes);
  }

  #learnNames(bytes: Uint8Array): void {
    for (const { channelId, receiver, channel } of decodeNames(bytes.subarray(ENTRY_HEADER_BYTES))
      ?.rows ?? []) {
      const range = this.#tally.channels.get(channelId)?.range;
      this.#tally.channels.set(channelId, { name: { receiver, channel }, range });
    }
  }

  #countData(header: EntryHeader, bytes: Uint8Array): void {
    this.#tally.firstTimeMs ??= header.baseTimeMs;
    this.#tally.lastTimeMs = header.baseTimeMs;
    const body = decodeData(bytes, 0, header);
    for (const head of body?.blocks ?? [])
      this.#countBlock(head, { header, valueEnds: body?.valueEnds ?? [] });
  }

  #countBlock(
    head: BlockHead,
    entry: { readonly header: EntryHeader; readonly valueEnds: ArrayLike<number> },
  ): void {
    const { channelId, firstRecord, count } = head;
    const known = this.#tally.channels.get(channelId);
    const name = known?.name ?? { receiver: `channel-${channelId}`, channel: "" };
    const { valueEnds } = entry;
    const start = valueEnds[firstRecord - 1] ?? 0;
    const end = valueEnds[firstRecord + count - 1] ?? start;
    const firstOffset = entry.header.firstOffset + firstRecord;
    const before = known?.range ?? { recordCount: 0, payloadBytes: 0, firstOffset };
    const range: ChannelRange = {
      ...name,
      recordCount: before.recordCount + count,
      payloadBytes: before.payloadBytes + end - start,
      firstOffset: before.firstOffset,
      endOffset: firstOffset + count,
    };
    this.#tally.channels.set(channelId, { name, range });
  }

  #content(
    { endOffset, endPosition, entryCount, isClosed }: SegmentVerdict,
    seal: Seal | undefined,
  ): SegmentContent {
    const { byType, channels, provenEnd, ...counts } = this.#tally;
    const named = [...channels.values()].flatMap(({ name, range }) =>
      range === undefined ? [] : [{ ...range, ...name }],
    );
    return {
      ...counts,
      entryCount: entryCount + (seal === undefined ? 0 : 1),
      entriesByType: Object.fromEntries(seal === undefined ? byType : [...byType, ["seal", 1]]),
      endOffset: Math.max(endOffset, Math.min(seal?.endOffset ?? 0, this.#life.offsetMax)),
      endPosition,
      provenEnd: seal?.endOffset ?? provenEnd,
      isSealed: seal !== undefined,
      isClosed,
      channels: named,
    };
  }
}

/** What became of a file that was there when the directory was listed. */
export type InspectedFile =
  | { readonly kind: "content"; readonly content: SegmentContent; readonly fileBytes: number }
  /** Recycled or removed by the writer meanwhile: no damage. */
  | { readonly kind: "expired" }
  | { readonly kind: "unreadable"; readonly reason: string };

/** Walks a segment file that was found to have this life. */
export async function inspectSegment(
  files: Files,
  path: string,
  life: SegmentLife,
): Promise<InspectedFile> {
  try {
    const stat = await files.stat(path);
    if (stat === undefined) return { kind: "expired" };
    const content = await readContent(files, path, { ...life, sizeBytes: stat.bytes });
    return content.damaged.length > 0 && (await hasExpired(files, path, life))
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
  file: SegmentLife & { readonly sizeBytes: number },
): Promise<SegmentContent> {
  const seal = (await readSeal(files, path, file))?.seal;
  const limit = Math.min(seal?.endPosition ?? file.sizeBytes, file.sizeBytes);
  const window = new SegmentWindow(files, path, { salt: file.salt, limit });
  try {
    return await new SegmentWalk(window, file).run(limit, seal);
  } finally {
    await window.close();
  }
}

/** Whether the file has begun another life since: then what looks damaged was overwritten by right. */
async function hasExpired(files: Files, path: string, life: SegmentLife): Promise<boolean> {
  const decoded = decodeSegmentHeader((await readBlock(files, path, 0)) ?? new Uint8Array(0));
  return decoded.kind === "valid" && decoded.header.segmentId !== life.segmentId;
}
