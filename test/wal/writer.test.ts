import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import type { Stored } from "../../src/contract/record.ts";
import { HoldfastError } from "../../src/errors.ts";
import {
  lines,
  newScene,
  numbered,
  open,
  readBack,
  SEGMENT_BYTES,
  segmentPaths,
  store,
  storeEach,
} from "./log-scene.ts";

/**
 * Opens a log whose channel is named and whose spares are made, so that the next write is an entry
 * of records.
 */
async function openQuiet(...[scene, options]: Parameters<typeof open>): ReturnType<typeof open> {
  const opened = await open(scene, options);
  await store(opened, ["first"]);
  await scene.clock.settle();
  return opened;
}

test("writer: blocks handed over in one go share one commit, and settle in the order of their calls", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene);
  const settled: number[] = [];
  const all = numbered(20).map((text) =>
    store(opened, [text]).then(({ firstOffset }) => settled.push(firstOffset)),
  );
  await Promise.all(all);
  deepEqual(
    settled,
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
  equal(scene.told.commits.length, 2);
  deepEqual((await readBack(opened)).texts, ["first", ...numbered(20)]);
  await opened.log.close();
});

test("writer: while one commit is on its way the next one fills, and only one is ever in flight", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene);
  const hold = scene.disk.hold({ kind: "write" });
  const first = store(opened, ["a"]);
  await scene.clock.settle();
  const rest = ["b", "c", "d"].map((text) => store(opened, [text]));
  await scene.clock.settle();
  equal(hold.waiting, 1);
  equal(opened.log.durableEnd, 1);
  hold.next();
  await first;
  await scene.clock.settle();
  equal(hold.waiting, 1);
  hold.release();
  deepEqual(
    await Promise.all(rest),
    [2, 3, 4].map((firstOffset) => ({ firstOffset, recordCount: 1 })),
  );
  deepEqual(
    scene.told.commits.map((commit) => commit.recordCount),
    [1, 1, 3],
  );
  await opened.log.close();
});

test("writer: the bytes are copied before append returns", async () => {
  const opened = await open(newScene());
  const block = lines(["abc"]);
  const stored = opened.log.append(block, { receiver: "meters", epoch: 1 });
  block.values.fill(0);
  block.valueEnds.fill(0);
  await stored;
  deepEqual((await readBack(opened)).texts, ["abc"]);
  await opened.log.close();
});

test("writer: with a minimum interval the first commit is at once and the next one waits", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene, { minCommitIntervalMs: 20 });
  const later: Stored[] = [];
  for (const text of ["a", "b"]) void store(opened, [text]).then((stored) => later.push(stored));
  await scene.clock.advance(19);
  equal(later.length, 0);
  await scene.clock.advance(1);
  equal(later.length, 2);
  equal(scene.told.commits.length, 2);
  await scene.clock.advance(100);
  await store(opened, ["c"]);
  await opened.log.close();
});

test("writer: the minimum interval holds back neither a large entry, nor a fence, nor the close", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene, {
    minCommitIntervalMs: 10_000,
    segmentBytes: 4 * 1024 * 1024,
    bytesMax: 64 * 1024 * 1024,
  });
  await store(opened, ["x".repeat(1024 * 1024)]);
  const fenced = store(opened, ["a"]);
  await opened.log.fence("meters", 2);
  await fenced;
  const last = opened.log.append(lines(["b"]), { receiver: "meters", epoch: 2 });
  await opened.log.close();
  deepEqual(await last, { firstOffset: 3, recordCount: 1 });
});

test("writer: receivers pause when the open entry is long, and resume at half", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene, { openEntryBytesPause: 10_000 });
  const hold = scene.disk.hold({ kind: "write" });
  const stored = [store(opened, ["a"])];
  await scene.clock.settle();
  stored.push(store(opened, ["x".repeat(6_000)]));
  deepEqual(scene.told.pressures, []);
  stored.push(store(opened, ["x".repeat(6_000)]));
  deepEqual(scene.told.pressures, [true]);
  hold.release();
  await Promise.all(stored);
  deepEqual(scene.told.pressures, [true, false]);
  await opened.log.close();
});

