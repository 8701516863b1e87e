import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { StoredBlock } from "../../src/contract/record.ts";
import type { RowChunk } from "../../src/contract/sink.ts";
import { codeOf } from "../../src/errors.ts";
import { type CompiledPipeline, compile, type Failed } from "../../src/operator/compile.ts";
import { describeGraph, pipeline } from "../../src/operator/pipeline.ts";
import { from } from "../../src/operator/stream.ts";
import { json, raw } from "../../src/record/decoders.ts";
import { receiverNamed, storedBlock } from "../support/blocks.ts";
import { RecordingSink } from "../support/sinks.ts";

const meters = receiverNamed("meters");
const gates = receiverNamed("gates");
const refuse: Failed = ({ cause }) => {
  throw cause;
};

function rowsOf(chunks: readonly (RowChunk<unknown> | undefined)[]): unknown[][] {
  return chunks.map((chunk) => (chunk === undefined ? [] : [...(chunk.rows ?? [])]));
}

function runAll(loop: CompiledPipeline, block: StoredBlock): unknown[][] {
  return rowsOf(loop.process(block, 0, block.count));
}

test("compile: rows pass filter, map and flatMap in record order", () => {
  const sink = new RecordingSink("out");
  const output = from(meters)
    .decode(json())
    .filter((row) => Number(row) > 1)
    .map((row) => Number(row) * 10)
    .flatMap((row) => [row, row + 1])
    .writeTo(sink);
  const loop = compile(pipeline("p", { outputs: [output] }), refuse);
  const block = storedBlock(["1", "2", "3"]);
  const chunks = loop.process(block, 0, 3);
  deepEqual(rowsOf(chunks), [[20, 21, 30, 31]]);
  deepEqual([...(chunks[0]?.recordIndexes.subarray(0, 4) ?? [])], [1, 1, 2, 2]);
  equal(chunks[0]?.bytes, "changed");
});

test("compile: a shared stream is decoded once, and branches see the same rows", () => {
  let decoded = 0;
  const decoder = {
    kind: "decoder" as const,
    format: "json",
    faithful: true,
    decode: (bytes: Buffer, start: number, end: number) => (
      decoded++, JSON.parse(bytes.toString("utf8", start, end))
    ),
  };
  const rows = from(meters).decode(decoder);
  const outputs = [
    rows.writeTo(new RecordingSink("all")),
    rows.filter((row) => row === 2).writeTo(new RecordingSink("two")),
  ] as const;
  const loop = compile(pipeline("p", { outputs }), refuse);
  deepEqual(runAll(loop, storedBlock(["1", "2"])), [[1, 2], [2]]);
  equal(decoded, 2);
});

test("compile: a filtered row keeps its original bytes, a mapped one does not", () => {
  const rows = from(meters).decode(json());
  const outputs = [
    rows.filter(() => true).writeTo(new RecordingSink("a")),
    rows.map((row) => row).writeTo(new RecordingSink("b")),
  ] as const;
  const chunks = compile(pipeline("p", { outputs }), refuse).process(storedBlock(["1"]), 0, 1);
  deepEqual(
    chunks.map((chunk) => chunk?.bytes),
    ["original", "changed"],
  );
});

test("compile: a raw stream makes no rows and takes whole blocks", () => {
  const loop = compile(
    pipeline("p", { outputs: [from(meters).writeTo(new RecordingSink("out", "original-bytes"))] }),
    refuse,
  );
  equal(loop.sliceRecordsMax, Infinity);
  const [chunk] = loop.process(storedBlock(["x", "y", "z"]), 1, 3);
  equal(chunk?.rows, undefined);
  deepEqual([...(chunk?.recordIndexes ?? [])], [1, 2]);
});

test("compile: a block of another receiver gives no rows", () => {
  const outputs = [
    from(meters).decode(json()).writeTo(new RecordingSink("a")),
    from(gates).decode(json()).writeTo(new RecordingSink("b")),
  ] as const;
  const loop = compile(pipeline("p", { outputs }), refuse);
  deepEqual(runAll(loop, storedBlock(["1"], { receiver: "gates" })), [[], [1]]);
});

