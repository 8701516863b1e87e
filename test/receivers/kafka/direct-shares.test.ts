/**
 * How a batch is shared among partitions.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MeanBytes, sharesOf } from "../../../receivers/kafka/direct-shares.ts";
import { manyRuns } from "../../support/runs.ts";

test("kafka direct shares: never over the limit, nothing left that could be taken, and at least one where there is one", () => {
  const property = fc.property(
    fc.array(fc.nat(50), { maxLength: 12 }),
    fc.integer({ min: 1, max: 200 }),
    fc.nat(100),
    (counts, limit, turn) => {
      const available = new Map(counts.map((count, i) => [`p-${i}`, count]));
      const shares = [...sharesOf(available, limit, turn)];
      const taken = shares.reduce((sum, [, share]) => sum + share, 0);
      const total = counts.reduce((sum, count) => sum + count, 0);
      assert.equal(taken, Math.min(limit, total));
      for (const [key, share] of shares) {
        assert.ok(share >= 1);
        assert.ok(share <= (available.get(key) ?? 0));
      }
    },
  );
  fc.assert(property, manyRuns);
});

test("kafka direct shares: a small one gets all it needs, the others share the rest", () => {
  const available = new Map([
    ["big", 1_000],
    ["small", 10],
    ["middle", 300],
    ["empty", 0],
  ]);
  assert.deepEqual(Object.fromEntries(sharesOf(available, 500, 0)), {
    small: 10,
    middle: 245,
    big: 245,
  });
});

test("kafka direct shares: with more partitions than offsets none starves", () => {
  const available = new Map(Array.from({ length: 5 }, (_, i) => [`p-${i}`, 9] as const));
  const served = new Set<string>();
  for (let turn = 0; turn < 5; turn++)
    for (const [key, share] of sharesOf(available, 2, turn)) {
      assert.equal(share, 1);
      served.add(key);
    }
  assert.equal(served.size, 5);
});

test("kafka direct shares: bytes become offsets by what was read, and one always goes", () => {
  const mean = new MeanBytes();
  assert.equal(mean.within({ recordsMax: 100, bytesMax: 10 * 1_024 }), 10);
  mean.add(100_000, 100);
  assert.equal(mean.within({ recordsMax: 100, bytesMax: 10_000 }), 10);
  mean.add(0, 0);
  assert.equal(mean.perOffset, 1_000);
  mean.add(0, 100);
  assert.equal(mean.perOffset, 800);
  assert.equal(mean.within({ recordsMax: 5, bytesMax: 10_000 }), 5);
  assert.equal(mean.within({ recordsMax: 5, bytesMax: 1 }), 1);
});
