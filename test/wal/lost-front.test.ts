import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import {
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
