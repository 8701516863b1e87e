import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import { encodeSegmentHeader, decodeSegmentHeader, viewOf } from "../../src/wal/format.ts";
import { inspectLog, verifyLog } from "../../src/wal/inspect.ts";
import { NOTHING_KNOWN } from "../../src/wal/segment-listing.ts";
import { buildSegment, diskWith, twoSegments } from "../support/segments.ts";

const DIRECTORY = "/data/log";

test("inspect: entries, sizes and the ranges of each receiver", async () => {
  const { first, second } = twoSegments();
  const disk = diskWith(DIRECTORY, first, second);
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
    DIRECTORY,
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
      const disk = diskWith(DIRECTORY, first, second);
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
  const torn = diskWith(DIRECTORY, first, second);
  torn.cut(`${DIRECTORY}/${second.fileName}`, witness);
  torn.flipBit(`${DIRECTORY}/${second.fileName}`, record + 80, 0);
  deepEqual(
    [(await verifyLog(torn, DIRECTORY)).findings, (await inspectLog(torn, DIRECTORY)).nextOffset],
    [[], 7],
  );
  const damaged = diskWith(DIRECTORY, first, second);
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
  const { isWhole, findings, lostRecords } = await verifyLog(
    diskWith(DIRECTORY, first, later),
    DIRECTORY,
  );
  deepEqual(
    [isWhole, lostRecords, findings[0]?.kind, findings[0]?.offsets],
    [false, 4, "missing-records", [5, 9]],
  );
});

test("verify: a lost header block costs nothing where a neighbour names the log", async () => {
  const { first, second } = twoSegments();
  const disk = diskWith(DIRECTORY, first, second);
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
  const disk = diskWith(DIRECTORY, first, second, foreign, newer);
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

const again = {
  segmentId: 3,
  baseOffset: 5,
  entries: [
    { receiver: "gates", values: ["f", "g"] },
    { receiver: "meters", values: ["h", "i"] },
    "witness",
  ],
} as const;

test("verify: what a rescue segment holds counts there, not in the one before", async () => {
  const { first, second } = twoSegments();
  const rescue = buildSegment({ ...again, previousSegmentId: 2 });
  const { isWhole, inspection } = await verifyLog(
    diskWith(DIRECTORY, first, second, rescue),
    DIRECTORY,
  );
  deepEqual([isWhole, inspection.recordCount, inspection.nextOffset], [true, 9, 9]);
});

test("verify: an unfinished copy counts only when what it copies is empty", async () => {
  const { first, second } = twoSegments();
  const copied = await verifyLog(
    diskWith(DIRECTORY, first, second, buildSegment(again)),
    DIRECTORY,
  );
  deepEqual(
    [copied.isWhole, copied.inspection.recordCount, copied.inspection.segments.length],
    [true, 8, 2],
  );
  const empty = buildSegment({ segmentId: 2, baseOffset: 5, entries: [] });
  const behind = await verifyLog(diskWith(DIRECTORY, first, empty, buildSegment(again)), DIRECTORY);
  deepEqual([behind.isWhole, behind.inspection.recordCount], [true, 9]);
});

test("inspect: an entry counts only when something later shows that it was durable", async () => {
  const plan = {
    segmentId: 1,
    baseOffset: 0,
    entries: [
      { receiver: "m", values: ["a"] },
      { receiver: "m", values: ["b", "c"] },
    ],
  };
  const open = await inspectLog(diskWith(DIRECTORY, buildSegment(plan)), DIRECTORY);
  deepEqual(
    [open.nextOffset, open.recordCount, open.unprovenRecords, open.channels[0]?.endOffset],
    [1, 1, 2, 1],
  );
  for (const proof of ["witness", "close"] as const) {
    const disk = diskWith(DIRECTORY, buildSegment({ ...plan, entries: [...plan.entries, proof] }));
    const { nextOffset, unprovenRecords } = await inspectLog(disk, DIRECTORY);
    deepEqual([nextOffset, unprovenRecords], [3, 0], proof);
  }
  const sealed = await inspectLog(
    diskWith(DIRECTORY, buildSegment({ ...plan, seal: true })),
    DIRECTORY,
  );
  const behind = buildSegment({ segmentId: 2, baseOffset: 3, entries: [] });
  const followed = await inspectLog(diskWith(DIRECTORY, buildSegment(plan), behind), DIRECTORY);
  const committed = await inspectLog(diskWith(DIRECTORY, buildSegment(plan)), DIRECTORY, {
    ...NOTHING_KNOWN,
    provenEnd: 3,
  });
  deepEqual([sealed.nextOffset, followed.nextOffset, committed.nextOffset], [3, 3, 3]);
});

test("verify: what the ledger knows and the log lacks is lost, unless it is a known gap", async () => {
  const { first, second } = twoSegments();
  const known = { ...NOTHING_KNOWN, floor: { segmentId: 1, offset: 0 }, provenEnd: 9 };
  const lost = await verifyLog(diskWith(DIRECTORY, first, second), DIRECTORY, async () => known);
  deepEqual(
    [lost.isWhole, lost.lostRecords, lost.findings.map((finding) => finding.offsets)],
    [false, 1, [[8, 9]]],
  );
  const told = await verifyLog(diskWith(DIRECTORY, second), DIRECTORY, async () => ({
    ...known,
    provenEnd: 8,
    gaps: [{ from: 0, to: 4, reason: "missing-segment" }],
  }));
  deepEqual(
    [told.isWhole, told.lostRecords, told.findings.map(({ isKnown }) => isKnown)],
    [false, 1, [false]],
  );
  const whole = await verifyLog(diskWith(DIRECTORY, second), DIRECTORY, async () => ({
    ...known,
    provenEnd: 8,
    gaps: [{ from: 0, to: 5, reason: "missing-segment" }],
  }));
  deepEqual([whole.isWhole, whole.lostRecords, whole.findings[0]?.isKnown], [true, 0, true]);
  const nothing = await verifyLog(diskWith(DIRECTORY, first, second), DIRECTORY, async () => ({
    ...known,
    floor: { segmentId: 2, offset: 5 },
    provenEnd: 8,
  }));
  deepEqual([nothing.isWhole, nothing.inspection.oldestOffset], [true, 5]);
});

test("inspect: a file that is gone when it is opened is no damage, one that cannot be read is named", async () => {
  const { first, second } = twoSegments();
  const disk = diskWith(DIRECTORY, first, second);
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
  const disk = diskWith(DIRECTORY, first, second);
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
