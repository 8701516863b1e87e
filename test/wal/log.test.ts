import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import type { Column, StoredBlock } from "../../src/contract/record.ts";
import type { OpenedLog } from "../../src/wal/open-log.ts";
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

test("log: what was stored is read back in order, with offsets from 0", async () => {
  const opened = await open(newScene());
  deepEqual(await store(opened, ["a", "b"]), { firstOffset: 0, recordCount: 2 });
  deepEqual(await store(opened, ["c"]), { firstOffset: 2, recordCount: 1 });
  deepEqual(await readBack(opened), { texts: ["a", "b", "c"], gaps: [] });
  equal(opened.log.durableEnd, 3);
  await opened.log.close();
});

test("log: records fill many segments, and any range of them is read", async () => {
  const scene = newScene();
  const opened = await open(scene);
  const texts = numbered(100);
  await storeEach(opened, texts);
  ok(segmentPaths(scene).length >= 7);
  deepEqual((await readBack(opened)).texts, texts);
  for (const [from, to] of [
    [0, 1],
    [13, 17],
    [50, 99],
    [99, 100],
    [40, 40],
  ] as const) {
    deepEqual(await readBack(opened, from, to), { texts: texts.slice(from, to), gaps: [] });
  }
  await opened.log.close();
});

test("log: after an orderly close it goes on in the same segment, after a kill in another", async () => {
  const scene = newScene();
  const first = await open(scene);
  await storeEach(first, ["a", "b"]);
  await first.log.close();
  equal(scene.told.states.at(-1), "closed");
  const second = await open(scene);
  equal(second.recovery.isClean, true);
  equal(segmentPaths(scene).length, 1);
  await storeEach(second, ["c"]);
  scene.crash("all");
  const third = await open(scene);
  equal(third.recovery.isClean, false);
  deepEqual((await readBack(third)).texts, ["a", "b", "c"]);
  await storeEach(third, ["d"]);
  deepEqual((await readBack(third)).texts, ["a", "b", "c", "d"]);
  deepEqual(scene.told.gaps, []);
  await third.log.close();
});

test("log: close may be called twice, and nothing is stored after it", async () => {
  const opened = await open(newScene());
  const last = store(opened, ["a"]);
  await Promise.all([opened.log.close(), opened.log.close()]);
  deepEqual(await last, { firstOffset: 0, recordCount: 1 });
  await rejects(store(opened, ["b"]), { code: "LOG_CLOSED" });
  equal(opened.log.status().state, "closed");
});

test("log: a block that is too large or contradicts itself is refused and nothing else is touched", async () => {
  const opened = await open(newScene(), { blockBytesMax: 10_000 });
  const origin = { receiver: "meters", epoch: 1 };
  await rejects(store(opened, ["x".repeat(10_000)]), { code: "BLOCK_TOO_LARGE" });
  await rejects(opened.log.append(lines(["a"], { count: 0 }), origin), { code: "BLOCK_INVALID" });
  await rejects(opened.log.append(lines(["a", "b"], { valueEnds: Uint32Array.of(4, 2) }), origin), {
    code: "BLOCK_INVALID",
  });
  await rejects(opened.log.append(lines(["a"], { valueEnds: Uint32Array.of(99) }), origin), {
    code: "BLOCK_INVALID",
  });
  await rejects(opened.log.append(lines(["a"], { position: new Uint8Array(4097) }), origin), {
    code: "BLOCK_INVALID",
  });
  await rejects(opened.log.append(lines(["a"], { channel: "c".repeat(2000) }), origin), {
    code: "BLOCK_INVALID",
  });
  deepEqual(await store(opened, ["good"]), { firstOffset: 0, recordCount: 1 });
  deepEqual((await readBack(opened)).texts, ["good"]);
  await opened.log.close();
});

test("log: a block larger than a segment gets a segment of its own", async () => {
  const scene = newScene();
  const opened = await open(scene);
  const large = "y".repeat(200_000);
  await store(opened, ["a"]);
  await store(opened, [large]);
  await store(opened, ["b"]);
  deepEqual((await readBack(opened)).texts, ["a", large, "b"]);
  scene.crash("all");
  const again = await open(scene);
  deepEqual((await readBack(again)).texts, ["a", large, "b"]);
  await again.log.close();
});

/** The first block of a range, which must be in one. */
async function blockOf(opened: OpenedLog, from: number, to: number): Promise<StoredBlock> {
  for await (const item of opened.log.read({ from, to }, new AbortController().signal))
    if (item.kind === "records") return item.block;
  throw new Error("no records");
}

function column(texts: readonly string[]): Column {
  let end = 0;
  return {
    bytes: Buffer.from(texts.join("")),
    ends: Uint32Array.from(texts, (text) => (end += text.length)),
  };
}

test("log: keys, timestamps, headers and receive times come back, also of a part of a block", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await scene.clock.advance(5);
  await store(opened, ["a", "b", "c"], {
    keys: column(["k1", "", "k3"]),
    timestampsMs: Float64Array.of(1.5, Number.NaN, 3),
    headers: column(["{}", '{"x":"1"}', ""]),
  });
  const block = await blockOf(opened, 1, 3);
  const { count, firstOffset, headers, keys, timestampsMs } = block;
  deepEqual([firstOffset, count, block.receivedAtMs(0)], [1, 2, scene.clock.wallMs()]);
  deepEqual(keys && [Buffer.from(keys.bytes).toString(), ...keys.ends], ["k3", 0, 2]);
  deepEqual(timestampsMs && [...timestampsMs], [Number.NaN, 3]);
  deepEqual(headers && [Buffer.from(headers.bytes).toString(), ...headers.ends], [
    '{"x":"1"}',
    9,
    9,
  ]);
  await opened.log.close();
});

