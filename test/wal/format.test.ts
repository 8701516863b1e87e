import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { BLOCK_HEADER_BYTES } from "../../src/wal/block-codec.ts";
import {
  bodyIsValid,
  decodeEntryHeader,
  encodeEntry,
  ENTRY_HEADER_BYTES,
  ENTRY_TYPE,
  recordlessFields,
  sealEntry,
} from "../../src/wal/entry.ts";

import {
  ALIGNMENT_BYTES,
  decodeSegmentHeader,
  encodeSegmentHeader,
  parseFileName,
  readU64,
  saltOf,
  SEGMENT_HEADER_FIELDS_BYTES,
  SEGMENT_KIND,
  type SegmentHeader,
  segmentFileName,
  spareFileName,
  viewOf,
  writeU64,
} from "../../src/wal/format.ts";
import { SEAL_BODY_BYTES } from "../../src/wal/tables.ts";

const uuid = fc.uint8Array({ minLength: 16, maxLength: 16 });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const u64 = fc.maxSafeNat();

test("format: sizes are those of the specification", () => {
  equal(ALIGNMENT_BYTES, 4096);
  equal(SEGMENT_HEADER_FIELDS_BYTES, 88);
  equal(ENTRY_HEADER_BYTES, 72);
  equal(BLOCK_HEADER_BYTES, 32);
  equal(SEAL_BODY_BYTES, 48);
});

test("format: numbers up to 2^53-1 come back, larger ones are not a number", () => {
  fc.assert(
    fc.property(u64, (value) => {
      const view = viewOf(new Uint8Array(8));
      writeU64(view, 0, value);
      equal(readU64(view, 0), value);
    }),
  );
  const view = viewOf(new Uint8Array(8).fill(0xff));
  ok(Number.isNaN(readU64(view, 0)));
});

const segmentHeader: fc.Arbitrary<SegmentHeader> = fc
  .record({
    logUuid: uuid,
    segmentId: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    baseOffset: u64,
    epoch: u32,
    capacity: fc.integer({ min: 16, max: 1000 }),
    createdWallMs: u64,
    share: fc.nat(1000),
    previousSalt: u32,
  })
  .map(({ capacity, share, ...header }) => ({
    ...header,
    kind: SEGMENT_KIND.data,
    salt: saltOf(header.segmentId, header.logUuid),
    capacityBytes: capacity * ALIGNMENT_BYTES,
    // Rounding may lead past the base itself, which no writer does.
    previousEnd: Math.min(header.baseOffset, Math.floor((header.baseOffset / 1000) * share)),
  }));

test("format: a segment header comes back, and any flipped bit in it is seen", () => {
  fc.assert(
    fc.property(segmentHeader, fc.nat(SEGMENT_HEADER_FIELDS_BYTES * 8 - 1), (header, bit) => {
      const bytes = encodeSegmentHeader(header);
      equal(bytes.length, 4096);
      deepEqual(decodeSegmentHeader(bytes), { kind: "valid", header });
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      equal(decodeSegmentHeader(bytes).kind, "invalid");
    }),
  );
});

test("format: salts of one log differ, also between ids that follow each other", () => {
  const logUuid = new Uint8Array(16).fill(3);
  const salts = new Set(Array.from({ length: 50_000 }, (_, id) => saltOf(id + 1, logUuid)));
  equal(salts.size, 50_000);
});

test("format: file names sort by offset and come back", () => {
  fc.assert(
    fc.property(u64, u32, (baseOffset, segmentId) => {
      deepEqual(parseFileName(segmentFileName(baseOffset, segmentId)), {
        kind: "segment",
        baseOffset,
        segmentId,
      });
      deepEqual(parseFileName(spareFileName(segmentId)), { kind: "spare", segmentId });
    }),
  );
  for (const name of [
    "seg-1-2.hfw",
    "LOCK",
    "spare-0000000g.hfw",
    "seg-0000000000000000-00000001.hfw.bak",
  ])
    deepEqual(parseFileName(name), { kind: "other" });
  ok(segmentFileName(255, 9) < segmentFileName(256, 1));
});

const recordless = fc.record({
  type: fc.constantFrom(2, 3, 4, 5, 6, 7, 16, 200),
  firstOffset: u64,
  share: fc.nat(1000),
  baseTimeMs: u64,
  epoch: u32,
  segmentId: u32,
  previousHeaderCrc: u32,
});

test("entry: a header comes back, checks its body, and fails under any other salt or with any flipped bit", () => {
  fc.assert(
    fc.property(
      recordless,
      fc.uint8Array({ maxLength: 300 }),
      u32,
      fc.nat(),
      ({ share, ...fields }, body, salt, bit) => {
        // Rounding may lead past the offset itself, which no writer does.
        const durableEnd = Math.min(
          fields.firstOffset,
          Math.floor((fields.firstOffset / 1000) * share),
        );
        const all = recordlessFields({
          ...fields,
          durableEnd,
          entryBytes: ENTRY_HEADER_BYTES + body.length,
        });
        const { bytes, headerCrc } = encodeEntry(body, all, salt);
        equal(bytes.length % ALIGNMENT_BYTES, 0);
        const header = decodeEntryHeader(bytes, 0, salt);
        const { segmentId, ...same } = all;
        deepEqual(header && { ...header, bodyCrc: 0 }, {
          ...same,
          segmentIdLow: segmentId,
          bodyCrc: 0,
          headerCrc,
        });
        ok(header && bodyIsValid(bytes, 0, header, salt));
        equal(decodeEntryHeader(bytes, 0, (salt + 1) >>> 0), undefined);
        const at = bit % (all.entryBytes * 8);
        bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7));
        const flipped = decodeEntryHeader(bytes, 0, salt);
        ok(flipped === undefined || !bodyIsValid(bytes, 0, flipped, salt));
      },
    ),
  );
});

test("entry: zeros, the reserved types and impossible sizes are never an entry", () => {
  equal(decodeEntryHeader(new Uint8Array(4096), 0, 5), undefined);
  equal(decodeEntryHeader(new Uint8Array(40), 0, 5), undefined);
  const fields = recordlessFields({
    type: 1,
    entryBytes: 72,
    firstOffset: 9,
    durableEnd: 9,
    baseTimeMs: 0,
    epoch: 1,
    segmentId: 1,
    previousHeaderCrc: 0,
  });
  for (const wrong of [
    { type: 0 },
    { type: 255 },
    { durableEnd: 10 },
    { payloadBytes: 1 },
    { firstOffset: Number.MAX_SAFE_INTEGER, durableEnd: 0, recordCount: 1 },
  ]) {
    const bytes = new Uint8Array(4096);
    sealEntry(bytes, 0, { ...fields, ...wrong }, 5);
    equal(decodeEntryHeader(bytes, 0, 5), undefined, JSON.stringify(wrong));
  }
});

test("entry: the types of the specification keep their numbers", () => {
  const { close, data, keys, names, positions, seal, snapshot, witness } = ENTRY_TYPE;
  deepEqual(
    [data, witness, seal, names, close, positions, keys, snapshot],
    [1, 2, 3, 4, 5, 6, 7, 16],
  );
});