test("compile: a failing record is reported with its stage and the others go on", () => {
  const failures: string[] = [];
  const note: Failed = ({ stage, cause, recordIndex }) =>
    failures.push(`${stage} ${recordIndex} ${codeOf(cause)}`);
  const output = from(meters)
    .decode(json())
    .map(function half(row) {
      if (row === 3) throw new RangeError("three");
      return row;
    })
    .writeTo(new RecordingSink("out"));
  const loop = compile(pipeline("p", { outputs: [output] }), note);
  deepEqual(runAll(loop, storedBlock(["1", "nonsense", "3", "4"])), [[1, 4]]);
  deepEqual(failures, ["decode 1 DECODE_FAILED", "map:half 2 INTERNAL"]);
});

test("compile: a flatMap that throws halfway gives no part of the record", () => {
  const output = from(meters)
    .decode(json())
    .flatMap(function* (row) {
      yield row;
      if (row === 1) throw new Error("halfway");
    })
    .writeTo(new RecordingSink("out"));
  const loop = compile(pipeline("p", { outputs: [output] }), () => undefined);
  deepEqual(runAll(loop, storedBlock(["1", "2"])), [[2]]);
});

test("compile: what a failure handler throws stops the slice", () => {
  const output = from(meters).decode(json()).writeTo(new RecordingSink("out"));
  const loop = compile(pipeline("p", { outputs: [output] }), refuse);
  throws(() => loop.process(storedBlock(["}"]), 0, 1), { code: "DECODE_FAILED" });
});

test("compile: origin shows receiver, offset and receive time of the record", () => {
  const seen: unknown[] = [];
  const output = from(meters)
    .decode(raw())
    .filter(
      (_row, { receiver, offset, receivedAtMs, key, header }) =>
        seen.push([receiver, offset, receivedAtMs, key, header("x")]) > 0,
    )
    .writeTo(new RecordingSink("out"));
  compile(pipeline("p", { outputs: [output] }), refuse).process(
    storedBlock(["a", "b"], { firstOffset: 7 }),
    0,
    2,
  );
  deepEqual(seen, [
    ["meters", 7, 1_000, undefined, undefined],
    ["meters", 8, 1_000, undefined, undefined],
  ]);
});

test("compile: the same as plain array functions, however the block is sliced", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 60 }),
      (numbers, sliceRecords) => {
        const output = from(meters)
          .decode(json())
          .filter((row) => Number(row) % 2 === 0)
          .flatMap((row) => Array.from({ length: Number(row) }, (_, index) => index))
          .map((row) => row + 1)
          .writeTo(new RecordingSink("out"));
        const loop = compile(pipeline("p", { outputs: [output] }), refuse);
        const block = storedBlock(numbers.map(String));
        const rows: unknown[] = [];
        for (let start = 0; start < numbers.length; start += sliceRecords) {
          rows.push(
            ...(rowsOf(
              loop.process(block, start, Math.min(start + sliceRecords, numbers.length)),
            )[0] ?? []),
          );
        }
        const expected = numbers
          .filter((row) => row % 2 === 0)
          .flatMap((row) => Array.from({ length: row }, (_, index) => index + 1));
        deepEqual(rows, expected);
      },
    ),
  );
});

test("pipeline: wrong options are refused with both numbers", () => {
  const output = from(meters).decode(json()).writeTo(new RecordingSink("out"));
  throws(() => pipeline("Bad Name", { outputs: [output] }), { code: "CONFIG_VALUE" });
  throws(() => pipeline("p", { outputs: [output], batchRecordsMax: 0 }), {
    code: "CONFIG_OUT_OF_RANGE",
    message: /is 0, allowed are 1 to/,
  });
  throws(() => pipeline("p", { outputs: [output, output] }), { code: "CONFIG_CONFLICT" });
});

test("stream: a sink of raw bytes refuses a stream that changes rows", () => {
  const changed = from(meters)
    .decode(json())
    .map((row) => row);
  throws(() => changed.writeTo(new RecordingSink("raw", "original-bytes")), {
    code: "CONFIG_CONFLICT",
  });
  throws(() => from(meters, meters), { code: "CONFIG_VALUE" });
});

test("pipeline: the graph text names kinds, steps and sinks, not function bodies", () => {
  const make = (factor: number) =>
    from(meters)
      .decode(json())
      .map(function scale(row) {
        return Number(row) * factor;
      })
      .writeTo(new RecordingSink("out"));
  equal(
    describeGraph(pipeline("p", { outputs: [make(1)] })),
    describeGraph(pipeline("p", { outputs: [make(2)] })),
  );
  ok(describeGraph(pipeline("p", { outputs: [make(1)] })).includes("scale"));
});
