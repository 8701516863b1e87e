/**
 * The direct source over a cluster without brokers: what it plans, waits for, reads and refuses.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DirectCluster } from "../../../receivers/kafka/direct-cluster.ts";
import type { FetchResult } from "../../../receivers/kafka/direct-reader.ts";
import { KafkaSource } from "../../../receivers/kafka/direct-source.ts";
import { kafkaDirect } from "../../../receivers/kafka/index.ts";
import type { KafkaDirectOptions } from "../../../receivers/kafka/options.ts";
import { type KeyedPartition, keyed } from "../../../receivers/kafka/partition-key.ts";
import type { RecordBatch } from "../../../receivers/kafka/record-batches.ts";
import type { Offsets } from "../../../src/contract/log.ts";
import { copyOf } from "../../../src/contract/record.ts";
import type { SourceContext, SourceItem } from "../../../src/contract/source.ts";
import { realClock } from "../../../src/host/clock.ts";
import { realFiles } from "../../../src/host/real-files.ts";
import { createSeededRandom } from "../../../src/testing/seeded-random.ts";
import { silentLogger } from "../../support/logger.ts";

const OLD = "000102030405060708090a0b0c0d0e0f";
const NEW = "f00102030405060708090a0b0c0d0e0f";
const p0 = keyed("orders", 0, OLD);
const p1 = keyed("orders", 1, OLD);
const BOUNDS = { recordsMax: 100, bytesMax: 1_000_000 };
const never = new AbortController().signal;

interface Kept {
  readonly partition: KeyedPartition;
  begin: number;
  end: number;
}

/** Partitions with records of ten bytes each. */
class FakeCluster implements DirectCluster {
  kept: Kept[] = [
    { partition: p0, begin: 0, end: 0 },
    { partition: p1, begin: 0, end: 0 },
  ];
  /** Called each time ends are asked for. */
  asked: (count: number) => void = () => undefined;
  askedCount = 0;
  closeCount = 0;
  value = "ten bytes!";
  /** What the last fetch asked for. */
  fetchedBytesMax = 0;

  partitions(): Promise<readonly KeyedPartition[]> {
    return Promise.resolve(this.kept.map(({ partition }) => partition));
  }

  offsets(
    partitions: readonly KeyedPartition[],
    at: "begin" | "end",
  ): Promise<ReadonlyMap<string, number>> {
    if (at === "end") this.asked(++this.askedCount);
    const kept = this.kept.filter(({ partition }) =>
      partitions.some(({ key }) => key === partition.key),
    );
    return Promise.resolve(new Map(kept.map((each) => [each.partition.key, each[at]])));
  }

  fetch({ key }: KeyedPartition, offset: number, bytesMax: number): Promise<FetchResult> {
    this.fetchedBytesMax = bytesMax;
    const found = this.kept.find(({ partition }) => partition.key === key);
    if (found === undefined) return Promise.resolve({ kind: "gone" });
    const { begin, end } = found;
    if (offset < begin) return Promise.resolve({ kind: "outside", begin, end });
    const batches = offset < end ? [batchAt(offset, end, this.value)] : [];
    return Promise.resolve({ kind: "fetched", begin, end, batches, aborted: [] });
  }

  close(): Promise<void> {
    this.closeCount++;
    return Promise.resolve();
  }
}

function batchAt(firstOffset: number, endOffset: number, text: string): RecordBatch {
  return {
    firstOffset,
    endOffset,
    producerId: -1n,
    isTransactional: false,
    isControl: false,
    records: async ({ from, to }) => {
      const records = Array.from({ length: endOffset - firstOffset }, (_, i) => ({
        offset: firstOffset + i,
        timestamp: (firstOffset + i) % 2 === 0 ? 1_000 + i : -1,
        key: Buffer.from("key"),
        value: firstOffset + i === 3 ? null : Buffer.from(text),
        headers: { unit: Buffer.from("C") },
      }));
      return [records.filter(({ offset }) => offset >= from && offset < to)];
    },
  };
}

