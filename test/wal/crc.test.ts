import { equal, notEqual } from "node:assert/strict";
import { test } from "node:test";
import { crc32 as nodeCrc32 } from "node:zlib";
import fc from "fast-check";
import { crc32, fastestCrc32, NATIVE_BYTES_MIN } from "../../src/wal/crc.ts";

test("crc: the check value of the standard", () => {
  equal(crc32(Buffer.from("123456789"), 0, 9, 0), 0xcbf4_3926);
});

test("crc: whatever code computes it, the numbers are Node's, also in parts", () => {
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 4 * NATIVE_BYTES_MIN, size: "max" });
  fc.assert(
    fc.property(bytes, fc.nat(2 ** 32 - 1), fc.nat(), (all, seed, cut) => {
      const at = cut % (all.length + 1);
      const whole = all.length === 0 ? seed : nodeCrc32(all, seed);
      equal(crc32(all, 0, all.length, seed), whole);
      equal(crc32(all, at, all.length, crc32(all, 0, at, seed)), whole);
    }),
  );
});

const missing = (): never => {
  throw new Error("not installed");
};
const wrong = { crc32: (bytes: Uint8Array, seed: number) => nodeCrc32(bytes, seed) ^ 1 };
const seedless = { crc32: (bytes: Uint8Array) => nodeCrc32(bytes, 0) };
const packages: readonly (readonly [string, () => unknown])[] = [
  ["is not installed", missing],
  ["is something else", () => ({})],
  ["computes something else", () => wrong],
  ["forgets the seed", () => seedless],
];
for (const [what, load] of packages) {
  test(`crc: a package that ${what} is not used`, () => {
    equal(fastestCrc32(load), nodeCrc32);
  });
}

test("crc: a package that agrees with Node is used", () => {
  const native = (bytes: Uint8Array, seed: number): number => nodeCrc32(bytes, seed);
  equal(
    fastestCrc32(() => ({ crc32: native })),
    native,
  );
  notEqual(native, nodeCrc32);
});
