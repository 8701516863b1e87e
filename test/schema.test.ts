import assert from "node:assert/strict";
import { test } from "node:test";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import fc from "fast-check";
import { z } from "zod";
import {
  checkOptions,
  customField,
  detailsOf,
  type Infer,
  schema,
  toJsonSchema,
} from "../src/schema.ts";
import { parseDuration, parseSize } from "../src/units.ts";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <T extends true>(_holds?: T): void => {};

const Reading = schema.object({
  device: schema.string(),
  temperature: schema.number(),
  note: schema.optional(schema.string()),
});

function validate(anySchema: StandardSchemaV1, value: unknown): StandardSchemaV1.Result<unknown> {
  const result = anySchema["~standard"].validate(value);
  assert.ok(!(result instanceof Promise));
  return result;
}

function messages(anySchema: StandardSchemaV1, value: unknown): readonly string[] {
  const { issues } = validate(anySchema, value);
  return (issues ?? []).map(
    ({ path = [], message }) => `${path.map(String).join(".")}: ${message}`,
  );
}

test("schema: output and input types follow from the fields", () => {
  is<
    Equal<
      Infer<typeof Reading>,
      { readonly device: string; readonly temperature: number; readonly note?: string }
    >
  >();
  const options = schema.object({
    url: schema.string(),
    mode: schema.withDefault(schema.oneOf("a", "b"), "a"),
    waitMs: schema.durationMs({ default: 5 }),
    nested: schema.object({ on: schema.boolean() }),
  });
  is<
    Equal<
      Infer<typeof options>,
      {
        readonly url: string;
        readonly mode: "a" | "b";
        readonly waitMs: number;
        readonly nested: { readonly on: boolean };
      }
    >
  >();
  type In = StandardSchemaV1.InferInput<typeof options>;
  is<
    Equal<
      In,
      {
        readonly url: string;
        readonly nested: { readonly on: boolean };
        readonly mode?: "a" | "b";
        readonly waitMs?: number;
      }
    >
  >();
  assert.equal(validate(options, { url: "u", nested: { on: true } }).issues, undefined);
});

test("schema: an accepted row is the very same object, unknown keys included", () => {
  const row = { device: "a", temperature: 1.5, extra: { deep: [1] } };
  const result = validate(Reading, row);
  assert.ok(result.issues === undefined);
  assert.equal(result.value, row);
  assert.equal(Reading["~standard"].vendor, "holdfast");
});

test("schema: a row schema with a default or a unit says that it changes rows", () => {
  const changing = schema.object({ unit: schema.withDefault(schema.string(), "C") });
  assert.deepEqual(validate(changing, { other: 1 }), { value: { other: 1, unit: "C" } });
  assert.equal(changing["~standard"].vendor, "holdfast-changing");
  assert.equal(schema.list(changing)["~standard"].vendor, "holdfast-changing");
});

