/**
 * Sets damage aside: every segment is read through, damaged bytes are copied into the quarantine, and lost
 * ranges become gaps in the ledger, as an opening and later readers would make them one by one. Nothing is
 * deleted or overwritten. The caller holds the lock, and nothing else has the log open.
 */
import { join } from "node:path";

import type { LogFacts, LogGap, OffsetSpan } from "../contract/log.ts";
import { codeOf } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { Files } from "../host/files.ts";
import { SEGMENT_HEADER_BYTES } from "./format.ts";
import { uncovered } from "./gaps.ts";
import { quarantine, quarantinePath } from "./quarantine.ts";
import type { Segment } from "./segment.ts";
import { readHeader } from "./header-reading.ts";
import { SegmentWindow } from "./segment-window.ts";
import {
  damagesIn,
  type FoundGap,
  type FoundSegment,
  scanKnown,
  surveyDirectory,
} from "./survey.ts";

/** Most bytes of one copy; a longer range makes several. */
const COPY_BYTES_MAX: number = 4 * 1024 * 1024;

/** A log that nobody has open. */
export interface ClosedLog {
  readonly files: Files;
  readonly clock: Clock;
  readonly directory: string;
  readonly logUuid: Uint8Array;
  readonly facts: LogFacts;
}

/** Damage that was not known before. */
export interface Repaired {
  /** Undefined where a whole file is missing. */
  readonly file: string | undefined;
  /** Bytes in the file. */
  readonly positions: readonly [from: number, to: number] | undefined;
  /** Records that are lost, now a gap in the ledger; undefined where none are. */
  readonly gap: LogGap | undefined;
  /** Copies of the bytes. */
  readonly copies: readonly string[];
  /** Code of the error that kept a copy from being made; the bytes are still in their file. */
  readonly copyError: string | undefined;
}

/** What a repair found. */
export interface Repair {
  readonly repaired: readonly Repaired[];
  /** What was odd and is left as it is, as sentences. */
  readonly notes: readonly string[];
}

/** Bytes of a segment that are not as they were written, and the records that went with them, if any. */
interface Damage extends OffsetSpan {
  readonly reason: LogGap["reason"];
  readonly bytes: FoundGap["bytes"];
}

/**
 * Repairs a log; a second run finds nothing. Rejects with ENOENT when there is none, with LOG_VERSION, and with
 * LOG_FAILED when the ledger cannot be written.
 */
export async function repairLog(log: ClosedLog): Promise<Repair> {
  const survey = await surveyDirectory(log);
  const damages: Damage[] = [...survey.gaps];
  for (const found of survey.segments) damages.push(...(await damagesOf(log, found)));
  const repaired: Repaired[] = [];
  for (const damage of damages.toSorted((a, b) => a.from - b.from)) {
    const done = await setAside(log, damage);
    if (done !== undefined) repaired.push(done);
  }
  return { repaired, notes: survey.notes };
}

/** Everything in one segment, what an opening reports included: that is set aside once all the same. */
async function damagesOf(log: ClosedLog, found: FoundSegment): Promise<readonly Damage[]> {
  const { segment } = found;
  const scan = found.scan ?? (await scanKnown(log, segment));
  const tables = scan.damages
    .filter((damage) => damage.to === damage.from)
    .map((damage): Damage => tableDamage(segment, damage));
  const { lostTail, endPosition } = scan.verdict;
  const isEndKnown = lostTail !== undefined && segment.end.offset >= lostTail.to;
  const tail: readonly Damage[] = isEndKnown
    ? [
        {
          ...lostTail,
          reason: "damaged",
          bytes: { segment, fromPosition: endPosition, toPosition: segment.end.position },
        },
      ]
    : [];
  return [
    ...(await headerDamage(log, segment)),
    ...tables,
    ...damagesIn({ scan, segment }),
    ...tail,
  ];
}

function tableDamage(
  segment: Segment,
  damage: OffsetSpan & { readonly fromPosition: number; readonly toPosition: number },
): Damage {
  const { from, to, fromPosition, toPosition } = damage;
  return { from, to, reason: "damaged", bytes: { segment, fromPosition, toPosition } };
}

async function headerDamage(
  { files, directory }: ClosedLog,
  segment: Segment,
): Promise<readonly Damage[]> {
  const { baseOffset, fileName } = segment.identity;
  const header = await readHeader(files, join(directory, fileName));
  if (header.kind !== "invalid") return [];
  const place = { fromPosition: 0, toPosition: SEGMENT_HEADER_BYTES };
  return [tableDamage(segment, { from: baseOffset, to: baseOffset, ...place })];
}

/** The copy first: killed in between, the next run finds the same damage and copies it again. */
async function setAside(log: ClosedLog, damage: Damage): Promise<Repaired | undefined> {
  const { from, to, reason, bytes } = damage;
  const isLoss = to > from;
  const isKnown = isLoss
    ? uncovered(log.facts.gaps, damage).length === 0
    : await hasCopies(log, damage);
  if (isKnown) return undefined;
  const { copies, copyError } = await copyAside(log, damage);
  for (const part of isLoss ? uncovered(log.facts.gaps, damage) : [])
    await log.facts.addGap({ ...part, reason });
  return {
    file: bytes?.segment.identity.fileName,
    positions: bytes && [bytes.fromPosition, bytes.toPosition],
    gap: isLoss ? { from, to, reason } : undefined,
    copies,
    copyError,
  };
}

interface Piece {
  readonly segmentId: number;
  readonly position: number;
  readonly bytes: number;
}

function piecesOf({ bytes }: Damage): readonly Piece[] {
  if (bytes === undefined) return [];
  const { fromPosition, toPosition, segment } = bytes;
  const count = Math.ceil((toPosition - fromPosition) / COPY_BYTES_MAX);
  return Array.from({ length: count }, (_, index) => {
    const position = fromPosition + index * COPY_BYTES_MAX;
    const end = Math.min(position + COPY_BYTES_MAX, toPosition);
    return { segmentId: segment.identity.segmentId, position, bytes: end - position };
  });
}

async function hasCopies({ files, directory }: ClosedLog, damage: Damage): Promise<boolean> {
  for (const piece of piecesOf(damage))
    if ((await files.stat(quarantinePath(directory, piece))) === undefined) return false;
  return true;
}

async function copyAside(
  { files, clock, directory }: ClosedLog,
  damage: Damage,
): Promise<Pick<Repaired, "copies" | "copyError">> {
  const { from, to, reason, bytes } = damage;
  const copies: string[] = [];
  if (bytes === undefined) return { copies, copyError: undefined };
  const { fileName, salt } = bytes.segment.identity;
  const window = new SegmentWindow(files, join(directory, fileName), {
    salt,
    limit: bytes.toPosition,
  });
  try {
    for (const { segmentId, position, bytes: length } of piecesOf(damage)) {
      const piece = await window.copy(position, position + length);
      const range = { segmentId, position, bytes: piece, from, to, reason };
      copies.push(await quarantine(files, directory, { ...range, wallMs: clock.wallMs() }));
    }
    return { copies, copyError: undefined };
  } catch (cause) {
    // Without room for the copy the gap is recorded all the same: the bytes stay where they are.
    return { copies, copyError: codeOf(cause) };
  } finally {
    await window.close();
  }
}
