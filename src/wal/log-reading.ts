/**
 * Reads the records of a log that another process may be writing: read-only, without the lock, and only what
 * is durable. The segments and their ends are looked up once, at the start; records that are freed from then
 * on come as a gap.
 */
import { join } from "node:path";

import type { GapReason, LogItem, OffsetSpan } from "../contract/log.ts";
import { codeOf } from "../errors.ts";
import type { Files } from "../host/files.ts";
import type { ChannelName } from "./block-codec.ts";
import { hasExpired } from "./header-reading.ts";
import { inspectSegment } from "./inspect-segment.ts";
import { LogReader } from "./reader.ts";
import { Segment } from "./segment.ts";
import { type KnownLog, type ListedSegment, listSegments } from "./segment-listing.ts";
import { readSeal } from "./segment-scan.ts";
import type { Seal } from "./tables.ts";

/** Receive times are kept as 32 bits of microseconds behind their entry's time: the most they add. */
const ENTRY_TIME_SPAN_MS = 2 ** 32 / 1000;

/** A log as it was when reading began. */
export interface LogReading {
  readonly oldestOffset: number;
  /** Behind the last record that is known to be durable. */
  readonly durableEnd: number;
  /** Records behind it that are written and may be lost by a power cut. */
  readonly unprovenRecords: number;
  /** The first offset that may have been received at this time or later; the ones before were not. */
  offsetAt(timeMs: number): number;
  /** As `Log.read`: every offset of the span is in one item. Blocks are valid until the next item is asked for. */
  read(span: OffsetSpan, signal: AbortSignal): AsyncIterable<LogItem>;
}

interface Snapshot {
  readonly segments: readonly Segment[];
  readonly durableEnd: number;
  readonly unprovenRecords: number;
}

/** Begins to read a log directory. Rejects with ENOENT when there is none. */
export async function openLogReading(
  files: Files,
  directory: string,
  known: KnownLog,
): Promise<LogReading> {
  const { segments, durableEnd, unprovenRecords } = await takeSnapshot(files, directory, known);
  const oldestOffset = segments[0]?.identity.baseOffset ?? durableEnd;
  const reasonAt = (offset: number): GapReason | undefined =>
    known.gaps.find(({ from, to }) => from <= offset && offset < to)?.reason;
  const segmentAt = (offset: number): Segment | undefined =>
    segments.find(({ end }) => end.offset > offset);
  const reader = new LogReader({
    files,
    directory,
    segmentAt,
    nameOf: (channelId) => nameIn(segments, channelId),
    reasonOf: ({ from, to }) => reasonAt(from) ?? reasonOutside(segments, { from, to }),
    damaged: () => Promise.resolve(),
    unpinned: () => undefined,
  });
  /** What lies in a file that was given another life meanwhile is not damaged: its records were freed. */
  const settled = async (reason: GapReason, { identity }: Segment): Promise<GapReason> => {
    const isGone = await hasExpired(files, join(directory, identity.fileName), identity);
    return isGone ? "dropped" : reason;
  };
  return {
    oldestOffset,
    durableEnd,
    unprovenRecords,
    offsetAt: (timeMs) => offsetAt(segments, timeMs) ?? durableEnd,
    async *read(span, signal) {
      for await (const item of reader.read(span, signal)) {
        const segment = item.kind === "gap" ? segmentAt(item.from) : undefined;
        if (item.kind !== "gap" || segment === undefined) yield item;
        else
          yield { ...item, reason: reasonAt(item.from) ?? (await settled(item.reason, segment)) };
      }
    },
  };
}

