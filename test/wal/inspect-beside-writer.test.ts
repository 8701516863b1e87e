/** Tools beside a writer: what changes under their eyes is no damage. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import type { LogGap, OffsetSpan } from "../../src/contract/log.ts";
import { type StoredBlock, valueOf } from "../../src/contract/record.ts";
import type { Files } from "../../src/host/files.ts";
import { verifyLog } from "../../src/wal/inspect.ts";
import { firstOffsetSince, type LogReading, openLogReading } from "../../src/wal/log-reading.ts";
import { type KnownLog, NOTHING_KNOWN } from "../../src/wal/segment-listing.ts";
import type { SimulatedDisk } from "../../src/testing/disk.ts";
import { buildSegment, diskWith, twoSegments } from "../support/segments.ts";
import {
  DIRECTORY,
  newScene,
  numbered,
  open,
  SEGMENT_BYTES,
  store,
  storeEach,
} from "./log-scene.ts";

/** The disk, with something that happens after each read of a file. */
function afterEachRead(disk: SimulatedDisk, fileName: string, act: () => void): Files {
  return {
    ...filesOf(disk),
    open: async (path, mode) => {
      const handle = await disk.open(path, mode);
      if (!path.endsWith(fileName)) return handle;
      return {
        path,
        read: async (...call) => {
          const count = await handle.read(...call);
          act();
          return count;
        },
        write: (...call) => handle.write(...call),
        sync: () => handle.sync(),
        truncate: (bytes) => handle.truncate(bytes),
        size: () => handle.size(),
        close: () => handle.close(),
      };
    },
  };
}