const refused: readonly [
  name: string,
  schema: StandardSchemaV1,
  value: unknown,
  message: string,
][] = [
  [
    "a text for a number",
    Reading,
    { device: "a", temperature: "n/a" },
    'temperature: expected a number, got "n/a"',
  ],
  ["a missing key", Reading, { temperature: 1 }, "device: expected text, got nothing"],
  ["null", Reading, { device: null, temperature: 1 }, "device: expected text, got null"],
  ["no object", Reading, [1], ": expected an object, got a list"],
  ["NaN", schema.number(), Number.NaN, ": expected a number, got NaN"],
  ["an infinite number", schema.number(), Infinity, ": expected a number, got Infinity"],
  ["a fraction", schema.integer(), 1.5, ": expected a whole number, got 1.5"],
  ["below the range", schema.number({ min: 2, max: 9 }), 1, ": expected 2 to 9, got 1"],
  ["above the range", schema.integer({ max: 9 }), 10, ": expected 9 or less, got 10"],
  ["a port", schema.port(), 90_000, ": expected 1 to 65535, or 0 for a free one, got 90000"],
  ["none of the texts", schema.oneOf("x", "y"), "z", ': expected one of x, y, got "z"'],
  [
    "text too long",
    schema.string({ bytesMax: 3 }),
    "äö",
    ': expected text of at most 3 bytes, got "äö"',
  ],
  [
    "a pattern",
    schema.string({ pattern: /^a+$/ }),
    "b",
    ': expected text that matches /^a+$/, got "b"',
  ],
  [
    "a pattern in words",
    schema.string({ pattern: /^a+$/, wanted: "nothing but a", bytesMax: 9 }),
    "b",
    ': expected nothing but a of at most 9 bytes, got "b"',
  ],
  [
    "a secret",
    schema.object({ token: schema.secret() }),
    { token: 12345 },
    "token: expected text, got a secret that is number",
  ],
  [
    "a value",
    schema.mapping(schema.integer()),
    { a: 1, b: "2" },
    'b: expected a whole number, got "2"',
  ],
  [
    "no mapping",
    schema.mapping(schema.integer()),
    [1],
    ": expected a mapping, each a whole number, got a list",
  ],
  [
    "a secret value",
    schema.mapping(schema.secret()),
    { key: 1234 },
    "key: expected text, got a secret that is number",
  ],
  ["an element", schema.list(schema.integer()), [1, "2"], '1: expected a whole number, got "2"'],
  [
    "deep inside",
    schema.object({ a: schema.object({ b: schema.boolean() }) }),
    { a: { b: 0 } },
    "a.b: expected true or false, got 0",
  ],
  [
    "no duration",
    schema.durationMs({ default: 1 }),
    "10 parsecs",
    ': expected a duration such as 10s or a number of milliseconds (0 or more), got "10 parsecs"',
  ],
  ["a negative size", schema.sizeBytes({ default: 1 }), -1, ": expected 0 or more, got -1"],
];
for (const [name, anySchema, value, message] of refused) {
  test(`schema: refuses ${name}`, () => assert.deepEqual(messages(anySchema, value), [message]));
}

test("schema: a pattern with the global flag judges every row alike", () => {
  const text = schema.string({ pattern: /a/g });
  for (let i = 0; i < 3; i++) assert.deepEqual(messages(text, "a"), []);
});

test("schema: a value that is long is quoted in part", () => {
  const [message = ""] = messages(schema.number(), "x".repeat(1_000));
  assert.ok(message.length < 120, message);
});

test("schema: agrees with what zod says of the same shape", () => {
  const same = z.object({
    device: z.string(),
    temperature: z.number(),
    note: z.string().optional(),
  });
  const anyField = fc.oneof(
    fc.string(),
    fc.double(),
    fc.constant(null),
    fc.constant(undefined),
    fc.boolean(),
  );
  const anyRow = fc.record(
    { device: anyField, temperature: anyField, note: anyField, more: anyField },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(anyRow, (row) => {
      assert.equal(validate(Reading, row).issues === undefined, same.safeParse(row).success);
    }),
    { numRuns: 300 },
  );
});

const Options = schema.object({
  port: schema.port(),
  intervalMs: schema.durationMs({ default: 1_000, min: 100 }),
  roll: schema.optional(schema.object({ bytesMax: schema.sizeBytes({ default: 1_024 }) })),
});

test("checkOptions: fills defaults and reads units", () => {
  assert.deepEqual(checkOptions(Options, { port: 1 }), { value: { port: 1, intervalMs: 1_000 } });
  assert.deepEqual(
    checkOptions(Options, { port: 1, intervalMs: "2.5s", roll: { bytesMax: "64KiB" } }),
    {
      value: { port: 1, intervalMs: 2_500, roll: { bytesMax: 65_536 } },
    },
  );
});

test("checkOptions: unknown keys are issues at every depth, all at once", () => {
  const { issues = [] } = checkOptions(Options, { port: 1, prot: 2, roll: { size: 1 } });
  assert.deepEqual(issues.map(({ kind, path }) => `${kind} ${path.join(".")}`).toSorted(), [
    "unknown-key prot",
    "unknown-key roll.size",
  ]);
});

test("checkOptions: says what kind of wrong each issue is", () => {
  const { issues = [] } = checkOptions(Options, { port: "x", intervalMs: "50ms", roll: 3 });
  assert.deepEqual(
    issues.map(({ kind }) => kind),
    ["type", "range", "type"],
  );
  assert.deepEqual(
    checkOptions(Options, {}).issues?.map(({ kind }) => kind),
    ["missing"],
  );
});

