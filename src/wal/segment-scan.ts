/**
 * Reads whole segments when the log is opened: which entries are valid, where the segment ends, and
 * what its tables and blocks say about channels.
 */
import type { Files } from "../host/files.ts";
import { decodeData, idempotencyOf, positionOf } from "./block-codec.ts";
import {
  ENTRY_HEADER_BYTES,
  ENTRY_TYPE,
  bodyIsValid,
  decodeEntryHeader,
  type EntryHeader,
} from "./entry.ts";
import { ALIGNMENT_BYTES, SEGMENT_HEADER_BYTES } from "./format.ts";
import {
  judgeWalk,
  type SegmentVerdict,
  startWalk,
  stepWalk,
  type Walk,
  type WalkDamage,
} from "./recovery.ts";
import type { Segment } from "./segment.ts";
import { SegmentWindow, readFully, type WindowRoom } from "./segment-window.ts";
import {
  decodeKeys,
  decodeNames,
  decodePositions,
  decodeSeal,
  type KeyRow,
  type NameRow,
  type Seal,
} from "./tables.ts";

/** Where the walk has to stop, and what is known about the end. */
export interface ScanBounds {
  /** No entry begins at or behind this position. */
  readonly endPosition: number;
  /** Records from this offset on are void: another segment holds them. */
  readonly offsetMax: number;
  /** Offsets below were durable. */
  readonly provenOffset: number;
}

/** What a scan found. */
export interface SegmentScan {
  readonly verdict: SegmentVerdict;
  readonly damages: readonly WalkDamage[];
  /** Valid records lie behind `offsetMax`. */
  readonly isClipped: boolean;
  readonly names: readonly NameRow[];
  /** Newest position of each channel id. */
  readonly positions: ReadonlyMap<number, Uint8Array>;
  /** Of tables and records, in the order of the file. */
  readonly keys: readonly KeyRow[];
  /** NAMES and POSITIONS at the head are whole: no older segment is needed to know the channels. */
  readonly isHeadWhole: boolean;
  readonly highestChannelId: number;
  readonly highestEpoch: number;
  readonly firstTimeMs: number;
  readonly lastTimeMs: number;
}

interface Collected {
  readonly names: NameRow[];
  readonly positions: Map<number, Uint8Array>;
  readonly keys: KeyRow[];
  hasNames: boolean;
  hasPositions: boolean;
  hasRecords: boolean;
  isHeadWhole: boolean;
  highestChannelId: number;
  highestEpoch: number;
  firstTimeMs: number;
  lastTimeMs: number;
}

/** Where segments are read. */
export interface ScanHost {
  readonly files: Files;
  /** For scans one after the other. */
  readonly room?: WindowRoom;
}

/** Walks a segment from its start. Fills the segment's index and names on the way. */
export async function scanSegment(
  { files, room = {} }: ScanHost,
  path: string,
  segment: Segment,
  bounds: ScanBounds,
): Promise<SegmentScan> {
  const { identity } = segment;
  const window = new SegmentWindow(files, path, {
    salt: identity.salt,
    limit: bounds.endPosition,
    ...room,
  });
  const collected: Collected = {
    names: [],
    positions: new Map(),
    keys: [],
    hasNames: false,
    hasPositions: false,
    hasRecords: false,
    isHeadWhole: false,
    highestChannelId: 0,
    highestEpoch: identity.epoch,
    firstTimeMs: 0,
    lastTimeMs: 0,
  };
  const damages: WalkDamage[] = [];
  let isClipped = false;
  let walk: Walk = startWalk(identity, {
    position: SEGMENT_HEADER_BYTES,
    offset: identity.baseOffset,
  });
  try {
    while (walk.position < bounds.endPosition) {
      const position = walk.position;
      const sighting = window.peek(position) ?? (await window.look(position, () => true));
      const step = stepWalk(walk, sighting);
      isClipped = step.kind === "accepted" && step.walk.expected > bounds.offsetMax;
      if (isClipped) break;
      walk = step.walk;
      if (step.kind !== "accepted" || sighting.kind !== "entry") continue;
      if (step.damage !== undefined) damages.push(step.damage);
      if (sighting.header.recordCount > 0)
        segment.index.add({ position, offset: sighting.header.firstOffset });
      collect(
        collected,
        { bytes: window.buffer, at: window.indexOf(position), header: sighting.header },
        segment,
      );
    }
  } finally {
    room.buffer = window.buffer;
    await window.close();
  }
  return { verdict: judgeWalk(walk, bounds), damages, isClipped, ...collected };
}

