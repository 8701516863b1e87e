/**
 * A reader of a log, written from docs/format.md alone: it shares no line with src/wal, so that the page is proved to
 * be enough. Sections are named as in "Reading a log". It takes files as bytes and trusts nothing it was not told.
 */
import {
  BLOCK,
  Bytes,
  type Channels,
  entryAt,
  type Entry,
  padded,
  type PlacedEntry,
  readEntry,
  type ReadRecord,
  saltOf,
  type KeyedRecords,
} from "./independent-entry.ts";

/** Files of one directory by name. */
export type Directory = ReadonlyMap<string, Uint8Array>;

/** Lost records, half open. */
export interface ReadGap {
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

/** A whole log. */
export interface ReadLog {
  readonly records: readonly ReadRecord[];
  readonly gaps: readonly ReadGap[];
  /** Newest position of each channel, as `receiver/channel`. */
  readonly positions: ReadonlyMap<string, string>;
  readonly keys: ReadonlyMap<string, KeyedRecords>;
}

/** What the ledger says about a log. */
export interface LedgerFacts {
  readonly floor: { readonly segmentId: number; readonly offset: number } | undefined;
  readonly cuts: ReadonlyMap<number, { readonly position: number; readonly offset: number }>;
  readonly highestOffset: number;
}

export const NO_FACTS: LedgerFacts = { floor: undefined, cuts: new Map(), highestOffset: 0 };

interface SegmentFile {
  readonly file: Bytes;
  readonly id: number;
  readonly base: number;
  readonly salt: number;
  readonly epoch: number;
  readonly capacity: number;
  /** Undefined where the header is damaged. */
  readonly link: { readonly previousEnd: number; readonly previousSalt: number } | undefined;
}

// Segments

function segmentsOf(log: Directory, uuid: Uint8Array, facts: LedgerFacts): SegmentFile[] {
  const segments: SegmentFile[] = [];
  for (const [name, bytes] of log) {
    const [, base = "", id = ""] = /^seg-([0-9a-f]{16})-([0-9a-f]{8})\.hfw$/.exec(name) ?? [];
    if (id === "") continue;
    const file = new Bytes(bytes);
    const named = { id: Number.parseInt(id, 16), base: Number.parseInt(base, 16) };
    const isNamed = !isHeaderWhole(file) || isOfEarlierLife(file, named.id, uuid);
    const segment = isNamed ? fromName(file, named, uuid) : fromHeader(file, uuid);
    if (segment !== undefined && segment.id >= (facts.floor?.segmentId ?? 0))
      segments.push(segment);
  }
  return segments.toSorted((left, right) => left.id - right.id);
}

function isHeaderWhole(file: Bytes): boolean {
  return (
    file.bytes.length >= BLOCK &&
    file.hex(0, 8) === "894846570d0a1a0a" &&
    file.crc(0, 84, 0) === file.u32(84)
  );
}

/** A recycled file whose new header never arrived: its first entries are of the life that the name says. */
function isOfEarlierLife(file: Bytes, id: number, uuid: Uint8Array): boolean {
  const life = { id, salt: saltOf(id, uuid) };
  const blocks = [1, 2, 3, 4].filter((block) => (block + 1) * BLOCK <= file.bytes.length);
  return (
    file.u64(32) !== id && blocks.some((block) => entryAt(file, block * BLOCK, life) !== undefined)
  );
}

function fromHeader(file: Bytes, uuid: Uint8Array): SegmentFile | undefined {
  if (file.u16(8) !== 1 || file.u32(12) !== 0) throw new Error("a newer format");
  const isOurs = file.u8(61) === 1 && Buffer.compare(file.bytes.subarray(16, 32), uuid) === 0;
  if (!isOurs) return undefined;
  const link = { previousEnd: file.u64(72), previousSalt: file.u32(80) };
  const [id, base, epoch, capacity] = [file.u64(32), file.u64(40), file.u32(52), file.u32(56)];
  return { file, id, base, epoch, capacity, link, salt: saltOf(id, uuid) };
}

function fromName(
  file: Bytes,
  named: { readonly id: number; readonly base: number },
  uuid: Uint8Array,
): SegmentFile {
  const salt = saltOf(named.id, uuid);
  return { file, ...named, salt, epoch: 0, capacity: file.bytes.length, link: undefined };
}

// Walk

interface Walked {
  readonly entries: readonly PlacedEntry[];
  readonly gaps: readonly ReadGap[];
  readonly end: number;
}

/** Ends: where entries stop, and up to which offset records are known; 0 where neither SEAL nor CUT says it. */
function endOf(
  segment: SegmentFile,
  facts: LedgerFacts,
): { readonly position: number; readonly offset: number; readonly isSealed: boolean } {
  const { file } = segment;
  const last = segment.capacity - BLOCK;
  const seal = entryAt(file, last, segment);
  if (seal?.type === 3 && seal.isWhole)
    return { position: file.u64(last + 88), offset: file.u64(last + 80), isSealed: true };
  const cut = facts.cuts.get(segment.id);
  return { position: cut?.position ?? last, offset: cut?.offset ?? 0, isSealed: false };
}

/** Whether an entry goes on where the walk stands; the link is undefined where the entry before is not known. */
function follows(
  entry: Entry,
  walk: { readonly expected: number; readonly epoch: number; readonly link: number | undefined },
): boolean {
  if (entry.epoch < walk.epoch) return false;
  if (walk.link === undefined) return entry.first >= walk.expected;
  return entry.first === walk.expected && entry.link === walk.link;
}

/** `voidFrom`: records from this offset on are the next segment's. `known`: offsets below were durable. */
function walk(
  segment: SegmentFile,
  bounds: {
    readonly position: number;
    readonly voidFrom: number;
    readonly known: number;
    readonly lostBehind: string;
  },
): Walked {
  const entries: PlacedEntry[] = [];
  const gaps: ReadGap[] = [];
  let at = BLOCK;
  let expected = segment.base;
  let epoch = segment.epoch;
  let link: number | undefined = 0;
  while (at < bounds.position) {
    const entry = entryAt(segment.file, at, segment);
    if (entry === undefined || !follows(entry, { expected, epoch, link })) {
      at += BLOCK;
      link = undefined;
      continue;
    }
    if (!entry.isWhole) {
      at += link === undefined ? BLOCK : padded(entry.bytes, BLOCK);
      link = undefined;
      continue;
    }
    if (entry.first + entry.count > bounds.voidFrom) break;
    if (entry.first > expected) gaps.push({ from: expected, to: entry.first, reason: "damaged" });
    entries.push({ ...entry, at });
    at += padded(entry.bytes, BLOCK);
    expected = entry.first + entry.count;
    epoch = entry.epoch;
    link = entry.crc;
  }
  if (bounds.known > expected)
    gaps.push({ from: expected, to: bounds.known, reason: bounds.lostBehind });
  return { entries, gaps, end: Math.max(expected, bounds.known) };
}

// Reading a log

/** Whether one segment begins where the other does, behind the same predecessor. */
function isSamePlace(one: SegmentFile, other: SegmentFile | undefined): boolean {
  if (one.link === undefined || other?.link === undefined) return false;
  return one.base === other.base && one.link.previousSalt === other.link.previousSalt;
}

function walkBeside(
  segment: SegmentFile,
  next: SegmentFile | undefined,
  facts: LedgerFacts,
): Walked & { readonly isSealed: boolean } {
  const end = endOf(segment, facts);
  const isLinked = next?.link !== undefined && next.link.previousSalt === segment.salt;
  const linkedEnd = isLinked ? next.link.previousEnd : undefined;
  const voidFrom = linkedEnd ?? (isSamePlace(segment, next) ? Infinity : (next?.base ?? Infinity));
  const known = Math.min(end.offset > 0 ? end.offset : (linkedEnd ?? 0), voidFrom);
  // Where SEAL or CUT says which bytes are entries, those bytes are damaged; else they may be gone.
  const lostBehind = end.offset > 0 ? "damaged" : "lost-tail";
  const { isSealed, position } = end;
  return { ...walk(segment, { position, voidFrom, known, lostBehind }), isSealed };
}

interface Living {
  readonly segment: SegmentFile;
  readonly walked: Walked;
}

/** The segments that count, with their entries, and the bases of those that hold nothing. */
function livingSegments(
  segments: readonly SegmentFile[],
  facts: LedgerFacts,
): { readonly living: readonly Living[]; readonly emptyBases: readonly number[] } {
  const living: Living[] = [];
  const emptyBases: number[] = [];
  let trailing: Living[] = [];
  let copied: SegmentFile | undefined;
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    const { isSealed, ...walked } = walkBeside(segment, next, facts);
    const hasRecords = walked.entries.some((entry) => entry.count > 0);
    if (copied !== undefined && isSamePlace(copied, segment)) continue;
    const isEmpty = !hasRecords && walked.gaps.length === 0 && segment.link !== undefined;
    if (isEmpty) emptyBases.push(segment.base);
    if (isEmpty) trailing.push({ segment, walked });
    if (isEmpty) continue;
    trailing = [];
    copied = hasRecords && !isSealed ? segment : undefined;
    living.push({ segment, walked });
  }
  const tables = trailing.findLast(hasTables);
  return { living: tables === undefined ? living : [...living, tables], emptyBases };
}

