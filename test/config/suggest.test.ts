import { equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseDuration, parseSize } from "../../src/units.ts";
import { showDuration, showSize } from "../../src/config/quantities.ts";
import { closest, editDistance, suggestion } from "../../src/config/suggest.ts";

const distances: readonly (readonly [string, string, number])[] = [
  ["", "", 0],
  ["", "abc", 3],
  ["port", "port", 0],
  ["prot", "port", 1],
  ["supervison", "supervision", 1],
  ["metres", "meters", 1],
  ["kitten", "sitting", 3],
];

for (const [a, b, distance] of distances) {
  test(`suggest: ${JSON.stringify(a)} is ${distance} away from ${JSON.stringify(b)}`, () =>
    equal(editDistance(a, b), distance));
}

test("suggest: the distance is symmetric, zero for the same word only, and at most the longer length", () => {
  const word = fc.stringMatching(/^[a-d]{0,8}$/);
  fc.assert(
    fc.property(word, word, (a, b) => {
      equal(editDistance(a, b), editDistance(b, a));
      equal(editDistance(a, b) === 0, a === b);
      equal(editDistance(a, b) <= Math.max(a.length, b.length), true);
    }),
  );
});

test("suggest: a word that is far from all is not guessed", () => {
  equal(closest("zzz", ["port", "host"]), undefined);
  equal(suggestion("zzz", ["port", "host"]), "known: port, host");
  equal(suggestion("zzz", []), "");
});

test("suggest: the closest of several, whatever its case", () => {
  equal(closest("batchmax", ["batchBytesMax", "batchMax", "port"]), "batchMax");
});

test("suggest: words beyond the limit are compared for equality only", () => {
  equal(editDistance("x".repeat(65), "x".repeat(66)), Infinity);
  equal(editDistance("x".repeat(65), "x".repeat(65)), 0);
});

test("quantities: a duration reads back as the same milliseconds", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.nat(),
        fc.nat(10_000).map((n) => n * 60_000),
      ),
      (ms) => equal(parseDuration(showDuration(ms)), ms),
    ),
  );
});

test("quantities: a size reads back as the same bytes", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.nat(),
        fc.nat(10_000).map((n) => n * 1024),
      ),
      (bytes) => equal(parseSize(showSize(bytes)), bytes),
    ),
  );
});

test("quantities: the largest unit that is exact", () => {
  equal([0, 90_000, 60_000, 250, 172_800_000].map(showDuration).join(" "), "0ms 90s 1m 250ms 2d");
  equal([0, 512, 1536, 16 * 2 ** 20].map(showSize).join(" "), "0B 512B 1536B 16MiB");
});
