/**
 * Messages as kafkajs decodes them, as blocks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  BLOCK_BYTES,
  BLOCK_RECORDS_MAX,
  BlockWriter,
  type FetchedMessage,
  TOMBSTONE_HEADER,
} from "../../../receivers/kafka/block-writer.ts";
import { type Column, copyOf } from "../../../src/contract/record.ts";
import { blockBytes } from "../../../src/wal/block-shape.ts";

const OPTIONS = { keys: "text", tombstones: "store", messageBytesMax: 3 * 1024 * 1024 } as const;

function message(
  value: Buffer | string | null,
  more: Partial<FetchedMessage> = {},
): FetchedMessage {
  return {
    key: null,
    value: value === null ? null : Buffer.from(value),
    timestamp: "-1",
    offset: "0",
    headers: {},
    ...more,
  };
}

function columnText(column: Column | undefined, index: number): string | undefined {
  if (column === undefined) return undefined;
  return Buffer.from(
    column.bytes.subarray(column.ends[index - 1] ?? 0, column.ends[index]),
  ).toString();
}

/** Everything that a writer makes of messages, block after block. */
function writeAll(
  writer: BlockWriter,
  messages: readonly FetchedMessage[],
): { values: string[]; blockCounts: number[]; refused: string[]; dropped: number } {
  const all = {
    values: [] as string[],
    blockCounts: [] as number[],
    refused: [] as string[],
    dropped: 0,
  };
  for (let index = 0; index < messages.length; ) {
    const { nextIndex, count, droppedCount, refused } = writer.write(messages, index);
    assert.ok(nextIndex > index);
    const block = writer.block("orders-0", new Uint8Array(0));
    assert.equal(block.count, count);
    for (let i = 0; i < count; i++)
      all.values.push(Buffer.from(copyOf(block, i)).toString("latin1"));
    all.blockCounts.push(count);
    all.dropped += droppedCount;
    if (refused !== undefined) all.refused.push(`${refused.error.code} ${refused.bytes.length}`);
    index = nextIndex;
  }
  return all;
}

test("kafka blocks: values are those of the messages, whatever came before", () => {
  const writer = new BlockWriter(OPTIONS);
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 50 }), (values) => {
      const messages = values.map((value) => message(Buffer.from(value)));
      assert.deepEqual(
        writeAll(writer, messages).values,
        values.map((value) => Buffer.from(value).toString("latin1")),
      );
    }),
  );
});

test("kafka blocks: columns that nobody uses are absent", () => {
  const writer = new BlockWriter(OPTIONS);
  writer.write([message("a"), message("b")], 0);
  const block = writer.block("orders-0", Uint8Array.of(1));
  assert.deepEqual(Object.keys(block).toSorted(), [
    "channel",
    "count",
    "delimiterBytes",
    "position",
    "valueEnds",
    "values",
    "valuesStart",
  ]);
});

test("kafka blocks: a key that is no UTF-8 says that it is base64", () => {
  const writer = new BlockWriter(OPTIONS);
  writer.write(
    [
      message("a", { key: Buffer.from("größe") }),
      message("b", { key: Buffer.of(0xff) }),
      message("c"),
    ],
    0,
  );
  const { keys } = writer.block("orders-0", new Uint8Array(0));
  assert.deepEqual(
    [0, 1, 2].map((i) => columnText(keys, i)),
    ["größe", "base64:/w==", ""],
  );
});

test("kafka blocks: keys as hex or base64 are all alike", () => {
  for (const [keys, wanted] of [
    ["hex", "6162"],
    ["base64", "YWI="],
  ] as const) {
    const writer = new BlockWriter({ ...OPTIONS, keys });
    writer.write([message("a", { key: Buffer.from("ab") })], 0);
    assert.equal(columnText(writer.block("orders-0", new Uint8Array(0)).keys, 0), wanted);
  }
});

