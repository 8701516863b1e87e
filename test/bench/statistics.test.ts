import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { median, quantile, shuffled } from "../../bench/statistics.ts";

test("median: the middle value, the mean of two, an error for none", () => {
  equal(median([9, 1, 5]), 5);
  equal(median([4, 1, 3, 2]), 2.5);
  throws(() => median([]));
});

test("quantile: first, middle and last of sorted values", () => {
  const values = Array.from({ length: 101 }, (_, index) => index);
  deepEqual(
    [0, 0.5, 0.99, 1].map((share) => quantile(values, share)),
    [0, 50, 99, 100],
  );
});

test("shuffled: every item once, in the order of its draws", () => {
  const draws = [0.3, 0.1, 0.2];
  deepEqual(
    shuffled(["a", "b", "c"], () => draws.shift() ?? 0),
    ["b", "c", "a"],
  );
});
