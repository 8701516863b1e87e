import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { openLogReader } from "../../src/wal/directory-reader.ts";
import { SEGMENT_HEADER_BYTES } from "../../src/wal/format.ts";
import { inspectLog } from "../../src/wal/inspect.ts";
import {
  DIRECTORY,
  MemoryFacts,
  newScene,
  open,
  readBack,
  type Scene,
  segmentPaths,
  store,
} from "./log-scene.ts";

/** Two records in a segment that is closed for ever, and a newer one that has only tables. */
async function twoSegments(): Promise<Scene> {
  const scene = newScene();
  const opened = await open(scene);
  // Too much for a copy at the next opening.
  await store(opened, ["a"], { position: Buffer.from("1") });
  await store(opened, ["b".repeat(16_000)], { position: Buffer.from("2") });
  scene.crash("none");
  await open(scene);
  await scene.clock.settle();
  equal(segmentPaths(scene).length, 2);
  return scene;
}

for (const ending of ["kill", "power cut", "close"]) {
  test(`lost front: positions outlive the records they belong to, also over a ${ending}`, async () => {
    const scene = await twoSegments();
    scene.kill();
    const opened = await open(scene);
    await opened.log.release(2);
    await scene.clock.settle();
    if (ending === "close") await opened.log.close();
    if (ending === "power cut") scene.crash("none");
    else scene.kill();
    const again = await open(scene);
    equal(Buffer.from(again.log.position("meters", "") ?? []).toString(), "2");
    equal(again.log.durableEnd, 2);
  });
}

test("lost front: a segment without records proves the offsets before it, without a ledger too", async () => {
  const scene = await twoSegments();
  scene.crash("none");
  scene.disk.take(segmentPaths(scene)[0] ?? "");
  scene.facts = new MemoryFacts();
  const opened = await open(scene);
  equal(opened.log.durableEnd, 2);
});

test("lost front: a first segment that is gone is a gap, because the ledger knows where the log began", async () => {
  const scene = await twoSegments();
  scene.crash("none");
  scene.disk.take(segmentPaths(scene)[0] ?? "");
  const opened = await open(scene);
  deepEqual(await readBack(opened, 0), {
    texts: [],
    gaps: [{ from: 0, to: 2, reason: "missing-segment" }],
  });
  deepEqual(scene.told.gaps, [{ from: 0, to: 2, reason: "missing-segment" }]);
});

test("lost front: a recycled file whose new header never arrived is known by its name", async () => {
  const scene = newScene();
  const opened = await open(scene);
  // Fills and frees segments until one is written into a recycled file.
  for (let index = 0; index < 30; index += 1) {
    await store(opened, [`${index} ${"x".repeat(9_000)}`]);
    await opened.log.release(Math.max(0, index - 3));
  }
  const spare = scene.disk.paths().find((path) => path.includes("spare-")) ?? "";
  const newest = segmentPaths(scene).at(-1) ?? "";
  scene.disk.patch(newest, 0, scene.disk.contents(spare).slice(0, SEGMENT_HEADER_BYTES));
  scene.crash("none");
  const { segments } = await inspectLog(scene.files(), DIRECTORY);
  equal(segments.at(-1)?.baseOffset, 29);
  const again = await open(scene);
  equal(again.log.durableEnd, 30);
  equal((await readBack(again, 27)).texts.length, 3);
  const { clock } = scene;
  const reader = await openLogReader({ files: scene.files(), clock, directory: DIRECTORY });
  const kinds: string[] = [];
  for await (const { kind } of reader.read(27, new AbortController().signal)) kinds.push(kind);
  deepEqual(kinds, ["records", "records", "records"]);
  await reader.close();
});
