import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { Files } from "../../src/host/files.ts";
import { decodeEntryHeader, ENTRY_TYPE } from "../../src/wal/entry.ts";
import { parseFileName, saltOf, SEGMENT_HEADER_BYTES } from "../../src/wal/format.ts";
import type { OpenedLog } from "../../src/wal/open-log.ts";
import {
  DIRECTORY,
  lines,
  newScene,
  numbered,
  open,
  readBack,
  type Scene,
  segmentPaths,
  store,
  storeEach,
  UUID,
} from "./log-scene.ts";

/** Where the n-th entry of a type is in a file. */
function positionOf(scene: Scene, path: string, type: number, nth: number): number {
  const parsed = parseFileName(path.slice(DIRECTORY.length + 1));
  const salt = saltOf(parsed.kind === "segment" ? parsed.segmentId : 0, UUID);
  const bytes = scene.disk.contents(path);
  let left = nth;
  for (let position = SEGMENT_HEADER_BYTES; position < bytes.length; position += 4096) {
    if (decodeEntryHeader(bytes, position, salt)?.type === type && left-- === 0) return position;
  }
  throw new Error(`no entry ${nth} of type ${type} in ${path}`);
}

async function filled(): Promise<{
  readonly scene: Scene;
  readonly opened: OpenedLog;
  readonly texts: readonly string[];
}> {
  const scene = newScene();
  const opened = await open(scene);
  const texts = numbered(60);
  await storeEach(opened, texts);
  return { scene, opened, texts };
}

test("reader: damage that comes while the log runs is an exact gap, told once, with a copy aside", async () => {
  const { opened, scene, texts } = await filled();
  const path = segmentPaths(scene)[1] ?? "";
  const position = positionOf(scene, path, ENTRY_TYPE.data, 2);
  const before = (await readBack(opened)).texts;
  deepEqual(before, texts);
  scene.disk.flipBit(path, position + 75, 3);
  const first = await readBack(opened);
  const [gap] = first.gaps;
  equal(first.gaps.length, 1);
  equal(gap?.reason, "damaged");
  equal((gap?.to ?? 0) - (gap?.from ?? 0), 1);
  deepEqual(
    first.texts,
    texts.filter((_, offset) => offset !== gap?.from),
  );
  deepEqual(await readBack(opened), first);
  deepEqual(scene.told.gaps, [gap]);
  deepEqual(scene.facts.gaps, [gap]);
  equal(opened.log.status().gapRecords, 1);
  equal(opened.log.status().state, "degraded");
  const [copy = ""] = scene.told.copies;
  equal(scene.told.copies.length, 1);
  deepEqual(
    scene.disk.contents(copy),
    scene.disk.contents(path).subarray(position, position + 4096),
  );
  await opened.log.close();
});

test("reader: a range that cuts through damage says only what it covers", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await store(opened, numbered(10));
  await store(opened, numbered(10, 10));
  const [path = ""] = segmentPaths(scene);
  scene.disk.flipBit(path, positionOf(scene, path, ENTRY_TYPE.data, 0) + 200, 0);
  deepEqual((await readBack(opened, 3, 6)).gaps, [{ from: 3, to: 6, reason: "damaged" }]);
  deepEqual(await readBack(opened, 8, 12), {
    texts: ["record 10", "record 11"],
    gaps: [{ from: 8, to: 10, reason: "damaged" }],
  });
  deepEqual((await readBack(opened)).gaps, [{ from: 0, to: 10, reason: "damaged" }]);
  equal(opened.log.status().gapRecords, 10);
  deepEqual(
    scene.told.gaps.map(({ from, to }) => [from, to]),
    [
      [3, 6],
      [8, 10],
      [0, 3],
      [6, 8],
    ],
  );
  await opened.log.close();
});

test("reader: a read that fails is tried again on a fresh file, and what heals is no gap", async () => {
  const { opened, scene, texts } = await filled();
  scene.disk.inject({ what: "error", kind: "read", nth: 1, code: "EIO" });
  scene.disk.inject({ what: "error", kind: "read", nth: 2, code: "EIO" });
  deepEqual(await readBack(opened), { texts, gaps: [] });
  await opened.log.close();
});

/** Files on which one block of one file cannot be read. */
function withBadBlock(files: Files, badPath: () => string, position: number): Files {
  return {
    ...files,
    open: async (path, mode) => {
      const handle = await files.open(path, mode);
      return {
        ...handle,
        read: (buffer, offset, length, at) => {
          const isHit = path === badPath() && at < position + 4096 && at + length > position;
          return isHit
            ? Promise.reject(Object.assign(new Error("bad sector"), { code: "EIO" }))
            : handle.read(buffer, offset, length, at);
        },
      };
    },
  };
}

test("reader: a block that stays unreadable is a gap, and what is around it is read", async () => {
  const scene = newScene();
  let badPath = "";
  const opened = await open(scene, { files: withBadBlock(scene.files(), () => badPath, 32_768) });
  const texts = numbered(60);
  await storeEach(opened, texts);
  badPath = segmentPaths(scene)[2] ?? "";
  const { gaps, texts: found } = await readBack(opened);
  equal(gaps.length, 1);
  const [{ from, to, reason } = { from: 0, to: 0, reason: "" }] = gaps;
  equal(reason, "unreadable");
  equal(to - from, 1);
  deepEqual(
    found,
    texts.filter((_, offset) => offset !== from),
  );
  badPath = "";
  deepEqual(await readBack(opened), { texts, gaps: [] });
  await opened.log.close();
});

