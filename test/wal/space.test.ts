import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import { HoldfastError } from "../../src/errors.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
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

const FOUR = 4 * SEGMENT_BYTES;

test("space: released segments are recycled, and the floor is a fact before a file is touched", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await storeEach(opened, numbered(100));
  const before = segmentPaths(scene);
  await opened.log.release(60);
  const after = segmentPaths(scene);
  ok(after.length < before.length);
  const { oldestOffset } = opened.log.status();
  ok(oldestOffset > 40 && oldestOffset <= 60);
  equal(scene.facts.floor?.offset, oldestOffset);
  deepEqual((await readBack(opened)).texts, numbered(100).slice(oldestOffset));
  await opened.log.release(10);
  equal(opened.log.status().oldestOffset, oldestOffset);
  await opened.log.close();
});

test("space: reading below the oldest offset begins with a gap that says so", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await storeEach(opened, numbered(60));
  await opened.log.release(60);
  const { oldestOffset } = opened.log.status();
  const { gaps, texts } = await readBack(opened, 0);
  deepEqual(gaps, [{ from: 0, to: oldestOffset, reason: "dropped" }]);
  deepEqual(texts, numbered(60).slice(oldestOffset));
  await opened.log.close();
});

test("space: when the floor cannot be kept, nothing is freed", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await storeEach(opened, numbered(60));
  const before = segmentPaths(scene);
  scene.facts.failures.push(new Error("ledger gone"));
  await rejects(opened.log.release(60), /ledger gone/);
  deepEqual(segmentPaths(scene), before);
  equal(opened.log.status().oldestOffset, 0);
  await opened.log.release(60);
  ok(segmentPaths(scene).length < before.length);
  await opened.log.close();
});

test("space: a segment is not given away under a reader", async () => {
  const scene = newScene();
  const opened = await open(scene);
  const texts = numbered(60);
  await storeEach(opened, texts);
  const items = opened.log.read({ from: 0, to: 60 }, new AbortController().signal);
  const reading = items[Symbol.asyncIterator]();
  await reading.next();
  await opened.log.release(60);
  equal(opened.log.status().oldestOffset, 0);
  const [first] = segmentPaths(scene);
  let count = 1;
  let gap: unknown;
  for (let item = await reading.next(); !item.done; item = await reading.next()) {
    if (item.value.kind === "records" && gap === undefined) count += item.value.block.count;
    else gap ??= item.value;
  }
  // What it had begun it got whole; what was released and freed behind is a gap, not silence.
  ok(count >= 7, `${count}`);
  await scene.clock.settle();
  const { oldestOffset } = opened.log.status();
  deepEqual(gap, { kind: "gap", from: count, to: oldestOffset, reason: "dropped" });
  ok(!segmentPaths(scene).includes(first ?? ""));
  await opened.log.close();
});

test("space: kept bytes and kept time hold released segments while there is room", async () => {
  for (const keep of [{ keepBytes: 3 * SEGMENT_BYTES }, { keepMs: 1_000 }]) {
    const scene = newScene();
    const opened = await open(scene, keep);
    await storeEach(opened, numbered(100));
    await opened.log.release(100);
    const kept = segmentPaths(scene).length;
    ok(kept >= 2, JSON.stringify(keep));
    await scene.clock.advance(2_000);
    await opened.log.release(100);
    ok("keepMs" in keep ? segmentPaths(scene).length === 1 : segmentPaths(scene).length === kept);
    await opened.log.close();
  }
});

test("space: a full log pauses its receivers, and goes on by itself when something is released", async () => {
  const scene = newScene();
  const opened = await open(scene, { bytesMax: FOUR });
  let stored = 0;
  const all = numbered(80).map((text, index) => (index === 0 ? store(opened, [text]) : undefined));
  await all[0];
  void (async () => {
    for (const text of numbered(79, 1)) {
      await store(opened, [text]);
      stored += 1;
    }
  })();
  await scene.clock.advance(10);
  equal(opened.log.status().state, "full");
  equal(opened.log.status().fullBy, "bytesMax");
  ok(opened.log.status().bytes <= FOUR);
  deepEqual(scene.told.pressures, [true]);
  const before = stored;
  await scene.clock.advance(5_000);
  equal(stored, before);
  await opened.log.release(30);
  await scene.clock.settle();
  ok(stored > before);
  for (let round = 0; round < 10; round += 1) {
    await opened.log.release(opened.log.durableEnd);
    await scene.clock.settle();
  }
  equal(stored, 79);
  deepEqual(scene.told.pressures.at(-1), false);
  equal(opened.log.status().state, "running");
  const { oldestOffset } = opened.log.status();
  deepEqual((await readBack(opened)).texts, numbered(80).slice(oldestOffset));
  await opened.log.close();
});