/** A source whose sleeps end at once, and whose clock goes on by them. */
async function sourceOf(
  cluster: FakeCluster,
  options: Partial<KafkaDirectOptions> = {},
): Promise<KafkaSource> {
  let nowMs = 0;
  const { options: resolved } = kafkaDirect("orders", {
    brokers: ["broker:9092"],
    topics: ["orders"],
    ...options,
  });
  const context: SourceContext<KafkaDirectOptions> = {
    name: "orders",
    // Decode boundary: as its own factory has resolved them.
    options: resolved as KafkaDirectOptions,
    pipeline: "rows",
    signal: never,
    clock: {
      ...realClock,
      wallMs: () => 77,
      monotonicMs: () => nowMs,
      sleep: async (ms, signal) => {
        nowMs += ms;
        await realClock.yield();
        signal.throwIfAborted();
      },
    },
    random: createSeededRandom(1),
    files: realFiles,
    logger: silentLogger,
    dial: (_, connect) => connect(),
    fail: () => undefined,
  };
  return KafkaSource.open(context, cluster);
}

test("kafka direct source: plans from the oldest offsets, within the bounds, and up to the ends", async () => {
  const cluster = new FakeCluster();
  const [first, second] = cluster.kept;
  assert.ok(first !== undefined && second !== undefined);
  Object.assign(first, { begin: 5, end: 500 });
  const source = await sourceOf(cluster);
  assert.deepEqual(await source.oldest(never), { [p0.key]: 5, [p1.key]: 0 });
  // An empty one has nothing to reach.
  assert.deepEqual(await source.latest(never), { [p0.key]: 500 });
  assert.deepEqual(await source.bounded({}, BOUNDS, never), { [p0.key]: 105 });
  second.end = 20;
  const from = { [p0.key]: 105 };
  assert.deepEqual(await source.bounded(from, BOUNDS, never), { [p0.key]: 185, [p1.key]: 20 });
  assert.equal(source.lag(from), 395 + 20);
  assert.deepEqual(await source.bounded({ [p0.key]: 500, [p1.key]: 20 }, BOUNDS, never), {});
  await source.release();
  await source.close();
  assert.equal(cluster.closeCount, 1);
});

test("kafka direct source: bytesMax goes by the records that were read", async () => {
  const cluster = new FakeCluster();
  Object.assign(cluster.kept[0] ?? {}, { end: 10_000 });
  const source = await sourceOf(cluster);
  const bounds = { recordsMax: 5_000, bytesMax: 10_240 };
  assert.deepEqual(await source.bounded({}, bounds, never), { [p0.key]: 10 });
  await itemsOf(source, { partition: p0.key, from: 100, to: 1_100 });
  assert.deepEqual(await source.bounded({}, bounds, never), { [p0.key]: 1_024 });
});

test("kafka direct source: a fetch asks for about what its range has", async () => {
  const cluster = new FakeCluster();
  Object.assign(cluster.kept[0] ?? {}, { end: 100_000 });
  const source = await sourceOf(cluster);
  const asked = async (from: number, to: number): Promise<number> => {
    await itemsOf(source, { partition: p0.key, from, to });
    return cluster.fetchedBytesMax;
  };
  // Nothing was read yet: each counts a KiB, and its frame.
  assert.equal(await asked(0, 1_000), 1_000 * (1_024 + 64) * 2);
  // Ten bytes each.
  const bytes = await asked(1_000, 21_000);
  assert.ok(bytes > 20_000 * 74 && bytes < 20_000 * 74 * 2.1, `${bytes}`);
  assert.equal(await asked(21_000, 21_001), 65_536);
});