test("writer: more than the disk can take for long is refused as busy, and the rest is stored", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene, {
    segmentBytes: 16 * 1024 * 1024,
    bytesMax: 256 * 1024 * 1024,
  });
  const hold = scene.disk.hold({ kind: "write" });
  const big = lines(["x".repeat(4_000_000)]);
  const origin = { receiver: "meters", epoch: 1 };
  const settled = Promise.allSettled(
    Array.from({ length: 20 }, () => opened.log.append(big, origin)),
  );
  await scene.clock.settle();
  equal(opened.log.status().unacknowledgedBytes > 60_000_000, true);
  hold.release();
  const results = await settled;
  equal(results.filter((result) => result.status === "fulfilled").length, 16);
  const refused = results
    .filter((result) => result.status === "rejected")
    .map((result) => result.reason);
  ok(refused.every((reason) => reason instanceof HoldfastError && reason.code === "BUSY"));
  await opened.log.close();
});

test("writer: after a second without commits a witness proves the last entry, once", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene, { witnessAfterMs: 1_000 });
  const before = scene.disk.callCount("write");
  await scene.clock.advance(999);
  equal(scene.disk.callCount("write"), before);
  await scene.clock.advance(2);
  equal(scene.disk.callCount("write"), before + 1);
  await scene.clock.advance(10_000);
  equal(scene.disk.callCount("write"), before + 1);
  deepEqual((await readBack(opened)).texts, ["first"]);
  await opened.log.close();
});

for (const fault of [
  { what: "error before the bytes", effect: "none" },
  { what: "error behind the cache", effect: "cache" },
  { what: "error after the bytes were durable", effect: "disk" },
] as const) {
  test(`writer: after a failed write (${fault.what}) the same records go to another segment`, async () => {
    const scene = newScene();
    const opened = await openQuiet(scene);
    scene.disk.inject({
      what: "error",
      kind: "write",
      path: "/log/",
      nth: 1,
      code: "EIO",
      effect: fault.effect,
    });
    deepEqual(await store(opened, ["a", "b"]), { firstOffset: 1, recordCount: 2 });
    equal(opened.log.status().state, "degraded");
    equal(scene.facts.cuts.length, 1);
    deepEqual(await store(opened, ["c"]), { firstOffset: 3, recordCount: 1 });
    deepEqual((await readBack(opened)).texts, ["first", "a", "b", "c"]);
    scene.crash("none");
    const again = await open(scene);
    deepEqual(await readBack(again), { texts: ["first", "a", "b", "c"], gaps: [] });
    await again.log.close();
  });
}

test("writer: a rescued log opens right without its ledger too", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene);
  scene.disk.inject({
    what: "error",
    kind: "write",
    path: "/log/",
    nth: 1,
    code: "EIO",
    effect: "disk",
  });
  await store(opened, ["a"]);
  await store(opened, ["b"]);
  scene.crash("none");
  const again = await open(scene, { facts: newScene().facts });
  deepEqual(await readBack(again), { texts: ["first", "a", "b"], gaps: [] });
  await again.log.close();
});

test("writer: a write that takes fewer bytes is a failed write", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene);
  scene.disk.inject({ what: "short-write", nth: 1, bytes: 100 });
  deepEqual(await store(opened, ["a"]), { firstOffset: 1, recordCount: 1 });
  equal(scene.facts.cuts.length, 1);
  await opened.log.close();
});

test("writer: a second failure fails the log, nothing more is accepted, and opening it again decides", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene);
  for (let nth = 1; nth <= 2; nth += 1)
    scene.disk.inject({ what: "error", kind: "write", nth, code: "EIO" });
  const waiting = store(opened, ["b"]);
  await rejects(waiting, { code: "LOG_FAILED" });
  await rejects(store(opened, ["c"]), { code: "LOG_FAILED" });
  equal(opened.log.status().state, "failed");
  equal(scene.told.states.at(-1), "failed");
  await opened.log.close();
  const again = await open(scene);
  deepEqual((await readBack(again)).texts, ["first"]);
  deepEqual(await store(again, ["d"]), { firstOffset: 1, recordCount: 1 });
  await again.log.close();
});

test("writer: without a ledger that keeps the end of the failed segment the log fails", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene);
  scene.facts.failures.push(new Error("ledger gone"));
  scene.disk.inject({ what: "error", kind: "write", nth: 1, code: "EIO" });
  await rejects(store(opened, ["a"]), { code: "LOG_FAILED" });
  await opened.log.close();
});

