import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { RecordBlock, StoredBlock } from "../../src/contract/record.ts";
import { valueOf } from "../../src/contract/record.ts";
import { decodeData, positionOf, storedBlock } from "../../src/wal/block-codec.ts";
import {
  bodyIsValid,
  decodeEntryHeader,
  ENTRY_HEADER_BYTES,
  type EntryHeader,
  entryDiskBytes,
} from "../../src/wal/entry.ts";
import { EntryBuffer } from "../../src/wal/entry-buffer.ts";

/** A block as plain values. */
interface PlainBlock {
  readonly values: readonly string[];
  readonly delimiter: string;
  readonly skip: number;
  readonly keys: readonly string[] | undefined;
  readonly times: readonly number[] | undefined;
  readonly headers: readonly string[] | undefined;
  readonly position: string;
  readonly channelId: number;
}

const text = fc.string({ maxLength: 12 });
const plainBlock: fc.Arbitrary<PlainBlock> = fc
  .array(text, { minLength: 1, maxLength: 9 })
  .chain((values) => {
    const perRecord = fc.option(
      fc.array(text, { minLength: values.length, maxLength: values.length }),
      { nil: undefined },
    );
    const times = fc.option(
      fc.array(fc.double(), { minLength: values.length, maxLength: values.length }),
      { nil: undefined },
    );
    return fc.record({
      values: fc.constant(values),
      delimiter: fc.constantFrom("", "\n", "\r\n"),
      skip: fc.nat(9),
      keys: perRecord,
      times,
      headers: perRecord,
      position: text,
      channelId: fc.nat(3),
    });
  });

function column(texts: readonly string[]): {
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
} {
  let end = 0;
  return {
    bytes: Buffer.from(texts.join("")),
    ends: Uint32Array.from(texts, (value) => (end += Buffer.byteLength(value))),
  };
}

function blockOf(plain: PlainBlock): RecordBlock {
  const { bytes, ends } = column(plain.values.map((value) => value + plain.delimiter));
  return {
    count: plain.values.length,
    values: Buffer.concat([Buffer.alloc(plain.skip, "#"), bytes, Buffer.from("behind")]),
    valuesStart: plain.skip,
    valueEnds: Uint32Array.from([...ends, 0]).map((end) => end + plain.skip),
    delimiterBytes: plain.delimiter.length,
    channel: "",
    ...(plain.keys && { keys: column(plain.keys) }),
    ...(plain.headers && { headers: column(plain.headers) }),
    ...(plain.times && { timestampsMs: Float64Array.from(plain.times) }),
    ...(plain.position !== "" && { position: Buffer.from(plain.position) }),
  };
}

interface PlainRecord {
  readonly channelId: number;
  readonly value: string;
  readonly key: string;
  readonly header: string;
  readonly time: number;
  readonly receivedAtMs: number;
}

function recordsOf(plain: PlainBlock, receivedAtMs: number): PlainRecord[] {
  return plain.values.map((value, index) => ({
    channelId: plain.channelId,
    value,
    key: plain.keys?.[index] ?? "",
    header: plain.headers?.[index] ?? "",
    time: plain.times?.[index] ?? Number.NaN,
    receivedAtMs,
  }));
}

function textAt(
  list: { readonly bytes: Uint8Array; readonly ends: Uint32Array } | undefined,
  index: number,
): string {
  const start = index === 0 ? 0 : (list?.ends[index - 1] ?? 0);
  return Buffer.from(list?.bytes.subarray(start, list.ends[index]) ?? []).toString();
}

function plainRecords(block: StoredBlock, channelId: number): PlainRecord[] {
  return Array.from({ length: block.count }, (_, index) => ({
    channelId,
    value: Buffer.from(valueOf(block, index)).toString(),
    key: textAt(block.keys, index),
    header: textAt(block.headers, index),
    time: block.timestampsMs?.[index] ?? Number.NaN,
    receivedAtMs: block.receivedAtMs(index),
  }));
}

const salt = 77;

function sealed(
  blocks: readonly PlainBlock[],
  buffer: EntryBuffer,
): { readonly bytes: Uint8Array; readonly header: EntryHeader } {
  for (const [index, plain] of blocks.entries()) {
    buffer.add(blockOf(plain), plain.channelId, { epoch: 4, wallMs: 1_000_000 + index });
    void buffer.settled(plain.values.length);
  }
  buffer.layOut();
  const { bytes, diskBytes } = buffer.seal(
    { firstOffset: 500, durableEnd: 500, epoch: 4, segmentId: 1, previousHeaderCrc: 0 },
    salt,
  );
  const header = decodeEntryHeader(bytes, 0, salt);
  if (header === undefined) throw new Error("the header is not valid");
  equal(diskBytes, entryDiskBytes(header.entryBytes));
  ok(bytes.subarray(header.entryBytes, diskBytes).every((byte) => byte === 0));
  return { bytes: bytes.slice(0, diskBytes), header };
}