test("kafka direct source: waits until something lies beyond, also in a partition that is new", async () => {
  const cluster = new FakeCluster();
  const source = await sourceOf(cluster, { refreshMs: 1_000, pollMs: 250 });
  cluster.asked = (count) => {
    if (count === 5) cluster.kept.push({ partition: keyed("orders", 2, OLD), begin: 7, end: 9 });
  };
  await source.waitFor({ [p0.key]: 0 }, never);
  // Found at the next refresh, a second after the first.
  assert.equal((await source.oldest(never))["orders-2@AAECAwQFBgcICQoLDA0ODw"], 7);
  const abort = new AbortController();
  const waiting = source.waitFor({ ...(await source.latest(never)) }, abort.signal);
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
});

test("kafka direct source: a topic that was made again has new partitions from their oldest offset", async () => {
  const cluster = new FakeCluster();
  Object.assign(cluster.kept[0] ?? {}, { end: 10 });
  const source = await sourceOf(cluster);
  const from: Offsets = { [p0.key]: 4, [p1.key]: 0 };
  const again = keyed("orders", 0, NEW);
  cluster.kept = [{ partition: again, begin: 2, end: 40 }];
  // What was known of the old one and not planned is planned, as the gap that it is.
  const ends = { [p0.key]: 10, [again.key]: 40 };
  assert.deepEqual(await source.bounded(from, BOUNDS, never), ends);
  assert.deepEqual(await source.latest(never), ends);
  assert.equal(source.lag(from), 6 + 38);
  assert.deepEqual(await itemsOf(source, { partition: p0.key, from: 4, to: 10 }), [
    { kind: "gap", from: 4, to: 10, reason: "partition-gone" },
  ]);
  await source.bounded({ ...from, [p0.key]: 10 }, BOUNDS, never);
  assert.deepEqual(await source.latest(never), { [again.key]: 40 });
  assert.deepEqual(await source.oldest(never), { [again.key]: 2 });
});

test("kafka direct source: a partition that goes with offsets that nobody planned begins where it did", async () => {
  const cluster = new FakeCluster();
  Object.assign(cluster.kept[0] ?? {}, { begin: 3, end: 10 });
  const source = await sourceOf(cluster);
  cluster.kept = [];
  assert.deepEqual(await source.bounded({}, BOUNDS, never), { [p0.key]: 10 });
  assert.equal((await source.oldest(never))[p0.key], 3);
  await source.waitFor({}, never);
});

test("kafka direct source: an end before what is committed is asked for again, then it is KAFKA_TOPIC_RESET", async () => {
  const cluster = new FakeCluster();
  Object.assign(cluster.kept[0] ?? {}, { end: 3 });
  const source = await sourceOf(cluster);
  const from = { [p0.key]: 8 };
  const error = { code: "KAFKA_TOPIC_RESET", message: /up to 8, now it ends at 3/ };
  await assert.rejects(source.waitFor(from, never), error);
  await assert.rejects(source.bounded(from, BOUNDS, never), error);
  const before = cluster.askedCount;
  cluster.asked = (count) => {
    if (count === before + 3) Object.assign(cluster.kept[0] ?? {}, { end: 9 });
  };
  await source.waitFor(from, never);
});

test("kafka direct source: an end before what was told to be there is asked for again, then it is KAFKA_TOPIC_RESET", async () => {
  const cluster = new FakeCluster();
  const [first] = cluster.kept;
  assert.ok(first !== undefined);
  first.end = 10;
  const source = await sourceOf(cluster);
  // Where a finite trigger ends: it would ask for ever for what is no more.
  assert.deepEqual(await source.latest(never), { [p0.key]: 10 });
  first.end = 6;
  assert.deepEqual(await source.bounded({ [p0.key]: 3 }, BOUNDS, never), { [p0.key]: 6 });
  const from = { [p0.key]: 6 };
  await assert.rejects(source.bounded(from, BOUNDS, never), {
    code: "KAFKA_TOPIC_RESET",
    message: /up to offset 10 and read up to 6, now it ends at 6/,
  });
  const before = cluster.askedCount;
  cluster.asked = (count) => {
    if (count === before + 3) first.end = 10;
  };
  assert.deepEqual(await source.bounded(from, BOUNDS, never), { [p0.key]: 10 });
  // What is behind it is no longer looked at.
  assert.deepEqual(await source.bounded({ [p0.key]: 10 }, BOUNDS, never), {});
});