test("space: what finds no room in time is refused, and is not in the log", async () => {
  const scene = newScene();
  const opened = await open(scene, { bytesMax: FOUR, storeTimeoutMs: 3_000 });
  const results: string[] = [];
  const tryStore = async (text: string): Promise<boolean> => {
    const isStored = await store(opened, [text]).then(
      () => true,
      (cause: unknown) => (equal((cause as { code: string }).code, "LOG_FULL"), false),
    );
    if (isStored) results.push(text);
    return isStored;
  };
  void (async () => {
    for (const text of numbered(100)) if (!(await tryStore(text))) return results.push("full");
    return undefined;
  })();
  await scene.clock.advance(2_900);
  ok(!results.includes("full"));
  await scene.clock.advance(200);
  equal(results.pop(), "full");
  await opened.log.release(30);
  ok(await tryStore("after"));
  const { oldestOffset } = opened.log.status();
  deepEqual((await readBack(opened)).texts, results.slice(oldestOffset));
  await opened.log.close();
});

test("space: with a block that finds no room those behind it are refused too, younger ones as well", async () => {
  const scene = newScene();
  const opened = await open(scene, { bytesMax: FOUR, storeTimeoutMs: 3_000 });
  const results: string[] = [];
  const begin = (text: string): void => {
    const at = { channel: "c", position: Buffer.from(text) };
    void store(opened, [text], at).then(
      () => results.push(text),
      (cause: unknown) => results.push((cause as { code: string }).code),
    );
  };
  for (const text of numbered(60)) {
    begin(text);
    await scene.clock.settle();
  }
  const before = results.length;
  ok(before < 60, `${before}`);
  await scene.clock.advance(2_500);
  begin("younger");
  await scene.clock.advance(600);
  equal(results.length, 61);
  deepEqual(new Set(results.slice(before)), new Set(["LOG_FULL"]));
  await opened.log.release(opened.log.durableEnd);
  await scene.clock.advance(2_000);
  const position = opened.log.position("meters", "c");
  equal(Buffer.from(position ?? []).toString(), results[before - 1]);
  await opened.log.close();
});

test("space: closing a full log does not wait, and says that the rest is not stored", async () => {
  const scene = newScene();
  const opened = await open(scene, { bytesMax: FOUR });
  const texts = numbered(100);
  let failed: unknown;
  void storeEach(opened, texts).catch((cause: unknown) => (failed = cause));
  await scene.clock.advance(10);
  equal(opened.log.status().state, "full");
  await opened.log.close();
  await scene.clock.settle();
  equal((failed as { code?: string } | undefined)?.code, "LOG_CLOSED");
  const again = await open(scene, { bytesMax: FOUR });
  const { texts: found } = await readBack(again);
  deepEqual(found, texts.slice(0, found.length));
  equal(again.recovery.isClean, true);
  await again.log.close();
});

test("space: what found no room says whether the budget or the disk is full, and what to do", async () => {
  for (const [scene, bytesMax, wanted] of [
    [newScene(), FOUR, /of 262144 and found no room for 3000 ms.*raise log.bytesMax/],
    [
      newScene(new SimulatedDisk({ capacityBytes: 3 * SEGMENT_BYTES })),
      100 * SEGMENT_BYTES,
      /found no room on its disk for 3000 ms.*free disk space/,
    ],
  ] as const) {
    const opened = await open(scene, { bytesMax, storeTimeoutMs: 3_000 });
    const refused = storeEach(opened, numbered(100)).then(
      () => "",
      (cause: unknown) => {
        ok(cause instanceof HoldfastError);
        return `${cause.message} ${cause.fix}`;
      },
    );
    await scene.clock.advance(4_000);
    match(await refused, wanted);
    await opened.log.close();
  }
});