test("reader: a file that somebody removed is a gap, and the rest is read", async () => {
  const { opened, scene } = await filled();
  const path = segmentPaths(scene)[1] ?? "";
  scene.disk.take(path);
  const { gaps, texts } = await readBack(opened);
  equal(gaps.length, 1);
  equal(texts.length + (gaps[0]?.to ?? 0) - (gaps[0]?.from ?? 0), 60);
  await opened.log.close();
});

test("reader: names come from another table when those of a segment are damaged", async () => {
  const { scene, texts } = await filled();
  scene.crash("none");
  const path = segmentPaths(scene)[2] ?? "";
  for (const nth of [1, 0])
    scene.disk.patch(path, positionOf(scene, path, ENTRY_TYPE.names, nth), new Uint8Array(4096));
  const opened = await open(scene);
  const receivers = new Set<string>();
  for await (const item of opened.log.read({ from: 0, to: 60 }, new AbortController().signal))
    if (item.kind === "records") receivers.add(item.block.receiver);
  deepEqual([...receivers], ["meters"]);
  deepEqual(await readBack(opened), { texts, gaps: [] });
  await opened.log.close();
});

test("reader: small appends of one channel come back as one block, others stay apart", async () => {
  const scene = newScene();
  const opened = await open(scene);
  const origin = { receiver: "meters", epoch: 1 };
  const blocks = [
    lines(["a"]),
    lines(["b"]),
    lines(["c"], { position: Buffer.from("p") }),
    lines(["d"]),
    lines(["e"], { channel: "x" }),
    lines(["f"]),
  ];
  await Promise.all([
    ...blocks.map((block) => opened.log.append(block, origin)),
    opened.log.append(lines(["g"]), { receiver: "gates", epoch: 1 }),
  ]);
  const seen: string[] = [];
  for await (const item of opened.log.read({ from: 0, to: 7 }, new AbortController().signal)) {
    if (item.kind === "records")
      seen.push(
        `${item.block.receiver}/${item.block.channel} ${item.block.firstOffset}+${item.block.count} ${Buffer.from(item.block.position ?? []).toString()}`,
      );
  }
  deepEqual(seen, [
    "meters/ 0+2 ",
    "meters/ 2+1 p",
    "meters/ 3+1 ",
    "meters/x 4+1 ",
    "meters/ 5+1 ",
    "gates/ 6+1 ",
  ]);
  await opened.log.close();
});

test("reader: reading while writing sees a growing, whole prefix", async () => {
  const scene = newScene();
  const opened = await open(scene);
  const texts = numbered(150);
  const writing = (async () => {
    for (const text of texts) {
      await store(opened, [text]);
      if (text.endsWith("0")) await scene.clock.yield();
    }
  })();
  const found: string[] = [];
  while (found.length < texts.length) {
    await opened.log.waitFor(found.length, new AbortController().signal);
    const to = opened.log.boundedEnd(found.length, 7, 1_000_000);
    found.push(...(await readBack(opened, found.length, to)).texts);
  }
  deepEqual(found, texts);
  await writing;
  await opened.log.close();
});

test("reader: an abort ends the reading and frees the segment", async () => {
  const { opened, scene } = await filled();
  const controller = new AbortController();
  await rejects(async () => {
    for await (const item of opened.log.read({ from: 0, to: 60 }, controller.signal)) {
      ok(item);
      controller.abort(new Error("enough"));
    }
  }, /enough/);
  for await (const item of opened.log.read({ from: 0, to: 60 }, new AbortController().signal)) {
    ok(item);
    break;
  }
  await opened.log.release(60);
  equal(segmentPaths(scene).length, 1);
  await opened.log.close();
});

test("reader: any blocks, read by any ranges, come back as they were", async () => {
  const blockArbitrary = fc.record({
    texts: fc.array(
      fc.string({ maxLength: 40 }).filter((text) => !text.includes("\n")),
      { minLength: 1, maxLength: 12 },
    ),
    channel: fc.constantFrom("", "a", "b"),
    isTogether: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(blockArbitrary, { minLength: 1, maxLength: 40 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      async (blocks, cuts) => {
        const scene = newScene();
        const opened = await open(scene);
        const texts: string[] = [];
        let last: Promise<unknown> = Promise.resolve();
        for (const block of blocks) {
          texts.push(...block.texts);
          last = store(opened, block.texts, { channel: block.channel });
          if (!block.isTogether) await last;
        }
        await last;
        const bounds = [0, ...cuts.map((cut) => cut % (texts.length + 1)), texts.length].toSorted(
          (left, right) => left - right,
        );
        const found: string[] = [];
        for (const [index, to] of bounds.slice(1).entries())
          found.push(...(await readBack(opened, bounds[index], to)).texts);
        deepEqual(found, texts);
        scene.crash("none");
        const again = await open(scene);
        deepEqual((await readBack(again)).texts, texts);
      },
    ),
    { numRuns: 60 },
  );
});