function filesOf(disk: SimulatedDisk): Files {
  return {
    open: (path, mode) => disk.open(path, mode),
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (path) => disk.list(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    syncDirectory: (path) => disk.syncDirectory(path),
    readFile: (path) => disk.readFile(path),
    stat: (path) => disk.stat(path),
    fileSystem: (path) => disk.fileSystem(path),
  };
}

test("verify: a writer that goes on while it is read has damaged nothing", async () => {
  const { first, second } = twoSegments();
  const path = `${DIRECTORY}/${second.fileName}`;
  const [, , third = 0, fourth = 0] = second.positions;
  for (const at of [third, fourth]) {
    // First the place is still empty and something is behind it, as when the writer overtakes the reader.
    const disk = diskWith(DIRECTORY, first, second);
    disk.patch(path, at, new Uint8Array(4096));
    let readCount = 0;
    const files = afterEachRead(disk, second.fileName, () => {
      readCount += 1;
      // Header, SEAL, entries, entries once more; then what was seen behind the hole is checked.
      if (readCount === 4) disk.patch(path, at, second.bytes.subarray(at, at + 4096));
    });
    const { findings, inspection } = await verifyLog(files, DIRECTORY);
    ok(readCount > 4);
    deepEqual([findings, inspection.nextOffset], [[], 8]);
  }
});

test("verify: segments that are freed from the oldest on while it reads are no hole", async () => {
  const { first, second } = twoSegments();
  const third = buildSegment({ segmentId: 3, baseOffset: 8, entries: ["witness"] });
  const disk = diskWith(DIRECTORY, first, second, third);
  const hold = disk.hold({ kind: "stat", path: second.fileName });
  const running = verifyLog(disk, DIRECTORY);
  while (hold.waiting === 0) await new Promise(setImmediate);
  disk.take(`${DIRECTORY}/${first.fileName}`);
  disk.take(`${DIRECTORY}/${second.fileName}`);
  hold.release();
  const { findings, inspection } = await running;
  deepEqual([findings, inspection.expiredCount, inspection.oldestOffset], [[], 2, 8]);
});

test("inspect: a segment that gets another life while it is read is no damage", async () => {
  const { first, second } = twoSegments();
  const disk = diskWith(DIRECTORY, first, second);
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

test("inspect and export: at every moment of a writer's life they see what it has made durable", async () => {
  const scene = newScene();
  const opened = await open(scene, { bytesMax: 8 * SEGMENT_BYTES });
  const known = (): KnownLog => ({ ...NOTHING_KNOWN, floor: scene.facts.floor });
  for (let round = 0; round < 60; round += 1) {
    await store(opened, [`record ${round}`]);
    if (round % 9 === 8) await opened.log.release(round - 4);
    const { findings, inspection } = await verifyLog(scene.disk, DIRECTORY, async () => known());
    const { nextOffset, unprovenRecords } = inspection;
    deepEqual([findings, nextOffset + unprovenRecords], [[], opened.log.durableEnd]);
    ok(unprovenRecords <= 1);
    const reading = await openLogReading(scene.disk, DIRECTORY, known());
    deepEqual(
      [reading.oldestOffset, reading.durableEnd],
      [opened.log.status().oldestOffset, nextOffset],
    );
    deepEqual(await textsOf(reading, reading.oldestOffset), {
      texts: numbered(nextOffset - reading.oldestOffset, reading.oldestOffset),
      gaps: [],
    });
  }
  await opened.log.close();
  deepEqual((await openLogReading(scene.disk, DIRECTORY, known())).durableEnd, 60);
});

test("export: what a killed process left unproven is left out, and the next start proves it", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await storeEach(opened, numbered(3));
  scene.kill();
  const left = await openLogReading(scene.disk, DIRECTORY, NOTHING_KNOWN);
  deepEqual([left.durableEnd, left.unprovenRecords], [2, 1]);
  const again = await open(scene);
  await store(again, ["record 3"]);
  const seen = await openLogReading(scene.disk, DIRECTORY, NOTHING_KNOWN);
  deepEqual((await textsOf(seen, 0)).texts, numbered(3));
  await again.log.close();
});

test("export: a damaged entry is an exact gap, a lost segment one with its reason", async () => {
  const { first, second } = twoSegments();
  const disk = diskWith(DIRECTORY, first, second);
  disk.flipBit(`${DIRECTORY}/${first.fileName}`, (first.positions[3] ?? 0) + 80, 0);
  const damaged = await openLogReading(disk, DIRECTORY, NOTHING_KNOWN);
  deepEqual(await textsOf(damaged, 0), {
    texts: ["a", "bb", "d", "e", "f", "g", "h"],
    gaps: [{ from: 2, to: 3, reason: "damaged" }],
  });
  const behind = await openLogReading(diskWith(DIRECTORY, second), DIRECTORY, {
    ...NOTHING_KNOWN,
    provenEnd: 9,
    gaps: [{ from: 3, to: 5, reason: "missing-segment" }],
  });
  deepEqual((await textsOf(behind, 0)).gaps, [
    { from: 0, to: 5, reason: "dropped" },
    { from: 8, to: 9, reason: "lost-tail" },
  ]);
});

test("export: records that are freed while they are read are dropped, not damaged", async () => {
  const { first, second } = twoSegments();
  const disk = diskWith(DIRECTORY, first, second);
  const reading = await openLogReading(disk, DIRECTORY, NOTHING_KNOWN);
  const next = buildSegment({ segmentId: 5, baseOffset: 8, entries: [] });
  disk.patch(`${DIRECTORY}/${first.fileName}`, 0, next.bytes);
  deepEqual((await textsOf(reading, 0)).gaps, [{ from: 0, to: 5, reason: "dropped" }]);
  disk.take(`${DIRECTORY}/${first.fileName}`);
  deepEqual((await textsOf(reading, 1)).gaps, [{ from: 1, to: 5, reason: "dropped" }]);
});

test("export: times choose where to begin", async () => {
  const scene = newScene();
  const opened = await open(scene);
  const hourMs = 3_600_000;
  const startMs = scene.clock.wallMs();
  for (let hour = 0; hour < 40; hour += 1) {
    await store(opened, [`record ${hour}`]);
    await scene.clock.advance(hourMs);
  }
  const reading = await openLogReading(scene.disk, DIRECTORY, NOTHING_KNOWN);
  const { signal } = new AbortController();
  const timeMs = startMs + 30 * hourMs;
  deepEqual(await firstOffsetSince(reading, timeMs, signal), 30);
  deepEqual(await firstOffsetSince(reading, timeMs + 1, signal), 31);
  deepEqual(await firstOffsetSince(reading, 0, signal), 0);
  deepEqual(await firstOffsetSince(reading, Infinity, signal), reading.durableEnd);
  const offset = reading.offsetAt(timeMs);
  ok(offset > 0 && offset <= 30);
  await opened.log.close();
});

/** What reading from an offset to the end gives; items must meet. */
async function textsOf(
  reading: LogReading,
  from: number,
): Promise<{ readonly texts: readonly string[]; readonly gaps: readonly LogGap[] }> {
  const texts: string[] = [];
  const gaps: LogGap[] = [];
  let next = from;
  const { signal } = new AbortController();
  for await (const item of reading.read({ from, to: reading.durableEnd }, signal)) {
    const { from: start, to } = item.kind === "gap" ? item : spanOf(item.block);
    equal(start, next);
    next = to;
    if (item.kind === "gap") gaps.push({ from: item.from, to: item.to, reason: item.reason });
    else
      for (let index = 0; index < item.block.count; index += 1)
        texts.push(Buffer.from(valueOf(item.block, index)).toString());
  }
  equal(next, reading.durableEnd);
  return { texts, gaps };
}

function spanOf({ firstOffset, count }: StoredBlock): OffsetSpan {
  return { from: firstOffset, to: firstOffset + count };
}
