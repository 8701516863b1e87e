import { equal } from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { withSeed } from "../../src/wal/crc-join.ts";

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

test("crc join: any bytes with any seed, from their checksum with seed 0", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), uint32, (bytes, seed) => {
      equal(withSeed(crc32(bytes, 0), bytes.length, seed), crc32(bytes, seed));
    }),
  );
});

test("crc join: every length up to a page, and the largest body", () => {
  const bytes = new Uint8Array(8 * 1024 * 1024);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = index * 31 + (index >>> 8);
  const seed = 0xdead_beef;
  for (let length = 0; length <= 4096; length += 1) {
    const part = bytes.subarray(0, length);
    equal(withSeed(crc32(part, 0), length, seed), crc32(part, seed), `${length} bytes`);
  }
  equal(withSeed(crc32(bytes, 0), bytes.length, seed), crc32(bytes, seed));
});
