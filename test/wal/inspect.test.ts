import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import { encodeSegmentHeader, decodeSegmentHeader, viewOf } from "../../src/wal/format.ts";
import { inspectLog, verifyLog } from "../../src/wal/inspect.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
import { buildSegment, type BuiltSegment } from "../support/segments.ts";

const DIRECTORY = "/data/log";

/** A sealed segment with offsets 0..5 and an open one with 5..8. */
function twoSegments(): { readonly first: BuiltSegment; readonly second: BuiltSegment } {
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

function diskWith(...segments: readonly BuiltSegment[]): SimulatedDisk {
  const disk = new SimulatedDisk();
  for (const { fileName, bytes } of segments) disk.put(`${DIRECTORY}/${fileName}`, bytes);
  return disk;
}

test("inspect: entries, sizes and the ranges of each receiver", async () => {
  const { first, second } = twoSegments();
  const disk = diskWith(first, second);
  disk.put(`${DIRECTORY}/spare-00000009.hfw`, new Uint8Array(8));
  const found = await inspectLog(disk, DIRECTORY);
  deepEqual(
    [found.oldestOffset, found.nextOffset, found.recordCount, found.entryCount, found.spareCount],
    [0, 8, 8, 11, 1],
  );
  deepEqual(found.channels, [
    {
      receiver: "meters",
      channel: "",
      recordCount: 5,
      payloadBytes: 11,
      firstOffset: 0,
      endOffset: 8,
    },
    {
      receiver: "gates",
      channel: "",
      recordCount: 3,
      payloadBytes: 8,
      firstOffset: 2,
      endOffset: 7,
    },
  ]);
  deepEqual(
    found.segments.map(({ content }) => [
      content.isSealed,
      content.isClosed,
      content.provenEnd,
      content.endOffset,
    ]),
    [
      [true, false, 5, 5],
      [false, false, 8, 8],
    ],
  );
  deepEqual(found.segments[1]?.content.entriesByType, {
    names: 1,
    positions: 1,
    data: 2,
    witness: 1,
  });
  deepEqual(
    [found.segments[0]?.content.firstTimeMs, found.segments[0]?.content.lastTimeMs],
    [2_000, 2_003],
  );
});

test("inspect: a closed log says so, and verify finds nothing in it", async () => {
  const disk = diskWith(
    buildSegment({
      segmentId: 1,
      baseOffset: 0,
      entries: [{ receiver: "m", values: ["a"] }, "close"],
    }),
  );
  const { isWhole, findings, lostRecords, inspection } = await verifyLog(disk, DIRECTORY);
  deepEqual(
    [isWhole, findings, lostRecords, inspection.segments[0]?.content.isClosed],
    [true, [], 0, true],
  );
});

test("verify: a flipped bit anywhere costs one entry at most, and the range is exact", async () => {
  const { first, second } = twoSegments();
  const expected: readonly (readonly [number, number] | undefined)[] = [
    undefined,
    undefined,
    [0, 2],
    [2, 3],
    [3, 5],
  ];
  for (const [index, offsets] of expected.entries()) {
    for (const byte of [0, 4, 16, 60, 70, 73, 79]) {
      const disk = diskWith(first, second);
      const position = first.positions[index] ?? 0;
      disk.flipBit(`${DIRECTORY}/${first.fileName}`, position + byte, byte % 8);
      const { isWhole, findings, lostRecords } = await verifyLog(disk, DIRECTORY);
      equal(isWhole, offsets === undefined);
      equal(lostRecords, offsets === undefined ? 0 : offsets[1] - offsets[0]);
      deepEqual(
        findings.map(({ kind, positions, offsets: lost }) => ({ kind, positions, lost })),
        [
          {
            kind: offsets === undefined ? "damaged-table" : "damaged-records",
            positions: [position, position + 4096],
            lost: offsets,
          },
        ],
        `entry ${index}, byte ${byte}`,
      );
    }
  }
});

test("verify: a torn tail of an open segment is no damage, one before a witness is", async () => {
  const { first, second } = twoSegments();
  const [, , , record = 0, witness = 0] = second.positions;
  const torn = diskWith(first, second);
  torn.cut(`${DIRECTORY}/${second.fileName}`, witness);
  torn.flipBit(`${DIRECTORY}/${second.fileName}`, record + 80, 0);
  deepEqual(
    [(await verifyLog(torn, DIRECTORY)).findings, (await inspectLog(torn, DIRECTORY)).nextOffset],
    [[], 7],
  );
  const damaged = diskWith(first, second);
  damaged.flipBit(`${DIRECTORY}/${second.fileName}`, record + 80, 0);
  deepEqual(
    (await verifyLog(damaged, DIRECTORY)).findings.map((finding) => finding.offsets),
    [[7, 8]],
  );
});

test("verify: a missing segment is an exact range", async () => {
  const { first } = twoSegments();
  const later = buildSegment({
    segmentId: 3,
    baseOffset: 9,
    entries: [{ receiver: "m", values: ["x"] }],
  });
  const { isWhole, findings, lostRecords } = await verifyLog(diskWith(first, later), DIRECTORY);
  deepEqual(
    [isWhole, lostRecords, findings[0]?.kind, findings[0]?.offsets],
    [false, 4, "missing-records", [5, 9]],
  );
});

test("verify: a lost header block costs nothing where a neighbour names the log", async () => {
  const { first, second } = twoSegments();
  const disk = diskWith(first, second);
  disk.patch(`${DIRECTORY}/${first.fileName}`, 0, new Uint8Array(4096));
  const { isWhole, findings, inspection } = await verifyLog(disk, DIRECTORY);
  deepEqual(
    [isWhole, findings.map((finding) => finding.kind), inspection.recordCount],
    [true, ["damaged-header"], 8],
  );
});

test("verify: files of another log and of a newer format are named and not read", async () => {
  const { first, second } = twoSegments();
  const foreign = buildSegment({
    segmentId: 7,
    baseOffset: 3,
    entries: ["close"],
    logUuid: new Uint8Array(16).fill(1),
  });
  const newer = buildSegment({ segmentId: 8, baseOffset: 8, entries: [] });
  const disk = diskWith(first, second, foreign, newer);
  const decoded = decodeSegmentHeader(newer.bytes);
  ok(decoded.kind === "valid");
  const header = encodeSegmentHeader(decoded.header);
  viewOf(header).setUint16(8, 2, true);
  const { crc32 } = await import("node:zlib");
  viewOf(header).setUint32(84, crc32(header.subarray(0, 84)), true);
  disk.patch(`${DIRECTORY}/${newer.fileName}`, 0, header);
  const { isWhole, findings, inspection } = await verifyLog(disk, DIRECTORY);
  deepEqual([isWhole, inspection.recordCount], [true, 8]);
  deepEqual(
    findings.map(({ kind, file }) => [kind, file]),
    [
      ["unsupported", newer.fileName],
      ["foreign", foreign.fileName],
    ],
  );
});

test("verify: of two segments with the same offsets the newer one counts", async () => {
  const { first, second } = twoSegments();
  const copy = buildSegment({
    segmentId: 3,
    baseOffset: 5,
    entries: [
      { receiver: "gates", values: ["f", "g"] },
      { receiver: "meters", values: ["h", "i"] },
    ],
  });
  const { isWhole, inspection } = await verifyLog(diskWith(first, second, copy), DIRECTORY);
  deepEqual([isWhole, inspection.recordCount, inspection.nextOffset], [true, 9, 9]);
});

test("inspect: a segment that gets another life while it is read is no damage", async () => {
  const { first, second } = twoSegments();
  const disk = diskWith(first, second);
  disk.flipBit(`${DIRECTORY}/${first.fileName}`, (first.positions[2] ?? 0) + 80, 0);
  const path = `${DIRECTORY}/${first.fileName}`;
  const next = buildSegment({ segmentId: 5, baseOffset: 8, entries: [] });
  // The first look at the file finds the old life; then the writer recycles it.
  const hold = disk.hold({ kind: "stat", path: first.fileName });
  const running = verifyLog(disk, DIRECTORY);
  while (hold.waiting === 0) await new Promise(setImmediate);
  disk.patch(path, 0, next.bytes.subarray(0, 4096));
  hold.release();
  const { findings, inspection } = await running;
  deepEqual([findings, inspection.expiredCount, inspection.segments.length], [[], 1, 1]);
});

test("inspect: a file that is gone when it is opened is no damage, one that cannot be read is named", async () => {
  const { first, second } = twoSegments();
  const disk = diskWith(first, second);
  disk.inject({ what: "error", kind: "stat", path: second.fileName, nth: 1, code: "EIO" });
  const { isWhole, findings } = await verifyLog(disk, DIRECTORY);
  deepEqual(
    [isWhole, findings.map(({ kind, reason }) => [kind, reason])],
    [false, [["unreadable", "EIO"]]],
  );
  disk.inject({ what: "error", kind: "open", path: second.fileName, nth: 1, code: "ENOENT" });
  equal((await inspectLog(disk, DIRECTORY)).expiredCount, 1);
});

test("inspect: nothing is written, and no directory is an error", async () => {
  const { first, second } = twoSegments();
  const disk = diskWith(first, second);
  await verifyLog(disk, DIRECTORY);
  deepEqual(
    [
      disk.callCount("write"),
      disk.callCount("create"),
      disk.callCount("rename"),
      disk.unsynced().length,
    ],
    [0, 0, 0, 0],
  );
  await rejects(inspectLog(disk, "/data/none"), { code: "ENOENT" });
  disk.putDirectory("/data/empty");
  deepEqual((await inspectLog(disk, "/data/empty")).nextOffset, 0);
});
