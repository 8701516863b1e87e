import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SinkPosition } from "../../src/contract/sink.ts";
import { type BatchIdentity, judgeBatch, positionAfter, START } from "../../src/sink/position.ts";

const stored: SinkPosition = {
  batchId: 7,
  epoch: 3,
  ends: { log: { "0": 100 }, orders: { "2": 50 } },
};

function batch(batchId: number, from: number, to: number, epoch = 3): BatchIdentity {
  return { sink: "out", batchId, epoch, ranges: { log: { "0": [from, to] } } };
}

const CASES: readonly [
  title: string,
  batch: BatchIdentity,
  expected: "new" | "already-written" | "SINK_CONFLICT",
][] = [
  ["the next batch is new", batch(8, 100, 140), "new"],
  ["a batch behind a gap is new", batch(9, 120, 140), "new"],
  ["the same batch is there", batch(7, 80, 100), "already-written"],
  ["an older batch is there", batch(2, 10, 20), "already-written"],
  ["the same batch of an older epoch is there", batch(7, 80, 100, 1), "already-written"],
  ["the same id with more records conflicts", batch(7, 80, 101), "SINK_CONFLICT"],
  ["an older id with newer records conflicts", batch(3, 100, 140), "SINK_CONFLICT"],
  ["a next batch that overlaps conflicts", batch(8, 99, 140), "SINK_CONFLICT"],
  ["a next batch of an older epoch conflicts", batch(8, 100, 140, 2), "SINK_CONFLICT"],
  [
    "a partition never seen is new",
    { ...batch(8, 0, 0), ranges: { orders: { "3": [0, 5] } } },
    "new",
  ],
  [
    "a partition never seen conflicts under a known id",
    { ...batch(7, 0, 0), ranges: { orders: { "3": [0, 5] } } },
    "SINK_CONFLICT",
  ],
];

for (const [title, identity, expected] of CASES) {
  test(`judgeBatch: ${title}`, () => {
    if (expected === "SINK_CONFLICT")
      throws(() => judgeBatch(stored, identity), { code: expected });
    else equal(judgeBatch(stored, identity), expected);
  });
}

test("positionAfter: keeps partitions that the batch does not touch", () => {
  deepEqual(positionAfter(stored, batch(8, 100, 140, 4)), {
    batchId: 8,
    epoch: 4,
    ends: { log: { "0": 140 }, orders: { "2": 50 } },
  });
  deepEqual(stored.ends["log"], { "0": 100 });
});

test("judgeBatch: of any contiguous batches, those taken are there and the next is new", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 }),
      fc.nat(),
      (sizes, pick) => {
        const batches: BatchIdentity[] = [];
        let from = 0;
        for (const [index, size] of sizes.entries())
          batches.push(batch(index + 1, from, (from += size)));
        const taken = pick % sizes.length;
        const position = batches.slice(0, taken).reduce(positionAfter, START);
        for (const [index, each] of batches.entries()) {
          if (index <= taken)
            equal(judgeBatch(position, each), index < taken ? "already-written" : "new");
        }
      },
    ),
    { numRuns: 50 },
  );
});
