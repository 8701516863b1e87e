import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { jsonFormat, type LineFormat, type LineWriter, rawFormat } from "../../src/sink/lines.ts";
import { type ChunkInput, rowChunk } from "../support/sink-batch.ts";

class Lines implements LineWriter {
  text = "";
  appends = 0;

  append(bytes: Uint8Array, start: number, end: number): undefined {
    this.appends++;
    this.text += Buffer.from(bytes.subarray(start, end)).toString();
  }

  appendText(text: string): undefined {
    this.text += text;
  }
}

async function format(
  form: LineFormat,
  input: ChunkInput,
): Promise<{ lines: Lines; rejected: readonly string[] }> {
  const lines = new Lines();
  const rejected = await form(rowChunk(input, 100), lines);
  return {
    lines,
    rejected: rejected.map(
      ({ block, recordIndex, cause }) => `${block.firstOffset + recordIndex} ${cause.message}`,
    ),
  };
}

const FORMATS: readonly [title: string, format: LineFormat, input: ChunkInput, expected: string][] =
  [
    [
      "jsonLines: unchanged rows leave as their bytes",
      jsonFormat,
      { texts: ['{ "a":1}', '{"a":2 }'], rows: [{ a: 1 }, { a: 2 }], bytes: "original" },
      '{ "a":1}\n{"a":2 }\n',
    ],
    [
      "jsonLines: changed rows are serialised",
      jsonFormat,
      { texts: ["x", "y"], rows: [{ a: 1 }, { a: "ä\n" }] },
      '{"a":1}\n{"a":"ä\\n"}\n',
    ],
    [
      "jsonLines: a record without delimiter gets a newline",
      jsonFormat,
      { texts: ["[1]", "2"], block: { delimiter: "" } },
      "[1]\n2\n",
    ],
    [
      "jsonLines: another delimiter becomes a newline",
      jsonFormat,
      { texts: ["[1]", "2"], block: { delimiter: ";" } },
      "[1]\n2\n",
    ],
    [
      "jsonLines: a record over several lines becomes one",
      jsonFormat,
      { texts: ['{\n "a": 1\n}', "[2]", '{\n "b": 2\n}', "3"], block: { delimiter: "" } },
      '{"a":1}\n[2]\n{"b":2}\n3\n',
    ],
    [
      "jsonLines: a decoded record over several lines becomes one",
      jsonFormat,
      {
        texts: ['{\n "a": 1\n}', "[2]"],
        rows: [{ a: 1 }, [2]],
        bytes: "original",
        block: { delimiter: "\r\n" },
      },
      '{"a":1}\n[2]\n',
    ],
    [
      "jsonLines: a flatMap repeats records and leaves some out",
      jsonFormat,
      { texts: ["x", "y", "z"], rows: [1, 2, 3], recordIndexes: [0, 0, 2] },
      "1\n2\n3\n",
    ],
    [
      "rawLines: records leave as they came, delimiter included",
      rawFormat,
      { texts: ["a", "b\rc"], block: { delimiter: "\r\n" } },
      "a\r\nb\rc\r\n",
    ],
    [
      "rawLines: a record without delimiter gets a newline",
      rawFormat,
      { texts: ["a", "b\nc"], block: { delimiter: "" } },
      "a\nb\nc\n",
    ],
    [
      "rawLines: only the rows that are left are written",
      rawFormat,
      { texts: ["a", "b", "c", "d"], recordIndexes: [0, 2, 3] },
      "a\nc\nd\n",
    ],
  ];

for (const [title, form, input, expected] of FORMATS) {
  test(title, async () => equal((await format(form, input)).lines.text, expected));
}

test("rawLines: neighbours leave in one copy", async () => {
  const { lines } = await format(rawFormat, {
    texts: ["a", "b", "c", "d", "e"],
    recordIndexes: [0, 1, 3, 4],
  });
  equal(lines.appends, 2);
});

test("jsonLines: rows that are no JSON value are refused, the others are written", async () => {
  const circular: { self?: unknown } = {};
  circular.self = circular;
  const { lines, rejected } = await format(jsonFormat, {
    texts: ["a", "b", "c", "d"],
    rows: [1, undefined, circular, 4],
  });
  equal(lines.text, "1\n4\n");
  equal(rejected.length, 2);
  equal(rejected[0], "101 expected a JSON value, got undefined");
});

test("jsonLines: a record of several lines that is no JSON is refused", async () => {
  const { lines, rejected } = await format(jsonFormat, {
    texts: ["1", "a\nb"],
    block: { delimiter: "" },
  });
  equal(lines.text, "1\n");
  deepEqual(
    rejected.map((text) => text.slice(0, 30)),
    ["101 expected a JSON value: Une"],
  );
});

test("jsonLines: many rows keep their order", async () => {
  const rows = Array.from({ length: 5_000 }, (_, index) => ({ index, pad: "x".repeat(40) }));
  const { lines } = await format(jsonFormat, { texts: rows.map(() => "r"), rows });
  deepEqual(
    lines.text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).index),
    rows.map(({ index }) => index),
  );
});
