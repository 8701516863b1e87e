import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type RecordInput, valueOf } from "../../src/contract/record.ts";
import { buildBlock } from "../../src/record/block-builder.ts";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test("buildBlock: a single record becomes a block of one without unused columns", () => {
  const block = buildBlock({ value: "grün" });
  assert.deepEqual(Object.keys(block).toSorted(), [
    "channel",
    "count",
    "delimiterBytes",
    "valueEnds",
    "values",
    "valuesStart",
  ]);
  assert.equal(block.channel, "");
  assert.equal(text(valueOf(block, 0)), "grün");
});

test("buildBlock: every record comes back out of its columns", () => {
  const anyText = fc.string({ unit: "binary" }).map((any) => Buffer.from(any).toString());
  const anyRecord: fc.Arbitrary<RecordInput> = fc.record(
    {
      value: fc.oneof(anyText, fc.uint8Array()),
      key: anyText,
      timestampMs: fc.double({ noNaN: true, noDefaultInfinity: true }),
      headers: fc.dictionary(anyText, anyText),
    },
    { requiredKeys: ["value"] },
  );
  fc.assert(
    fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 20 }), (records) => {
      const block = buildBlock(records);
      assert.equal(block.count, records.length);
      records.forEach((record, i) => {
        const expected =
          typeof record.value === "string" ? Buffer.from(record.value) : Buffer.from(record.value);
        assert.deepEqual(Buffer.from(valueOf(block, i)), expected);
        const column = (bytes?: Uint8Array, ends?: Uint32Array): string =>
          bytes === undefined || ends === undefined
            ? ""
            : text(bytes.subarray(ends[i - 1] ?? 0, ends[i]));
        assert.equal(column(block.keys?.bytes, block.keys?.ends), record.key ?? "");
        const headers = column(block.headers?.bytes, block.headers?.ends);
        assert.deepEqual(
          JSON.parse(headers || "{}"),
          JSON.parse(JSON.stringify(record.headers ?? {})),
        );
        assert.ok(
          Object.is(block.timestampsMs?.[i] ?? Number.NaN, record.timestampMs ?? Number.NaN),
        );
      });
    }),
    { numRuns: 200 },
  );
});

test("buildBlock: what is passed may be changed afterwards", () => {
  const value = Buffer.from("abc");
  const position = Uint8Array.of(1, 2);
  const block = buildBlock({ value }, { channel: "c", position });
  value.fill(0);
  position.fill(9);
  assert.equal(text(valueOf(block, 0)), "abc");
  assert.deepEqual(block.position, Uint8Array.of(1, 2));
  assert.equal(block.channel, "c");
});

/** What JavaScript callers pass in spite of the types. */
const untyped = (value: unknown): RecordInput => Object(JSON.parse(JSON.stringify(value)));
const refused: readonly [name: string, make: () => unknown, message: RegExp][] = [
  ["no record", () => buildBlock([]), /block of 0 records/],
  [
    "a value that is a number",
    () => buildBlock([{ value: "a" }, untyped({ value: 1 })]),
    /value of record 1 is number/,
  ],
  ["a missing value", () => buildBlock(untyped({})), /value of record 0 is undefined/],
  ["a list as record", () => buildBlock([untyped([[1]])]), /value of record 0/],
  [
    "a key that is no text",
    () => buildBlock(untyped({ value: "a", key: 5 })),
    /key of record 0 is number/,
  ],
  [
    "a timestamp that is a date text",
    () => buildBlock(untyped({ value: "a", timestampMs: "2026" })),
    /timestampMs of record 0 is string/,
  ],
  ["a timestamp of NaN", () => buildBlock({ value: "a", timestampMs: Number.NaN }), /is NaN/],
  [
    "headers as a list",
    () => buildBlock(untyped({ value: "a", headers: ["x"] })),
    /headers of record 0 is a list/,
  ],
  [
    "a header that is a number",
    () => buildBlock(untyped({ value: "a", headers: { x: 1 } })),
    /header "x" of record 0 is number/,
  ],
  [
    "a position too long",
    () => buildBlock({ value: "a" }, { position: new Uint8Array(4_097) }),
    /position of 4097 bytes, limit 4096/,
  ],
  [
    "a channel name too long",
    () => buildBlock({ value: "a" }, { channel: "ä".repeat(128) }),
    /256 bytes, limit 255/,
  ],
];
for (const [name, make, message] of refused) {
  test(`buildBlock: refuses ${name}`, () =>
    assert.throws(make, { code: "BLOCK_INVALID", message }));
}
