import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import { decodeEntryHeader, ENTRY_TYPE, type EntryHeader } from "../../src/wal/entry.ts";
import {
  encodeSegmentHeader,
  parseFileName,
  saltOf,
  SEGMENT_HEADER_BYTES,
  SEGMENT_KIND,
  segmentFileName,
} from "../../src/wal/format.ts";
import {
  DIRECTORY,
  MemoryFacts,
  newScene,
  numbered,
  open,
  readBack,
  type Scene,
  SEGMENT_BYTES,
  segmentPaths,
  store,
  storeEach,
  UUID,
} from "./log-scene.ts";

interface FoundEntry {
  readonly position: number;
  readonly header: EntryHeader;
}

/** The entries of a segment file, by their headers. */
function entriesOf(scene: Scene, path: string): FoundEntry[] {
  const parsed = parseFileName(path.slice(DIRECTORY.length + 1));
  const salt = saltOf(parsed.kind === "segment" ? parsed.segmentId : 0, UUID);
  const bytes = scene.disk.contents(path);
  const entries: FoundEntry[] = [];
  for (let position = SEGMENT_HEADER_BYTES; position < bytes.length; position += 4096) {
    const header = decodeEntryHeader(bytes, position, salt);
    if (header !== undefined) entries.push({ position, header });
  }
  return entries;
}

/** The same disk once more, and no ledger: what the log's own bytes say has to do. */
function twin(scene: Scene): Scene {
  return newScene(scene.disk.clone());
}

/**
 * Two records in three segments each, and a log that died: NAMES, POSITIONS, DATA ..., WITNESS,
 * DATA.
 */
async function deadLog(): Promise<{ readonly scene: Scene; readonly texts: readonly string[] }> {
  const scene = newScene();
  const opened = await open(scene, { witnessAfterMs: 1_000 });
  const texts = numbered(26);
  await storeEach(opened, texts.slice(0, 24));
  await scene.clock.advance(3_000);
  await store(opened, texts.slice(24), { channel: "orders", position: Buffer.from("p") });
  scene.crash("none");
  return { scene, texts };
}

test("recovery: cut anywhere in the last entries, what is whole stays and nothing else appears", async () => {
  const { scene, texts } = await deadLog();
  const path = segmentPaths(scene).at(-1) ?? "";
  const last = entriesOf(scene, path).slice(-3);
  const [from] = last;
  const cuts: number[] = [];
  for (const { position, header } of last) {
    for (let at = 0; at <= header.entryBytes + 2; at += 1) cuts.push(position + at);
    for (let at = header.entryBytes; at < 4096; at += 701) cuts.push(position + at);
  }
  for (const bytes of cuts) {
    const again = twin(scene);
    again.disk.cut(path, bytes);
    const opened = await open(again);
    const whole = last.filter(({ header, position }) => position + header.entryBytes <= bytes);
    const end = whole.at(-1)?.header ?? {
      firstOffset: from?.header.firstOffset ?? 0,
      recordCount: 0,
    };
    deepEqual(
      await readBack(opened),
      { texts: texts.slice(0, end.firstOffset + end.recordCount), gaps: [] },
      `cut at ${bytes}`,
    );
  }
});

test("recovery: a lost tail that the ledger knows of is an exact gap, and offsets are never used twice", async () => {
  const { scene, texts } = await deadLog();
  const path = segmentPaths(scene).at(-1) ?? "";
  for (const last of entriesOf(scene, path).slice(-4)) {
    const again = twin(scene);
    again.facts.nextOffsetMin = 26;
    again.disk.cut(path, last.position + 80);
    const opened = await open(again);
    const kept = last.header.firstOffset;
    const gaps = kept < 26 ? [{ from: kept, to: 26, reason: "lost-tail" as const }] : [];
    deepEqual(await readBack(opened), { texts: texts.slice(0, kept), gaps });
    deepEqual(again.facts.gaps, gaps);
    equal(opened.recovery.isClean, false);
    equal(opened.log.status().state, kept < 26 ? "degraded" : "running");
    deepEqual(await store(opened, ["new"]), { firstOffset: 26, recordCount: 1 });
    again.crash("none");
    const third = await open(again);
    deepEqual(await readBack(third), { texts: [...texts.slice(0, kept), "new"], gaps });
    deepEqual(third.recovery.gaps, []);
  }
});

