import assert from "node:assert/strict";
import { test } from "node:test";
import { copyBlock } from "../../src/record/copy-block.ts";

test("copyBlock: takes only the block's own bytes and counts its ends from them", () => {
  const values = Buffer.from("--ab;cde;--");
  const block = {
    count: 2,
    values,
    valuesStart: 2,
    valueEnds: Uint32Array.of(5, 9, 99),
    delimiterBytes: 1,
    channel: "c",
  };
  const copy = copyBlock(block);
  values.fill(0);
  assert.equal(Buffer.from(copy.values).toString(), "ab;cde;");
  assert.deepEqual([copy.valuesStart, [...copy.valueEnds], copy.channel], [0, [3, 7], "c"]);
});

test("copyBlock: takes keys and headers along", () => {
  const column = { bytes: Buffer.from("ab??"), ends: Uint32Array.of(1, 2, 4) };
  const block = {
    count: 2,
    values: Buffer.from("xy"),
    valuesStart: 0,
    valueEnds: Uint32Array.of(1, 2),
    delimiterBytes: 0,
    keys: column,
    headers: column,
    channel: "",
  };
  const copy = copyBlock(block);
  column.bytes.fill(0);
  column.ends.fill(0);
  for (const each of [copy.keys, copy.headers]) {
    assert.equal(Buffer.from(each?.bytes ?? []).toString(), "ab");
    assert.deepEqual([...(each?.ends ?? [])], [1, 2]);
  }
});