test("space: a full disk is no failure: the log waits, looks each second, and goes on", async () => {
  const scene = newScene(new SimulatedDisk({ capacityBytes: 3 * SEGMENT_BYTES }));
  const opened = await open(scene);
  let stored = 0;
  void (async () => {
    for (const text of numbered(100)) {
      await store(opened, [text]);
      stored += 1;
    }
  })();
  await scene.clock.advance(10);
  equal(opened.log.status().state, "full");
  equal(opened.log.status().fullBy, "disk");
  ok(stored > 0);
  const before = stored;
  scene.disk.capacityBytes = 100 * SEGMENT_BYTES;
  await scene.clock.advance(1_000);
  await scene.clock.settle();
  ok(stored > before);
  equal(opened.log.status().state, "running");
  deepEqual((await readBack(opened, 0, stored)).texts, numbered(stored));
  await opened.log.close();
});

for (let blocks = 1; blocks <= 12; blocks += 1) {
  test(`space: a disk that is full from the start (${blocks} blocks) opens, waits and recovers`, async () => {
    const scene = newScene(new SimulatedDisk({ capacityBytes: blocks * 4096 }));
    const opened = await open(scene);
    const stored = storeEach(opened, ["a", "b"]);
    await scene.clock.advance(100);
    scene.disk.capacityBytes = 100 * SEGMENT_BYTES;
    await scene.clock.advance(1_100);
    await stored;
    deepEqual(await readBack(opened), { texts: ["a", "b"], gaps: [] });
    scene.crash("none");
    const again = await open(scene);
    deepEqual(await readBack(again), { texts: ["a", "b"], gaps: [] });
    await again.log.close();
  });
}

test("space: with drop-oldest the oldest segment goes, counted and as a gap", async () => {
  const scene = newScene();
  const opened = await open(scene, { bytesMax: FOUR, whenFull: "drop-oldest" });
  await storeEach(opened, numbered(200));
  equal(opened.log.durableEnd, 200);
  ok(opened.log.status().bytes <= FOUR);
  const { oldestOffset, gapRecords } = opened.log.status();
  equal(gapRecords, oldestOffset);
  equal(
    scene.told.gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0),
    oldestOffset,
  );
  ok(scene.told.gaps.every((gap) => gap.reason === "dropped"));
  deepEqual((await readBack(opened)).texts, numbered(200).slice(oldestOffset));
  await opened.log.close();
  const again = await open(scene, { bytesMax: FOUR, whenFull: "drop-oldest" });
  deepEqual((await readBack(again)).texts, numbered(200).slice(oldestOffset));
  await again.log.close();
});

test("space: a thousand times full and free again, within the budget", async () => {
  const scene = newScene();
  const opened = await open(scene, { bytesMax: FOUR });
  for (let round = 0; round < 200; round += 1) {
    await storeEach(opened, numbered(5, round * 5));
    await opened.log.release(round * 5);
    ok(opened.log.status().bytes <= FOUR);
  }
  const { oldestOffset } = opened.log.status();
  deepEqual((await readBack(opened)).texts, numbered(1000).slice(oldestOffset));
  ok(scene.disk.paths().length <= 6, scene.disk.paths().join(" "));
  await opened.log.close();
});

test("space: after freeing everything a new opening knows the next offset and the channels", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await opened.log.append(lines(["a"], { channel: "orders", position: Buffer.from("p") }), {
    receiver: "meters",
    epoch: 1,
  });
  await storeEach(opened, numbered(50));
  await opened.log.release(51);
  scene.crash("all");
  const again = await open(scene);
  equal(again.log.durableEnd, 51);
  equal(Buffer.from(again.log.position("meters", "orders") ?? []).toString(), "p");
  deepEqual(scene.told.gaps, []);
  await again.log.close();
});

test("space: a segment that cannot be given back stays, and so do the younger ones, until it can", async () => {
  for (const kind of ["rename", "remove", "stat"] as const) {
    const scene = newScene();
    const opened = await open(scene);
    await storeEach(opened, numbered(60));
    await scene.clock.settle();
    const before = segmentPaths(scene);
    scene.disk.inject({ what: "error", kind, nth: 1, code: "EIO" });
    await opened.log.release(60);
    const { bytes, oldestOffset } = opened.log.status();
    const left = segmentPaths(scene);
    ok(left.length > 1, kind);
    deepEqual(left, before.slice(-left.length));
    ok(left[0]?.includes(`seg-${oldestOffset.toString(16).padStart(16, "0")}-`));
    await opened.log.release(60);
    equal(segmentPaths(scene).length, 1, kind);
    ok(opened.log.status().bytes <= bytes);
    await opened.log.close();
  }
});