test("checkOptions: takes any Standard Schema, also as a field", () => {
  const even: StandardSchemaV1<unknown, number> = {
    "~standard": {
      version: 1,
      vendor: "somebody",
      validate: (value) =>
        typeof value === "number" && value % 2 === 0
          ? { value: value + 1 }
          : { issues: [{ message: "odd" }] },
    },
  };
  assert.deepEqual(checkOptions(even, 2), { value: 3 });
  assert.deepEqual(
    checkOptions(even, 1).issues?.map(({ message }) => message),
    ["odd"],
  );
  const holder = schema.object({ even, zods: z.string() });
  assert.deepEqual(checkOptions(holder, { even: 4, zods: "s" }), {
    value: { even: 5, zods: "s" },
  });
  assert.deepEqual(messages(holder, { even: 3, zods: "s" }), ["even: odd"]);
});

test("checkOptions: a schema that answers with a promise is SCHEMA_ASYNC", () => {
  const slow: StandardSchemaV1 = {
    "~standard": { version: 1, vendor: "somebody", validate: async (value) => ({ value }) },
  };
  assert.throws(() => checkOptions(slow, 1), { code: "SCHEMA_ASYNC" });
  assert.throws(() => validate(schema.object({ slow }), { slow: 1 }), { code: "SCHEMA_ASYNC" });
});

test("schema: a default that its own field refuses is an error at once", () => {
  assert.throws(() => schema.durationMs({ default: 5, min: 10 }), { code: "CONFIG_VALUE" });
});

test("customField: takes what its function takes", () => {
  const field = customField("a date", (value) => (value instanceof Date ? value : undefined));
  const at = new Date(0);
  assert.deepEqual(checkOptions(field, at), { value: at });
  assert.deepEqual(messages(field, 3), [": expected a date, got 3"]);
});

const Exported = schema.object({
  host: schema.withDefault(schema.string(), "127.0.0.1"),
  mode: schema.oneOf("a", "b"),
  intervalMs: schema.durationMs({ default: 1_000, min: 100 }),
  token: schema.optional(schema.secret()),
});

test("detailsOf: names kind, presence, range and default of each field", () => {
  const { fields = {} } = detailsOf(Exported);
  assert.deepEqual(
    Object.entries(fields).map(([key, { kind, presence, defaultValue, min }]) => [
      key,
      kind,
      presence,
      defaultValue,
      min,
    ]),
    [
      ["host", "string", "defaulted", "127.0.0.1", undefined],
      ["mode", "one-of", "required", undefined, undefined],
      ["intervalMs", "duration", "defaulted", 1_000, 100],
      ["token", "secret", "optional", undefined, undefined],
    ],
  );
});

test("toJsonSchema: is strict, and lists what must be written", () => {
  const json = toJsonSchema(Exported);
  assert.equal(json["additionalProperties"], false);
  assert.deepEqual(json["required"], ["mode"]);
  assert.deepEqual(Object.keys(Object(json["properties"])), [
    "host",
    "mode",
    "intervalMs",
    "token",
  ]);
});

const durations: readonly [string, number | undefined][] = [
  ["500ms", 500],
  ["10s", 10_000],
  ["1m", 60_000],
  ["1.5h", 5_400_000],
  ["2 d", 172_800_000],
  ["10", undefined],
  ["s", undefined],
  ["10S", undefined],
  ["-1s", undefined],
  ["1constructor", undefined],
  ["", undefined],
];
for (const [text, ms] of durations) {
  test(`parseDuration: "${text}" is ${ms}`, () => assert.equal(parseDuration(text), ms));
}
const sizes: readonly [string, number | undefined][] = [
  ["0B", 0],
  ["64KiB", 65_536],
  ["1.5MiB", 1_572_864],
  ["1GiB", 2 ** 30],
  ["1 kB", 1_000],
  ["2MB", 2_000_000],
  ["1", undefined],
  ["1KB/s", undefined],
  ["1e3B", undefined],
];
for (const [text, bytes] of sizes) {
  test(`parseSize: "${text}" is ${bytes}`, () => assert.equal(parseSize(text), bytes));
}
