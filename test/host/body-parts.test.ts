import assert from "node:assert/strict";
import { test } from "node:test";
import { BodyParts, CHUNKS_MAX } from "../../src/host/body-parts.ts";

test("body parts: chunks of one byte are copied together, in order", () => {
  const parts = new BodyParts();
  const byteCount = 100 * CHUNKS_MAX + 7;
  for (let index = 0; index < byteCount; index++) parts.add(Buffer.of(index % 251));
  assert.equal(parts.count, 100 + 7);
  assert.deepEqual(
    parts.whole(),
    Buffer.from(Uint8Array.from({ length: byteCount }, (_, index) => index % 251)),
  );
  parts.clear();
  assert.deepEqual([parts.count, parts.whole().length], [0, 0]);
});
