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
