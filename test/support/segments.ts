/**
 * Segment files as the log writes them, for tests that look at bytes.
 */
import { encodeEntry, ENTRY_TYPE, recordlessFields } from "../../src/wal/entry.ts";
import { EntryBuffer } from "../../src/wal/entry-buffer.ts";
import {
  encodeSegmentHeader,
  saltOf,
  SEGMENT_HEADER_BYTES,
  SEGMENT_KIND,
  segmentFileName,
} from "../../src/wal/format.ts";
import { encodeNames, encodePositions, encodeSeal } from "../../src/wal/tables.ts";
import { storedBlock } from "./blocks.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";

/** What to put into a segment: `receiver` and the values of one block make an entry. */
export interface SegmentPlan {
  readonly segmentId: number;
  readonly baseOffset: number;
  readonly entries: readonly (
    | { readonly receiver: string; readonly values: readonly string[] }
    | "witness"
    | "close"
  )[];
  readonly seal?: boolean;
  /** Id of the segment that its header names as the one before; none unless given. */
  readonly previousSegmentId?: number;
  readonly logUuid?: Uint8Array;
}

/** A built segment and where its entries begin: NAMES and POSITIONS first. */
export interface BuiltSegment {
  readonly fileName: string;
  readonly bytes: Uint8Array;
  readonly positions: readonly number[];
  readonly endOffset: number;
}

export const TEST_UUID: Uint8Array = new Uint8Array(16).fill(9);
const CAPACITY_BYTES = 128 * 1024;
const BLOCK = 4096;

class SegmentBuilder {
  readonly bytes: Uint8Array = new Uint8Array(CAPACITY_BYTES);
  readonly positions: number[] = [];
  readonly #segmentId: number;
  readonly #salt: number;
  offset: number;
  #at = SEGMENT_HEADER_BYTES;
  #previousHeaderCrc = 0;

  constructor(plan: SegmentPlan, logUuid: Uint8Array) {
    this.#segmentId = plan.segmentId;
    this.#salt = saltOf(plan.segmentId, logUuid);
    this.offset = plan.baseOffset;
    const header = encodeSegmentHeader({
      kind: SEGMENT_KIND.data,
      logUuid,
      segmentId: plan.segmentId,
      baseOffset: plan.baseOffset,
      salt: this.#salt,
      epoch: 1,
      capacityBytes: CAPACITY_BYTES,
      createdWallMs: 1_000,
      previousEnd: plan.baseOffset,
      previousSalt:
        plan.previousSegmentId === undefined ? 0 : saltOf(plan.previousSegmentId, logUuid),
    });
    this.bytes.set(header, 0);
  }

  /** An entry without records. */
  add(type: number, body: Uint8Array, at: number = this.#at): void {
    const fields = recordlessFields({ ...this.#fields(), type, entryBytes: 0, baseTimeMs: 2_000 });
    const { bytes, headerCrc } = encodeEntry(body, fields, this.#salt);
    this.#put(bytes, headerCrc, at);
  }

  addRecords(channelId: number, values: readonly string[]): void {
    const buffer = new EntryBuffer();
    buffer.add(storedBlock(values), channelId, { epoch: 1, wallMs: 2_000 + this.offset });
    buffer.layOut();
    const { bytes, diskBytes, headerCrc } = buffer.seal(this.#fields(), this.#salt);
    this.#put(bytes.slice(0, diskBytes), headerCrc, this.#at);
    this.offset += values.length;
  }

  seal(baseOffset: number): void {
    const [endPosition, entryCount] = [this.#at, this.positions.length];
    const seal = { baseOffset, endOffset: this.offset, endPosition, entryCount };
    const body = encodeSeal({ ...seal, firstTimeMs: 2_000, lastTimeMs: 3_000 });
    this.add(ENTRY_TYPE.seal, body, CAPACITY_BYTES - BLOCK);
  }

  #fields(): {
    firstOffset: number;
    durableEnd: number;
    epoch: number;
    segmentId: number;
    previousHeaderCrc: number;
  } {
    const [firstOffset, previousHeaderCrc] = [this.offset, this.#previousHeaderCrc];
    return {
      firstOffset,
      durableEnd: firstOffset,
      epoch: 1,
      segmentId: this.#segmentId,
      previousHeaderCrc,
    };
  }

  #put(bytes: Uint8Array, headerCrc: number, at: number): void {
    this.bytes.set(bytes, at);
    this.positions.push(at);
    this.#at = at + bytes.length;
    this.#previousHeaderCrc = headerCrc;
  }
}

/** Builds a segment file. */
export function buildSegment(plan: SegmentPlan): BuiltSegment {
  const builder = new SegmentBuilder(plan, plan.logUuid ?? TEST_UUID);
  const receivers = [
    ...new Set(
      plan.entries.flatMap((entry) => (typeof entry === "string" ? [] : [entry.receiver])),
    ),
  ];
  const names = receivers.map((receiver, index) => ({
    channelId: index + 1,
    receiver,
    channel: "",
  }));
  for (const body of encodeNames(names)) builder.add(ENTRY_TYPE.names, body);
  for (const body of encodePositions([])) builder.add(ENTRY_TYPE.positions, body);
  for (const entry of plan.entries) {
    if (typeof entry === "string") builder.add(ENTRY_TYPE[entry], new Uint8Array(0));
    else builder.addRecords(receivers.indexOf(entry.receiver) + 1, entry.values);
  }
  if (plan.seal === true) builder.seal(plan.baseOffset);
  const fileName = segmentFileName(plan.baseOffset, plan.segmentId);
  const { bytes, positions, offset: endOffset } = builder;
  return { fileName, bytes, positions, endOffset };
}

/** A sealed segment with offsets 0..5 and an open one with 5..8. */
export function twoSegments(): { readonly first: BuiltSegment; readonly second: BuiltSegment } {
  const first = buildSegment({
    segmentId: 1,
    baseOffset: 0,
    entries: [
      { receiver: "meters", values: ["a", "bb"] },
      { receiver: "gates", values: ["ccc"] },
      { receiver: "meters", values: ["d", "e"] },
    ],
    seal: true,
  });
  const second = buildSegment({
    segmentId: 2,
    baseOffset: 5,
    entries: [
      { receiver: "gates", values: ["f", "g"] },
      { receiver: "meters", values: ["h"] },
      "witness",
    ],
  });
  return { first, second };
}

/** A disk with these segments in one directory. */
export function diskWith(directory: string, ...segments: readonly BuiltSegment[]): SimulatedDisk {
  const disk = new SimulatedDisk();
  for (const { fileName, bytes } of segments) disk.put(`${directory}/${fileName}`, bytes);
  return disk;
}