/** Whole NAMES with a row, and whole POSITIONS. */
function hasTables({ segment: { file }, walked: { entries } }: Living): boolean {
  const isWhole = (type: number): boolean =>
    entries.some((entry) => entry.type === type && file.u32(entry.at + 76) === 0);
  const isNaming = entries.some((entry) => entry.type === 4 && file.u32(entry.at + 72) > 0);
  return isNaming && isWhole(4) && isWhole(6);
}

/** Reads a log's directory. */
export function readLog(log: Directory, uuid: Uint8Array, facts: LedgerFacts = NO_FACTS): ReadLog {
  const channels: Channels = { names: new Map(), positions: new Map(), keys: new Map() };
  const records: ReadRecord[] = [];
  const gaps: ReadGap[] = [];
  const { emptyBases, living } = livingSegments(segmentsOf(log, uuid, facts), facts);
  const highest = Math.max(facts.highestOffset, ...emptyBases);
  let expected = facts.floor?.offset ?? living[0]?.segment.base ?? highest;
  for (const { segment, walked } of living) {
    if (segment.base > expected)
      gaps.push({ from: expected, to: segment.base, reason: "missing-segment" });
    gaps.push(...walked.gaps);
    for (const entry of walked.entries) records.push(...readEntry(segment.file, entry, channels));
    expected = Math.max(expected, walked.end);
  }
  if (highest > expected) gaps.push({ from: expected, to: highest, reason: "lost-tail" });
  return { records, gaps, positions: namedPositions(channels), keys: channels.keys };
}

function namedPositions({ names, positions }: Channels): ReadLog["positions"] {
  const named = [...positions].map(([id, position]) => {
    const name = names.get(id);
    return [`${name?.receiver}/${name?.channel}`, position] as const;
  });
  return new Map(named);
}