test("kafka blocks: of a header that comes more than once the last value has the name", () => {
  const writer = new BlockWriter(OPTIONS);
  const many = [Buffer.from("x"), Buffer.of(0xff), "z"];
  writer.write(
    [message("a", { headers: { one: Buffer.from("1"), many, none: null } }), message("b")],
    0,
  );
  const { headers } = writer.block("orders-0", new Uint8Array(0));
  assert.deepEqual(JSON.parse(columnText(headers, 0) ?? ""), {
    one: "1",
    "many[0]": "x",
    "many[1]": "base64:/w==",
    many: "z",
    none: "",
  });
  assert.equal(columnText(headers, 1), "");
});

test("kafka blocks: a tombstone is an empty value with a header, or dropped and counted", () => {
  const messages = [message("a"), message(null, { key: Buffer.from("k") }), message("b")];
  const storing = new BlockWriter(OPTIONS);
  storing.write(messages, 0);
  const { headers } = storing.block("orders-0", new Uint8Array(0));
  assert.deepEqual(JSON.parse(columnText(headers, 1) ?? ""), { [TOMBSTONE_HEADER]: "true" });
  const { values, dropped } = writeAll(
    new BlockWriter({ ...OPTIONS, tombstones: "drop" }),
    messages,
  );
  assert.deepEqual(values, ["a", "b"]);
  assert.equal(dropped, 1);
});

test("kafka blocks: a timestamp is milliseconds, or absent", () => {
  const writer = new BlockWriter(OPTIONS);
  writer.write([message("a", { timestamp: "1700000000123" }), message("b")], 0);
  assert.deepEqual(
    [...(writer.block("orders-0", new Uint8Array(0)).timestampsMs ?? [])],
    [1_700_000_000_123, Number.NaN],
  );
});

test("kafka blocks: a record over the limit with its key and headers is MESSAGE_TOO_LONG, and those around it are not", () => {
  const writer = new BlockWriter({ ...OPTIONS, messageBytesMax: 4 });
  const messages = [
    message("1234"),
    message("12345"),
    message("123", { key: Buffer.from("ab") }),
    message("5678"),
  ];
  assert.deepEqual(writeAll(writer, messages), {
    values: ["1234", "5678"],
    blockCounts: [1, 0, 1],
    refused: ["MESSAGE_TOO_LONG 5", "MESSAGE_TOO_LONG 3"],
    dropped: 0,
  });
});

test("kafka blocks: a block ends before it is too long, and before it has too many records", () => {
  const writer = new BlockWriter(OPTIONS);
  const half = "x".repeat(BLOCK_BYTES / 2);
  assert.deepEqual(
    writeAll(
      writer,
      [half, half, "1"].map((value) => message(value)),
    ).blockCounts,
    [2, 1],
  );
  const large = "x".repeat(2 * BLOCK_BYTES);
  assert.deepEqual(
    writeAll(
      writer,
      ["1", large, "2"].map((value) => message(value)),
    ).blockCounts,
    [1, 1, 1],
  );
  const many = Array.from({ length: BLOCK_RECORDS_MAX + 1 }, () => message(""));
  assert.deepEqual(writeAll(writer, many).blockCounts, [BLOCK_RECORDS_MAX, 1]);
});

test("kafka blocks: keys and headers count too, so that the log can take every block", () => {
  const long = "x".repeat(OPTIONS.messageBytesMax - 20);
  const short = message("y".repeat(BLOCK_BYTES - 1));
  for (const wide of [
    message("", { key: Buffer.from(long) }),
    message("", { headers: { h: long } }),
  ]) {
    const writer = new BlockWriter(OPTIONS);
    const messages = [short, wide, short];
    const indexes: number[] = [];
    for (let index = 0; index < messages.length; indexes.push(index)) {
      const { nextIndex, refused } = writer.write(messages, index);
      assert.equal(refused, undefined);
      assert.ok(blockBytes(writer.block("orders-0", new Uint8Array(25))) <= 4 * 1024 * 1024);
      index = nextIndex;
    }
    assert.deepEqual(indexes, [1, 2, 3]);
  }
});