test("kafka direct source: blocks are of the source and the partition, and records keep their offsets", async () => {
  const cluster = new FakeCluster();
  Object.assign(cluster.kept[0] ?? {}, { begin: 1, end: 6 });
  const source = await sourceOf(cluster, { tombstones: "drop" });
  const expected = [
    { kind: "gap", from: 0, to: 1, reason: "dropped" },
    { from: 1, texts: ["ten bytes!", "ten bytes!"], timesMs: [77, 1_001] },
    { kind: "gap", from: 3, to: 4, reason: "absent" },
    { from: 4, texts: ["ten bytes!", "ten bytes!"], timesMs: [1_003, 77] },
  ];
  for (let replay = 0; replay < 2; replay++)
    assert.deepEqual(await itemsOf(source, { partition: p0.key, from: 0, to: 6 }), expected);
});

test("kafka direct source: what a very long record took is free when its range is read", async () => {
  const cluster = new FakeCluster();
  Object.assign(cluster.kept[0] ?? {}, { end: 6 });
  const source = await sourceOf(cluster);
  const roomFor = async (value: string): Promise<number> => {
    cluster.value = value;
    let bytes = 0;
    for await (const item of source.read({ partition: p0.key, from: 0, to: 1 }, never))
      if (item.kind === "records") bytes = item.block.values.length;
    return bytes;
  };
  const long = "x".repeat(16 * 1024 * 1024);
  assert.ok((await roomFor(long)) >= long.length);
  assert.ok((await roomFor("short")) < long.length);
});

test("kafka direct source: a plan of something that is none of Kafka's is SOURCE_CHANGED", async () => {
  const source = await sourceOf(new FakeCluster());
  await assert.rejects(itemsOf(source, { partition: "a", from: 0, to: 1 }), {
    code: "SOURCE_CHANGED",
    message: /partition a/,
  });
});

test("kafka direct source: reading ends with the signal's reason", async () => {
  const cluster = new FakeCluster();
  Object.assign(cluster.kept[0] ?? {}, { end: 6 });
  const source = await sourceOf(cluster);
  const reading = source.read({ partition: p0.key, from: 0, to: 6 }, AbortSignal.abort("enough"));
  await assert.rejects(
    async () => {
      for await (const _ of reading) assert.fail("nothing is read");
    },
    (cause) => cause === "enough",
  );
});

/** Items with what has to outlive them. */
async function itemsOf(
  source: KafkaSource,
  range: { readonly partition: string; readonly from: number; readonly to: number },
): Promise<readonly unknown[]> {
  const items: unknown[] = [];
  for await (const item of source.read(range, never)) items.push(copied(item));
  return items;
}

function copied(item: SourceItem): unknown {
  if (item.kind === "gap") return item;
  const { block } = item;
  assert.deepEqual(
    [block.receiver, block.channel, block.partition],
    ["orders", p0.key, p0.partition],
  );
  assert.equal(
    Buffer.from(block.headers?.bytes ?? [])
      .toString()
      .slice(0, 12),
    '{"unit":"C"}',
  );
  assert.equal(
    Buffer.from(block.keys?.bytes ?? [])
      .toString()
      .slice(0, 3),
    "key",
  );
  const indexes = Array.from({ length: block.count }, (_, i) => i);
  return {
    from: block.firstOffset,
    texts: indexes.map((i) => Buffer.from(copyOf(block, i)).toString()),
    timesMs: indexes.map((i) => block.receivedAtMs(i)),
  };
}