test("recovery: a flipped bit anywhere costs at most the records of its entry, as an exact gap", async () => {
  const { scene, texts } = await deadLog();
  for (const path of segmentPaths(scene)) {
    const entries = entriesOf(scene, path);
    for (const [index, { header, position }] of entries.entries()) {
      const isLastOfLog = path === segmentPaths(scene).at(-1) && index === entries.length - 1;
      const flips = [
        0,
        4,
        8,
        13,
        17,
        25,
        33,
        41,
        45,
        49,
        53,
        57,
        61,
        65,
        70,
        73,
        header.entryBytes - 1,
      ].filter((byte) => byte < header.entryBytes);
      for (const byte of flips) {
        const again = twin(scene);
        again.facts.nextOffsetMin = isLastOfLog ? 26 : 0;
        again.disk.flipBit(path, position + byte, byte % 8);
        const opened = await open(again);
        const { firstOffset, recordCount } = header;
        const why = `${path} entry ${index} type ${header.type} byte ${byte}`;
        const reason = isLastOfLog ? ("lost-tail" as const) : ("damaged" as const);
        const gaps =
          recordCount === 0 ? [] : [{ from: firstOffset, to: firstOffset + recordCount, reason }];
        deepEqual(
          await readBack(opened),
          {
            texts: texts.filter(
              (_, offset) => !(offset >= firstOffset && offset < firstOffset + recordCount),
            ),
            gaps,
          },
          why,
        );
        deepEqual(again.told.gaps, gaps, why);
        ok(
          again.told.copies.length === (recordCount > 0 ? 1 : 0) || header.type === ENTRY_TYPE.seal,
          why,
        );
        deepEqual(await store(opened, ["new"]), { firstOffset: 26, recordCount: 1 }, why);
      }
    }
  }
});

test("recovery: zeroed sectors cost their entries only", async () => {
  const { scene, texts } = await deadLog();
  for (const path of segmentPaths(scene)) {
    for (let sector = 0; sector < SEGMENT_BYTES; sector += 2048) {
      const again = twin(scene);
      again.facts.nextOffsetMin = 26;
      again.disk.patch(path, sector, new Uint8Array(512));
      const opened = await open(again);
      const { gaps, texts: found } = await readBack(opened);
      const lost = gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
      equal(found.length + lost, 26, `${path} sector ${sector}`);
      ok(lost <= 2);
      ok(found.every((text) => texts.includes(text)));
    }
  }
});

test("recovery: a segment that is gone is a gap from its neighbours' numbers", async () => {
  const { scene, texts } = await deadLog();
  const [first = "", second = "", third = ""] = segmentPaths(scene);
  const bases = [first, second, third].map((path) => {
    const parsed = parseFileName(path.slice(DIRECTORY.length + 1));
    return parsed.kind === "segment" ? parsed.baseOffset : 0;
  });
  const [, secondBase = 0, thirdBase = 0] = bases;
  const middle = twin(scene);
  middle.disk.take(second);
  deepEqual(await readBack(await open(middle), 0), {
    texts: [...texts.slice(0, secondBase), ...texts.slice(thirdBase)],
    gaps: [{ from: secondBase, to: thirdBase, reason: "missing-segment" }],
  });
  const front = twin(scene);
  front.facts.floor = { segmentId: 1, offset: 0 };
  front.disk.take(first);
  deepEqual((await readBack(await open(front), 0)).gaps, [
    { from: 0, to: secondBase, reason: "missing-segment" },
  ]);
  const all = twin(scene);
  all.facts.nextOffsetMin = 26;
  all.facts.floor = { segmentId: 1, offset: 0 };
  for (const path of segmentPaths(scene)) all.disk.take(path);
  const emptied = await open(all);
  deepEqual(await readBack(emptied, 0), {
    texts: [],
    gaps: [{ from: 0, to: 26, reason: "lost-tail" }],
  });
  deepEqual(await store(emptied, ["new"]), { firstOffset: 26, recordCount: 1 });
});

test("recovery: copies, strangers and other files change nothing", async () => {
  const { scene, texts } = await deadLog();
  const [first = "", second = ""] = segmentPaths(scene);
  scene.disk.put(`${DIRECTORY}/${segmentFileName(999, 0x77)}`, scene.disk.contents(first));
  scene.disk.put(`${DIRECTORY}/${segmentFileName(5, 0x78)}`, scene.disk.contents(second));
  const foreign = encodeSegmentHeader({
    kind: SEGMENT_KIND.data,
    logUuid: new Uint8Array(16).fill(1),
    segmentId: 0x99,
    baseOffset: 0,
    salt: saltOf(0x99, new Uint8Array(16).fill(1)),
    epoch: 1,
    capacityBytes: SEGMENT_BYTES,
    createdWallMs: 0,
    previousEnd: 0,
    previousSalt: 0,
  });
  const strangers = [
    `${DIRECTORY}/${segmentFileName(0, 0x99)}`,
    `${DIRECTORY}/notes.txt`,
    `${DIRECTORY}/seg-x.hfw`,
  ];
  for (const path of strangers) scene.disk.put(path, foreign);
  const opened = await open(scene);
  deepEqual(await readBack(opened), { texts, gaps: [] });
  equal(opened.recovery.notes.length, 3);
  for (const path of strangers) deepEqual(scene.disk.contents(path), foreign);
  await opened.log.close();
});