/** Newest first: each one proves the end of those before it. */
async function takeSnapshot(files: Files, directory: string, known: KnownLog): Promise<Snapshot> {
  const listing = await listSegments(files, directory, known);
  const segments: Segment[] = [];
  let { provenEnd } = known;
  let unprovenRecords = 0;
  let copy: Segment | undefined;
  for (const listed of listing.segments.toReversed()) {
    const found = await findEnd(files, directory, { ...listed, provenEnd });
    if (found === undefined) continue;
    const { segment } = found;
    const { baseOffset } = segment.identity;
    // The copy of a segment that is still there does not count.
    const isCopied = copy?.identity.baseOffset === baseOffset && segment.end.offset > baseOffset;
    if (isCopied) segments.shift();
    segments.unshift(segment);
    copy = listed.isCopy ? segment : undefined;
    provenEnd = Math.max(provenEnd, found.provenEnd);
    unprovenRecords += found.unprovenRecords;
  }
  const durableEnd = segments.at(-1)?.end.offset ?? known.floor?.offset ?? 0;
  return { segments, durableEnd: Math.max(durableEnd, known.provenEnd), unprovenRecords };
}

interface FoundEnd {
  readonly segment: Segment;
  readonly provenEnd: number;
  readonly unprovenRecords: number;
}

/** Where a segment ends: its SEAL says it, or its entries are walked. Undefined when it is gone. */
async function findEnd(
  files: Files,
  directory: string,
  { file, life, provenEnd }: ListedSegment & { readonly provenEnd: number },
): Promise<FoundEnd | undefined> {
  const path = join(directory, file);
  const sizeBytes = (await files.stat(path))?.bytes;
  if (sizeBytes === undefined) return undefined;
  const identity = { ...life, capacityBytes: life.capacityBytes ?? sizeBytes, fileName: file };
  const seal = await sealOf(files, path, { ...life, sizeBytes });
  if (seal !== undefined) {
    const { endPosition, endOffset, lastTimeMs } = seal;
    const end = { position: endPosition, offset: Math.min(endOffset, life.offsetMax) };
    const segment = new Segment(identity, end);
    segment.lastTimeMs = lastTimeMs;
    return { segment, provenEnd: endOffset, unprovenRecords: 0 };
  }
  const inspected = await inspectSegment(files, path, { life, provenEnd });
  if (inspected.kind !== "content") return undefined;
  const { content } = inspected;
  const end = { position: content.endPosition, offset: content.endOffset };
  const segment = new Segment(identity, end);
  segment.lastTimeMs = content.lastTimeMs ?? 0;
  return { segment, provenEnd: content.provenEnd, unprovenRecords: content.unprovenRecords };
}

async function sealOf(
  files: Files,
  path: string,
  segment: Parameters<typeof readSeal>[2],
): Promise<Seal | undefined> {
  try {
    return (await readSeal(files, path, segment))?.seal;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Why records are gone that no segment has. */
function reasonOutside(segments: readonly Segment[], { from, to }: OffsetSpan): GapReason {
  const [oldest, newest] = [segments[0], segments.at(-1)];
  if (to <= (oldest?.identity.baseOffset ?? Infinity)) return "dropped";
  return from >= (newest?.end.offset ?? Infinity) ? "lost-tail" : "missing-segment";
}

function nameIn(segments: readonly Segment[], channelId: number): ChannelName | undefined {
  return segments.find(({ names }) => names.has(channelId))?.names.get(channelId);
}

/** Behind the oldest segments that hold nothing as late as that; a clock that was set back does no harm. */
function offsetAt(segments: readonly Segment[], timeMs: number): number | undefined {
  const isBefore = ({ lastTimeMs }: Segment): boolean =>
    lastTimeMs > 0 && lastTimeMs + ENTRY_TIME_SPAN_MS < timeMs;
  return segments.find((segment) => !isBefore(segment))?.identity.baseOffset;
}

/**
 * The offset of the first record that was received at this time or later, or the durable end: everything
 * before it was received earlier.
 */
export async function firstOffsetSince(
  reading: LogReading,
  timeMs: number,
  signal: AbortSignal,
): Promise<number> {
  const { durableEnd } = reading;
  const from = Math.min(reading.offsetAt(timeMs), durableEnd);
  for await (const item of reading.read({ from, to: durableEnd }, signal)) {
    if (item.kind === "gap") continue;
    const { block } = item;
    for (let index = 0; index < block.count; index += 1)
      if (block.receivedAtMs(index) >= timeMs) return block.firstOffset + index;
  }
  return durableEnd;
}