test("writer: too many rescues in an hour fail the log", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene);
  let stored = 0;
  const storeWithFault = async (): Promise<void> => {
    scene.disk.inject({ what: "error", kind: "write", path: "/log/", nth: 1, code: "EIO" });
    await store(opened, ["a"]);
    stored += 1;
    await scene.clock.settle();
  };
  await rejects(
    async () => {
      for (;;) await storeWithFault();
    },
    { code: "LOG_FAILED" },
  );
  equal(stored, 8);
  await opened.log.close();
});

test("writer: a newer owner of the directory stops it at the next segment", async () => {
  const scene = newScene();
  const opened = await openQuiet(scene);
  scene.facts.isFenced = new HoldfastError("LEDGER_FENCED", "epoch 2 runs, this is 1");
  await rejects(storeEach(opened, numbered(20)), { code: "LOG_FAILED" });
  equal(segmentPaths(scene).length, 1);
  await opened.log.close();
});

test("writer: zeros that the first segment is prepared with never land on records", async () => {
  const scene = newScene();
  const opened = await open(scene, { segmentBytes: 8 * 1024 * 1024, bytesMax: 64 * 1024 * 1024 });
  const texts = numbered(12).map((text) => text.padEnd(700_000, "."));
  const all = texts.map((text) => store(opened, [text]));
  await Promise.all(all);
  await storeEach(opened, ["tail"]);
  deepEqual((await readBack(opened)).texts, [...texts, "tail"]);
  scene.crash("none");
  const again = await open(scene, { segmentBytes: 8 * 1024 * 1024, bytesMax: 64 * 1024 * 1024 });
  deepEqual((await readBack(again)).texts, [...texts, "tail"]);
  await again.log.close();
});

test("writer: on a copy-on-write file system nothing is prepared and nothing recycled", async () => {
  const { SimulatedDisk } = await import("../../src/testing/disk.ts");
  const scene = newScene(new SimulatedDisk({ type: "btrfs" }));
  const opened = await open(scene);
  await storeEach(opened, numbered(40));
  await scene.clock.settle();
  await opened.log.release(40);
  deepEqual(
    scene.disk.paths().filter((path) => path.includes("spare-")),
    [],
  );
  deepEqual((await readBack(opened)).texts, numbered(40).slice(opened.log.status().oldestOffset));
  ok(opened.log.status().bytes <= 2 * SEGMENT_BYTES);
  await opened.log.close();
});

test("writer: a log that fails or closes while receivers are paused lets them go", async () => {
  for (const isFailing of [true, false]) {
    const scene = newScene();
    const opened = await openQuiet(scene, { openEntryBytesPause: 1_000 });
    const hold = scene.disk.hold({ kind: "write" });
    const first = store(opened, ["a"]);
    await scene.clock.settle();
    const settled = Promise.allSettled([first, store(opened, ["b".repeat(2_000)])]);
    deepEqual(scene.told.pressures, [true]);
    if (isFailing)
      for (let nth = 1; nth <= 3; nth += 1)
        scene.disk.inject({ what: "error", kind: "write", nth, code: "EIO" });
    const closed = opened.log.close();
    hold.release();
    const results = (await settled).map((result) => result.status);
    deepEqual(results, isFailing ? ["fulfilled", "rejected"] : ["fulfilled", "fulfilled"]);
    await closed;
    deepEqual(scene.told.pressures, [true, false]);
  }
});

test("writer: after close nothing is freed any more, the directory may be another opening's", async () => {
  const scene = newScene();
  const old = await open(scene);
  await storeEach(old, numbered(40));
  await old.log.close();
  const before = segmentPaths(scene);
  await old.log.release(40);
  deepEqual(segmentPaths(scene), before);
});

test("writer: an opening that fails leaves no open file and can be repeated", async () => {
  const scene = newScene();
  const first = await open(scene);
  await storeEach(first, numbered(3));
  scene.crash("none");
  scene.facts.failures.push(new Error("ledger gone"));
  await rejects(open(scene), /ledger gone/);
  const again = await open(scene);
  deepEqual((await readBack(again)).texts, numbered(3));
  await again.log.close();
});