test("recovery: entries behind a damaged header block are still read", async () => {
  const { scene, texts } = await deadLog();
  for (const path of segmentPaths(scene)) {
    const again = twin(scene);
    again.disk.patch(path, 0, new Uint8Array(4096));
    deepEqual(await readBack(await open(again)), { texts, gaps: [] }, path);
  }
});

test("recovery: a file whose header wins over its name", async () => {
  const { scene, texts } = await deadLog();
  const path = segmentPaths(scene).at(-1) ?? "";
  scene.disk.put(`${DIRECTORY}/${segmentFileName(3, 0x44)}`, scene.disk.contents(path));
  scene.disk.take(path);
  deepEqual(await readBack(await open(scene)), { texts, gaps: [] });
});

test("recovery: a segment of a newer format is refused, not guessed at", async () => {
  const { scene } = await deadLog();
  const path = segmentPaths(scene).at(-1) ?? "";
  const { crc32 } = await import("node:zlib");
  const header = scene.disk.contents(path).slice(0, 4096);
  header[8] = 2;
  new DataView(header.buffer).setUint32(84, crc32(header.subarray(0, 84), 0), true);
  scene.disk.patch(path, 0, header);
  await rejects(open(scene), { code: "LOG_VERSION" });
});

test("recovery: a log whose ledger is lost adopts the identity of its segments", async () => {
  const { scene, texts } = await deadLog();
  const { logUuid: _, ...rest } = { logUuid: undefined };
  const { openLog } = await import("../../src/wal/open-log.ts");
  const { createSeededRandom } = await import("../../src/testing/seeded-random.ts");
  const opened = await openLog({
    directory: DIRECTORY,
    clock: scene.clock,
    files: scene.files(),
    random: createSeededRandom(9),
    listener: scene.told,
    segmentBytes: SEGMENT_BYTES,
    ...rest,
  });
  deepEqual(opened.recovery.logUuid, UUID);
  deepEqual(await readBack(opened), { texts, gaps: [] });
  await opened.log.close();
});

test("recovery: the epoch is above every one that the segments show", async () => {
  const scene = newScene();
  for (let expected = 5; expected < 9; expected += 1) {
    const opened = await open(scene, { epoch: expected === 5 ? 5 : 1 });
    equal(opened.recovery.epoch, expected);
    await store(opened, ["a"]);
    if (expected === 7) await opened.log.close();
    else scene.crash("none");
  }
});

test("recovery: what an earlier life left in a recycled file never comes back", async () => {
  const scene = newScene();
  const opened = await open(scene);
  for (let round = 0; round < 10; round += 1) {
    await storeEach(opened, numbered(14, round * 14));
    await opened.log.release(opened.log.durableEnd - 1);
  }
  const kept = (await readBack(opened)).texts;
  scene.crash("none");
  const again = await open(scene, { facts: new MemoryFacts() });
  deepEqual(await readBack(again), { texts: kept, gaps: [] });
  await again.log.close();
});

test("recovery: opening reads little of a large backlog", async () => {
  const scene = newScene();
  const opened = await open(scene, { bytesMax: 400 * SEGMENT_BYTES });
  await storeEach(opened, numbered(2_000));
  scene.crash("none");
  ok(segmentPaths(scene).length > 120);
  const again = await open(scene, { bytesMax: 400 * SEGMENT_BYTES });
  const perSegment = scene.disk.callCount("read") / segmentPaths(scene).length;
  ok(perSegment < 1.3, `${perSegment} reads per segment`);
  equal(again.log.durableEnd, 2_000);
});

test("recovery: a crash after a clean reopening is seen as one, although nothing was stored", async () => {
  const scene = newScene();
  const first = await open(scene);
  await store(first, ["a"]);
  await first.log.close();
  const opened = await open(scene);
  equal(opened.recovery.isClean, true);
  scene.crash("none");
  equal((await open(scene)).recovery.isClean, false);
});

test("recovery: what a failed write left behind is void, also when nothing took its place and no ledger knows", async () => {
  const scene = newScene();
  const size = { bytesMax: 2 * SEGMENT_BYTES, storeTimeoutMs: 2_000 };
  const opened = await open(scene, size);
  await storeEach(opened, numbered(12));
  await scene.clock.settle();
  scene.disk.inject({
    what: "error",
    kind: "write",
    path: "/log/",
    nth: 1,
    code: "EIO",
    effect: "disk",
  });
  const refused = rejects(store(opened, ["refused"]), { code: "LOG_FULL" });
  await scene.clock.advance(3_000);
  await refused;
  await opened.log.release(12);
  await scene.clock.advance(2_000);
  deepEqual(await store(opened, ["taken"]), { firstOffset: 12, recordCount: 1 });
  scene.crash("none");
  const again = await open(scene, { ...size, facts: new MemoryFacts() });
  equal((await readBack(again)).texts.at(-1), "taken");
  equal(again.log.durableEnd, 13);
});
