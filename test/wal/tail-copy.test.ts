import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import {
  newScene,
  numbered,
  open,
  readBack,
  type Scene,
  SEGMENT_BYTES,
  segmentPaths,
  store,
  storeEach,
} from "./log-scene.ts";

/** The same disk once more. */
function twin(scene: Scene): Scene {
  return newScene(scene.disk.clone());
}

test("tail copy: a series of power cuts leaves one small tail in one segment", async () => {
  const scene = newScene();
  const size = 4 * SEGMENT_BYTES;
  for (let round = 0; round < 6; round += 1) {
    const opened = await open(scene, { segmentBytes: size, bytesMax: 8 * size });
    await store(opened, [`round ${round}`]);
    scene.crash("none");
  }
  equal(segmentPaths(scene).length, 1);
  const opened = await open(scene, { segmentBytes: size, bytesMax: 8 * size });
  deepEqual(
    (await readBack(opened)).texts,
    numbered(6).map((_, index) => `round ${index}`),
  );
});

test("tail copy: a power cut while a tail is moved leaves either file, and the leftover goes", async () => {
  const size = { segmentBytes: 4 * SEGMENT_BYTES, bytesMax: 16 * SEGMENT_BYTES };
  const scene = newScene();
  const opened = await open(scene, size);
  await storeEach(opened, ["a", "b"]);
  scene.crash("none");
  const notes = new Set<string>();
  for (let nth = 1; nth < 60; nth += 1) {
    const again = twin(scene);
    again.disk.inject({ what: "power-off", nth });
    const opening = open(again, size)
      .then((second) => store(second, ["c"]))
      .catch(() => undefined);
    await Promise.race([opening, again.clock.settle().then(() => again.clock.settle())]);
    again.crash(nth % 2 === 0 ? "all" : "none");
    const third = await open(again, size);
    for (const note of third.recovery.notes) notes.add(note.replace(/^.*hfw /, ""));
    const { gaps, texts } = await readBack(third);
    deepEqual(gaps, []);
    deepEqual(texts.slice(0, 2), ["a", "b"]);
    ok(segmentPaths(again).length <= 2, segmentPaths(again).join(" "));
  }
  deepEqual([...notes], ["is an unfinished copy of the segment before it"]);
});

test("tail copy: a tail whose move cannot be made durable is not appended to", async () => {
  const size = { segmentBytes: 4 * SEGMENT_BYTES, bytesMax: 16 * SEGMENT_BYTES };
  const scene = newScene();
  await storeEach(await open(scene, size), ["a", "b"]);
  scene.crash("none");
  for (let nth = 1; nth <= 8; nth += 1) {
    const again = twin(scene);
    again.disk.inject({ what: "error", kind: "syncDirectory", nth, code: "EIO" });
    const stored = await open(again, size)
      .then((opened) => store(opened, ["c"]))
      .then(
        () => ["c"],
        () => [],
      );
    again.crash("none");
    const { gaps, texts } = await readBack(await open(again, size));
    deepEqual([texts, gaps], [["a", "b", ...stored], []], `sync ${nth}`);
  }
});