interface EntryInWindow {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly header: EntryHeader;
}

function collect(collected: Collected, entry: EntryInWindow, segment: Segment): void {
  const { header } = entry;
  collected.highestEpoch = Math.max(collected.highestEpoch, header.epoch);
  collected.lastTimeMs = Math.max(collected.lastTimeMs, header.baseTimeMs);
  if (collected.firstTimeMs === 0) collected.firstTimeMs = header.baseTimeMs;
  if (header.type === ENTRY_TYPE.data) collectPositions(collected, entry);
  if (header.type === ENTRY_TYPE.names) collectNames(collected, entry, segment);
  if (header.type === ENTRY_TYPE.positions) collectPositionTable(collected, entry);
  if (header.type === ENTRY_TYPE.keys)
    collected.keys.push(...(decodeKeys(bodyOf(entry))?.rows ?? []));
}

function bodyOf({ bytes, at, header }: EntryInWindow): Uint8Array {
  return bytes.subarray(at + ENTRY_HEADER_BYTES, at + header.entryBytes);
}

function collectNames(collected: Collected, entry: EntryInWindow, segment: Segment): void {
  const table = decodeNames(bodyOf(entry));
  if (table === undefined) return;
  for (const row of table.rows) {
    collected.names.push(row);
    collected.highestChannelId = Math.max(collected.highestChannelId, row.channelId);
    segment.names.set(row.channelId, row);
  }
  if (!table.more && !collected.hasRecords) collected.hasNames = true;
}

function collectPositionTable(collected: Collected, entry: EntryInWindow): void {
  const table = decodePositions(bodyOf(entry));
  if (table === undefined) return;
  for (const row of table.rows) collected.positions.set(row.channelId, row.position);
  if (!table.more && !collected.hasRecords) collected.hasPositions = true;
  collected.isHeadWhole = collected.hasNames && collected.hasPositions;
}

function collectPositions(collected: Collected, { bytes, at, header }: EntryInWindow): void {
  collected.hasRecords = true;
  const body = decodeData(bytes, at, header);
  for (const head of body?.blocks ?? []) {
    collected.highestChannelId = Math.max(collected.highestChannelId, head.channelId);
    const position = body && positionOf(body, head);
    if (position !== undefined) collected.positions.set(head.channelId, position.slice());
    const idempotency = body && idempotencyOf(body, head);
    if (idempotency !== undefined)
      collected.keys.push({
        ...idempotency,
        firstOffset: header.firstOffset + head.firstRecord,
        recordCount: head.count,
        wallMs: header.baseTimeMs,
      });
  }
}

/**
 * The SEAL in the last block of a file of `sizeBytes`, or undefined when there is none. One small
 * read.
 */
export async function readSeal(
  files: Files,
  path: string,
  segment: { readonly segmentId: number; readonly salt: number; readonly sizeBytes: number },
): Promise<{ readonly seal: Seal; readonly header: EntryHeader } | undefined> {
  if (segment.sizeBytes < SEGMENT_HEADER_BYTES + ALIGNMENT_BYTES) return undefined;
  const bytes = await readBlock(files, path, segment.sizeBytes - ALIGNMENT_BYTES);
  const header = bytes && decodeEntryHeader(bytes, 0, segment.salt);
  if (bytes === undefined || header === undefined || header.type !== ENTRY_TYPE.seal)
    return undefined;
  if (
    header.segmentIdLow !== segment.segmentId % 2 ** 32 ||
    !bodyIsValid(bytes, 0, header, segment.salt)
  )
    return undefined;
  const seal = decodeSeal(bytes.subarray(ENTRY_HEADER_BYTES, header.entryBytes));
  return seal && { seal, header };
}

/**
 * One block of a file, or undefined when it cannot be read: what it would have said is then
 * unknown, as if damaged.
 */
export async function readBlock(
  files: Files,
  path: string,
  position: number,
): Promise<Uint8Array | undefined> {
  const handle = await files.open(path, "read");
  try {
    const bytes = new Uint8Array(ALIGNMENT_BYTES);
    await readFully(handle, bytes, position);
    return bytes;
  } catch {
    return undefined;
  } finally {
    await handle.close();
  }
}