test("block codec: an entry that was summed while it filled is right with any salt, again and again", () => {
  const buffer = new EntryBuffer();
  for (const lengths of [[70_000], [65_536, 1], [100, 65_435, 1], [300_000, 300_000], [5]]) {
    for (const [index, length] of lengths.entries()) {
      const values = new Uint8Array(length).fill(index + 1);
      const valueEnds = Uint32Array.of(length);
      const plain = { count: 1, values, valuesStart: 0, valueEnds, delimiterBytes: 0, channel: "" };
      buffer.add(plain, 1, { epoch: 1, wallMs: 1_000 });
      void buffer.settled(1);
    }
    buffer.layOut();
    for (const other of [salt, 0, 2 ** 32 - 1]) {
      const { bytes } = buffer.seal(
        { firstOffset: 0, durableEnd: 0, epoch: 1, segmentId: 1, previousHeaderCrc: 0 },
        other,
      );
      const header = decodeEntryHeader(bytes, 0, other);
      ok(
        header !== undefined && bodyIsValid(bytes, 0, header, other),
        `${lengths.join(", ")}: salt ${other}`,
      );
    }
    buffer.resolveAll(0);
  }
});

test("block codec: blocks come back with every column, also from a buffer that was used before", () => {
  const buffer = new EntryBuffer();
  fc.assert(
    fc.property(fc.array(plainBlock, { minLength: 1, maxLength: 8 }), (blocks) => {
      const { bytes, header } = sealed(blocks, buffer);
      ok(bodyIsValid(bytes, 0, header, salt));
      const body = decodeData(bytes, 0, header);
      ok(body);
      const found: PlainRecord[] = [];
      const positions: string[] = [];
      for (const head of body.blocks) {
        equal(head.epoch, 4);
        found.push(
          ...plainRecords(
            storedBlock(body, head, { receiver: "r", channel: "c" }, { from: 0, to: head.count }),
            head.channelId,
          ),
        );
        const position = positionOf(body, head);
        if (position !== undefined) positions.push(Buffer.from(position).toString());
      }
      deepEqual(
        found,
        blocks.flatMap((plain, index) => recordsOf(plain, 1_000_000 + index)),
      );
      deepEqual(
        positions,
        blocks.map((plain) => plain.position).filter((position) => position !== ""),
      );
      const told: string[] = [];
      buffer.forEachPosition((_, position) => told.push(Buffer.from(position).toString()));
      deepEqual(told, positions);
      buffer.resolveAll(0);
    }),
    { numRuns: 300 },
  );
});

test("block codec: any part of a block is that part of its records", () => {
  fc.assert(
    fc.property(plainBlock, plainBlock, fc.nat(), fc.nat(), (before, plain, one, two) => {
      const { bytes, header } = sealed([{ ...before, channelId: 9 }, plain], new EntryBuffer());
      const body = decodeData(bytes, 0, header);
      const head = body?.blocks.at(-1);
      ok(body && head);
      const [from = 0, to = 0] = [one % (head.count + 1), two % (head.count + 1)].toSorted(
        (left, right) => left - right,
      );
      const block = storedBlock(body, head, { receiver: "r", channel: "c" }, { from, to });
      deepEqual(plainRecords(block, plain.channelId), recordsOf(plain, 1_000_001).slice(from, to));
      equal(block.firstOffset, 500 + before.values.length + from);
    }),
  );
});

test("block codec: a body that contradicts itself is refused or read within its bounds, never thrown at", () => {
  fc.assert(
    fc.property(
      fc.array(plainBlock, { minLength: 1, maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      (blocks, changes, shiftsBuffer) => {
        const { bytes, header } = sealed(blocks, new EntryBuffer());
        for (const [at, value] of changes)
          bytes[ENTRY_HEADER_BYTES + (at % (header.entryBytes - ENTRY_HEADER_BYTES))] = value;
        const at = shiftsBuffer ? 3 : 0;
        const shifted = new Uint8Array(bytes.length + at);
        shifted.set(bytes, at);
        const body = decodeData(shifted, at, header);
        for (const head of body?.blocks ?? []) {
          if (body !== undefined)
            ok(
              plainRecords(
                storedBlock(
                  body,
                  head,
                  { receiver: "r", channel: "c" },
                  { from: 0, to: head.count },
                ),
                0,
              ).length === head.count,
            );
        }
      },
    ),
    { numRuns: 500 },
  );
});