test("log: who waits for records is told when the log is closed", async () => {
  const opened = await open(newScene());
  const { signal } = new AbortController();
  const waiting = opened.log.waitFor(0, signal);
  await opened.log.close();
  await rejects(waiting, { code: "LOG_CLOSED" });
  await rejects(opened.log.waitFor(0, signal), { code: "LOG_CLOSED" });
});

test("log: waitFor resolves when the offset is durable and rejects when its signal aborts", async () => {
  const opened = await open(newScene());
  const controller = new AbortController();
  const first = opened.log.waitFor(0, controller.signal);
  const second = opened.log.waitFor(1, controller.signal);
  await store(opened, ["a"]);
  await first;
  controller.abort(new Error("enough"));
  await rejects(second, /enough/);
  await rejects(opened.log.waitFor(0, controller.signal), /enough/);
  await opened.log.waitFor(0, new AbortController().signal);
  await opened.log.close();
});

test("log: nobody reads beyond the durable end", async () => {
  const opened = await open(newScene());
  await store(opened, ["a"]);
  await rejects(async () => void (await readBack(opened, 0, 2)), { code: "INTERNAL" });
  await opened.log.close();
});

test("log: boundedEnd stays within the bounds, and always offers a record that is there", async () => {
  const opened = await open(newScene());
  await storeEach(opened, numbered(100));
  const { log } = opened;
  equal(log.boundedEnd(0, 10, Infinity), 10);
  equal(log.boundedEnd(95, 10, Infinity), 100);
  equal(log.boundedEnd(100, 10, 10), 100);
  equal(log.boundedEnd(3, 10, 0), 4);
  equal(log.boundedEnd(3, 1, 1), 4);
  const end = log.boundedEnd(20, 1_000, 10 * 4096);
  ok(end > 24 && end <= 33, `about 10 entries of one block each from 20, got ${end}`);
  await log.close();
});

test("log: positions of channels survive a kill, an orderly end and many segments", async () => {
  const scene = newScene();
  const first = await open(scene);
  await store(first, ["a"], { channel: "orders-0", position: Buffer.from("p1") });
  await store(first, ["b"], { channel: "orders-1", position: Buffer.from("q1") });
  await storeEach(first, numbered(60));
  await store(first, ["c"], { channel: "orders-0", position: Buffer.from("p2") });
  equal(Buffer.from(first.log.position("meters", "orders-0") ?? []).toString(), "p2");
  scene.crash("all");
  const second = await open(scene);
  equal(Buffer.from(second.log.position("meters", "orders-0") ?? []).toString(), "p2");
  equal(Buffer.from(second.log.position("meters", "orders-1") ?? []).toString(), "q1");
  equal(second.log.position("meters", ""), undefined);
  equal(second.log.position("gates", "orders-0"), undefined);
  await second.log.close();
  const third = await open(scene);
  equal(Buffer.from(third.log.position("meters", "orders-1") ?? []).toString(), "q1");
  await third.log.close();
});

test("log: a position is seen only when its block is durable", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await store(opened, ["named"]);
  await scene.clock.settle();
  const hold = scene.disk.hold({ kind: "write" });
  const stored = store(opened, ["a"], { position: Buffer.from("p1") });
  await scene.clock.settle();
  equal(hold.waiting, 1);
  equal(opened.log.position("meters", ""), undefined);
  hold.release();
  await stored;
  equal(Buffer.from(opened.log.position("meters", "") ?? []).toString(), "p1");
  await opened.log.close();
});

test("log: an older epoch is refused, and fence waits for what was accepted", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await store(opened, ["named"]);
  await scene.clock.settle();
  const hold = scene.disk.hold({ kind: "write" });
  const stored = store(opened, ["a"]);
  let isFenced = false;
  const fenced = opened.log.fence("meters", 2).then(() => (isFenced = true));
  await rejects(store(opened, ["late"]), { code: "STORE_FENCED" });
  await scene.clock.settle();
  equal(isFenced, false);
  hold.release();
  await fenced;
  await stored;
  deepEqual(await opened.log.append(lines(["new"]), { receiver: "meters", epoch: 2 }), {
    firstOffset: 2,
    recordCount: 1,
  });
  await rejects(store(opened, ["late"]), { code: "STORE_FENCED" });
  await opened.log.append(lines(["other"]), { receiver: "gates", epoch: 1 });
  await opened.log.close();
});

test("log: opening many times loses nothing, invents nothing and does not eat the budget", async () => {
  const scene = newScene();
  const texts: string[] = [];
  for (let round = 0; round < 40; round += 1) {
    const opened = await open(scene, {
      segmentBytes: 4 * SEGMENT_BYTES,
      bytesMax: 40 * SEGMENT_BYTES,
    });
    deepEqual((await readBack(opened)).texts, texts);
    const next = numbered(round % 3, texts.length);
    await storeEach(opened, next);
    texts.push(...next);
    if (round % 4 === 0) await opened.log.close();
    else scene.crash(round % 2 === 0 ? "all" : "none");
  }
  ok(
    segmentPaths(scene).length < 6,
    `${segmentPaths(scene).length} segments for ${texts.length} records`,
  );
  deepEqual(scene.told.gaps, []);
});

test("log: options out of range are refused with both numbers", async () => {
  for (const wrong of [
    { segmentBytes: 5000 },
    { segmentBytes: 65_537 },
    { bytesMax: 65_536 },
    { minCommitIntervalMs: -1 },
    { blockBytesMax: 8 * 1024 * 1024 },
    { logUuid: new Uint8Array(3) },
    { storeTimeoutMs: Number.NaN },
  ]) {
    await rejects(open(newScene(), wrong), { code: "CONFIG_OUT_OF_RANGE" });
  }
});
