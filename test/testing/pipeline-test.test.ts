import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import { pipeline } from "../../src/operator/pipeline.ts";
import { from } from "../../src/operator/stream.ts";
import { json } from "../../src/record/decoders.ts";
import { testPipeline } from "../../src/testing/index.ts";
import { receiverNamed } from "../support/blocks.ts";
import { RecordingSink } from "../support/sinks.ts";

const meters = receiverNamed("meters");
const rows = from(meters).decode(json());
const kept = from(meters).writeTo(new RecordingSink("kept", "original-bytes"));
const doubled = rows
  .map((row, { receivedAtMs }) => [Number(row) * 2, receivedAtMs])
  .writeTo(new RecordingSink("doubled"));
const both = pipeline("both", { outputs: [kept, doubled] });

test("testPipeline: rows of each output, batch by batch, on its own clock", async () => {
  await using run = testPipeline(both, { startMs: 1_000 });
  run.send(meters, "1");
  await run.batch();
  await run.clock.advance(500);
  run.send(meters, "2");
  await run.batch();
  deepEqual(run.rows(doubled), [
    [2, 1_000],
    [4, 1_500],
  ]);
  deepEqual(run.rows(kept), [Uint8Array.of(49), Uint8Array.of(50)]);
});

test("testPipeline: a record that cannot be decoded is a dead letter", async () => {
  await using run = testPipeline(both);
  run.send(meters, "nonsense", { a: 1 });
  await run.batch();
  equal(run.rows(kept).length, 2);
  deepEqual(
    run.deadLetters().map(({ stage, code, body }) => [stage, code, body]),
    [["decode", "DECODE_FAILED", "nonsense"]],
  );
});

test("testPipeline: what would fail the pipeline fails the batch", async () => {
  await using run = testPipeline(both);
  run.send(meters, ...Array.from({ length: 100 }, () => "nonsense"));
  await rejects(run.batch(), { code: "DEAD_LETTER_RATIO" });
});

test("testPipeline: an output of another pipeline has no rows here", async () => {
  await using run = testPipeline(both);
  const other = rows.writeTo(new RecordingSink("other"));
  throws(() => run.rows(other), TypeError);
});
