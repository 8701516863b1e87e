/**
 * The checksum of Kafka's batches, whatever code computes it.
 */
import { equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c, fastestCrc32c, tableCrc32c } from "../../../receivers/kafka/crc32c.ts";

test("crc32c: the values of RFC 3720, appendix B.4, and the check value", () => {
  const values: readonly (readonly [Uint8Array, number])[] = [
    [Buffer.from("123456789"), 0xe306_9283],
    [Buffer.alloc(32), 0x8a91_36aa],
    [Buffer.alloc(32, 0xff), 0x62a8_ab43],
    [Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd_794e],
    [Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113f_db5c],
    [new Uint8Array(0), 0],
  ];
  for (const [bytes, checksum] of values) {
    equal(tableCrc32c(bytes), checksum);
    equal(crc32c(bytes), checksum);
  }
});

test("crc32c: whatever code computes it, the numbers are the same", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5_000, size: "max" }), (bytes) => {
      equal(crc32c(bytes), tableCrc32c(bytes));
    }),
  );
});

const missing = (): never => {
  throw new Error("not installed");
};
const wrong = { crc32c: (bytes: Uint8Array) => tableCrc32c(bytes) ^ 1 };
for (const [what, load] of [
  ["is not installed", missing],
  ["is something else", () => ({})],
  ["computes something else", () => wrong],
] as const)
  test(`crc32c: the table does all where the package ${what}`, () => {
    equal(fastestCrc32c(load), tableCrc32c);
  });
