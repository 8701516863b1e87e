import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import type { ClosedLog } from "../../src/wal/repair.ts";
import { surveyClosedLog } from "../../src/wal/truncate-closed.ts";
import {
  DIRECTORY,
  newScene,
  numbered,
  open,
  readBack,
  type Scene,
  SEGMENT_BYTES,
  segmentPaths,
  storeEach,
  UUID,
} from "./log-scene.ts";

function closed(scene: Scene): ClosedLog {
  const { clock, facts } = scene;
  return { clock, facts, files: scene.files(), directory: DIRECTORY, logUuid: UUID };
}

test("truncate: whole segments below the offset go, whatever is kept, and the rest stays", async () => {
  const scene = newScene();
  const opened = await open(scene, { keepBytes: 64 * SEGMENT_BYTES });
  await storeEach(opened, numbered(100));
  const before = segmentPaths(scene).length;
  const { freedSegments, freedBytes, oldestOffset } = await opened.log.truncate(60, Infinity);
  deepEqual(
    [freedBytes, oldestOffset],
    [freedSegments * SEGMENT_BYTES, opened.log.status().oldestOffset],
  );
  equal(segmentPaths(scene).length, before - freedSegments);
  ok(oldestOffset > 40 && oldestOffset <= 60);
  deepEqual((await readBack(opened)).texts, numbered(100).slice(oldestOffset));
  deepEqual([scene.told.gaps, scene.facts.floor?.offset], [[], oldestOffset]);
  const again = await opened.log.truncate(60, Infinity);
  deepEqual([again.freedSegments, again.oldestOffset], [0, oldestOffset]);
  await opened.log.close();
  await rejects(opened.log.truncate(90, Infinity), { code: "LOG_CLOSED" });
});

test("truncate: what someone needs is a dropped gap, counted and told", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await storeEach(opened, numbered(100));
  const { oldestOffset } = await opened.log.truncate(1_000, 20);
  ok(oldestOffset > 80);
  deepEqual(scene.told.gaps, [{ from: 20, to: oldestOffset, reason: "dropped" }]);
  equal(opened.log.status().gapRecords, oldestOffset - 20);
  deepEqual(await readBack(opened, 10), {
    texts: numbered(100).slice(oldestOffset),
    gaps: [{ from: 10, to: oldestOffset, reason: "dropped" }],
  });
  await opened.log.close();
});

test("truncate: without a durable floor nothing goes", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await storeEach(opened, numbered(60));
  const before = segmentPaths(scene);
  scene.facts.failures.push(new Error("ledger gone"));
  await rejects(opened.log.truncate(50, Infinity), /ledger gone/);
  deepEqual([segmentPaths(scene), opened.log.status().oldestOffset], [before, 0]);
  await opened.log.close();
});

test("truncate: a segment that is being read stays, and those behind it", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await storeEach(opened, numbered(60));
  const reader = opened.log.read({ from: 20, to: 60 }, new AbortController().signal);
  const items = reader[Symbol.asyncIterator]();
  await items.next();
  const { oldestOffset } = await opened.log.truncate(60, Infinity);
  ok(oldestOffset > 0 && oldestOffset <= 20);
  await items.return?.();
  ok((await opened.log.truncate(60, Infinity)).oldestOffset > 40);
  await opened.log.close();
});

test("truncate: a closed log is shortened in the same order, and opens clean", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await storeEach(opened, numbered(100));
  await opened.log.close();
  const survey = await surveyClosedLog(closed(scene));
  deepEqual([survey.oldestOffset, survey.durableEnd], [0, 100]);
  const before = segmentPaths(scene);
  scene.facts.failures.push(new Error("ledger gone"));
  await rejects(survey.truncate(60, Infinity), /ledger gone/);
  deepEqual(segmentPaths(scene), before);
  const { oldestOffset, freedSegments } = await survey.truncate(60, Infinity);
  equal(segmentPaths(scene).length, before.length - freedSegments);
  const again = await open(scene);
  deepEqual([again.recovery.gaps, again.log.status().oldestOffset], [[], oldestOffset]);
  deepEqual((await readBack(again)).texts, numbered(100).slice(oldestOffset));
  await again.log.close();
});

test("truncate: killed at any call, a closed log is as before or shorter, and nothing else", async () => {
  for (let nth = 1; nth < 12; nth += 1) {
    const scene = newScene();
    const opened = await open(scene);
    await storeEach(opened, numbered(60));
    await opened.log.close();
    const survey = await surveyClosedLog(closed(scene));
    scene.disk.inject({ what: "error", kind: ["remove", "syncDirectory"], nth, code: "EIO" });
    await survey.truncate(60, Infinity).catch(() => undefined);
    scene.crash("none");
    const again = await open(scene);
    const { oldestOffset } = again.log.status();
    deepEqual(
      [again.recovery.gaps, (await readBack(again)).texts],
      [[], numbered(60).slice(oldestOffset)],
    );
    await again.log.close();
  }
});
