import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  aloneBytes,
  bodyOf,
  halvesOf,
  type HttpFormat,
  type HttpPart,
  type HttpRow,
  PartFilling,
  rowOf,
} from "../../src/sink/http-parts.ts";
import { manyRuns } from "../support/runs.ts";
import { type ChunkInput, jsonChunk, mappedChunk, rowChunk } from "../support/sink-batch.ts";

/** Bodies of all rows of a chunk, and what does not fit. */
function encoded(input: ChunkInput, format: HttpFormat): { body: string; unfit: string[] } {
  const chunk = rowChunk(input, 100);
  const rows: HttpRow[] = [];
  const unfit: string[] = [];
  for (let index = 0; index < chunk.count; index++) {
    const row = rowOf(chunk, index, { ordinal: index, format });
    if ("cause" in row)
      unfit.push(`${row.record.block.firstOffset} ${row.cause.code} ${row.cause.message}`);
    else rows.push(row);
  }
  return { body: Buffer.from(bodyOf(rows, format)).toString(), unfit };
}

const CASES: readonly [title: string, input: ChunkInput, format: HttpFormat, body: string][] = [
  ["unchanged rows as they came", { texts: ['{ "a": 1.0 }', "2"] }, "jsonl", '{ "a": 1.0 }\n2\n'],
  ["a record with a newline on one line", { texts: ['{"a":\n1}'] }, "jsonl", '{"a":1}\n'],
  ["changed rows as JSON", mappedChunk([{ a: 1 }, "x"]), "jsonl", '{"a":1}\n"x"\n'],
  ["unchanged rows in an array", jsonChunk([{ a: 1 }, 2]), "json", '[{"a":1},2]'],
  [
    "numbers keep their digits",
    { texts: ["12345678901234567890"] },
    "json",
    "[12345678901234567890]",
  ],
  ["changed rows in an array", mappedChunk([{ a: 1 }]), "json", '[{"a":1}]'],
  ["records as they came", { texts: ["a b", "", "c\nd"] }, "raw", "a b\n\nc\nd\n"],
  ["delimiters are replaced", { texts: ["a", "b"], block: { delimiter: "\r\n" } }, "raw", "a\nb\n"],
  [
    "only the rows of the stream",
    { texts: ["1", "2", "3"], recordIndexes: [0, 2, 2] },
    "jsonl",
    "1\n3\n3\n",
  ],
];

for (const [title, input, format, body] of CASES) {
  test(`http rows: ${format}: ${title}`, () => {
    deepEqual(encoded(input, format), { body, unfit: [] });
  });
}

test("http rows: what is no JSON does not spoil an array", () => {
  const { body, unfit } = encoded({ texts: ["1", "1],[2", "3"] }, "json");
  equal(body, "[1,3]");
  equal(unfit.length, 1);
  match(unfit[0] ?? "", /^101 ROW_TYPE expected a JSON value/);
  match(encoded(mappedChunk([1n]), "jsonl").unfit[0] ?? "", /ROW_TYPE/);
});

test("http rows: they outlive their chunk", () => {
  const chunk = rowChunk({ texts: ["abc"] }, 7);
  const row = rowOf(chunk, 0, { ordinal: 0, format: "raw" });
  chunk.block.values.fill(0);
  ok(!("cause" in row));
  equal(Buffer.from(row.bytes).toString(), "abc");
  deepEqual([row.record.block.firstOffset, row.record.block.receiver], [7, chunk.block.receiver]);
});

function rowsOf(texts: readonly string[]): readonly HttpRow[] {
  const chunk = rowChunk({ texts }, 0);
  return texts.map((_, index) => {
    const row = rowOf(chunk, index, { ordinal: index, format: "raw" });
    ok(!("cause" in row));
    return row;
  });
}

function partsOf(
  rows: readonly HttpRow[],
  limits: Limits,
  format: HttpFormat,
): readonly HttpPart[] {
  const filling = new PartFilling(limits, format);
  const parts = rows.map((row) => filling.add(row));
  return [...parts, filling.end()].filter((part) => part !== undefined);
}

interface Limits {
  readonly requestBytesMax: number;
  readonly requestRecordsMax: number;
}

test("http parts: all rows in order, within both limits, as full as they allow", () => {
  const texts = fc.array(fc.string({ maxLength: 30 }), { maxLength: 60 });
  const limits = fc.record({
    requestBytesMax: fc.integer({ min: 125, max: 400 }),
    requestRecordsMax: fc.integer({ min: 1, max: 12 }),
  });
  fc.assert(
    fc.property(texts, limits, fc.constantFrom("jsonl", "json", "raw"), (given, most, format) => {
      const rows = rowsOf(given);
      const parts = partsOf(rows, most, format);
      deepEqual(
        parts.flatMap((part) => part.rows.map(({ ordinal }) => ordinal)),
        rows.map(({ ordinal }) => ordinal),
      );
      deepEqual(
        parts.map(({ path }) => path),
        parts.map((_, index) => String(index)),
      );
      for (const [index, part] of parts.entries()) {
        ok(part.rows.length > 0 && part.rows.length <= most.requestRecordsMax);
        ok(bodyOf(part.rows, format).length <= most.requestBytesMax);
        const next = parts[index + 1]?.rows[0];
        if (next === undefined) continue;
        const more = bodyOf([...part.rows, next], format).length;
        ok(part.rows.length === most.requestRecordsMax || more > most.requestBytesMax);
      }
    }),
    manyRuns,
  );
});

test("http parts: a row's length alone is that of its body", () => {
  for (const format of ["jsonl", "json", "raw"] as const)
    for (const row of rowsOf(["", "12"]))
      equal(aloneBytes(row, format), bodyOf([row], format).length);
});

test("http parts: halves have all rows, and names that say where they come from", () => {
  const part: HttpPart = { path: "3", rows: rowsOf(["a", "b", "c"]) };
  const [left, right] = halvesOf(part);
  deepEqual([left.path, left.rows.length, right.path, right.rows.length], ["3.0", 2, "3.1", 1]);
  deepEqual([...left.rows, ...right.rows], part.rows);
  equal(halvesOf(left)[1].path, "3.0.1");
});
