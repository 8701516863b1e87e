/**
 * Batches as brokers keep them: what kafkajs's encoder writes is read as it was meant, cut anywhere.
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { registerCodecs } from "../../../receivers/kafka/codecs.ts";
import { crc32c } from "../../../receivers/kafka/crc32c.ts";
import {
  batchesOf as batchesWith,
  type KafkaRecord,
  PIECE_RECORDS,
  type RecordBatch,
} from "../../../receivers/kafka/record-batches.ts";
import { manyRuns } from "../../support/runs.ts";

interface Written {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestamp: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
}

interface Encoded {
  readonly buffer: Buffer;
}

// Decode boundary: kafkajs declares no types of its inner modules.
const load = createRequire(import.meta.url);
const { RecordBatch: encodeBatch } = load("kafkajs/src/protocol/recordBatch/v0") as {
  readonly RecordBatch: (batch: object) => Promise<Encoded>;
};
const encodeRecord = load("kafkajs/src/protocol/recordBatch/record/v0") as (
  record: object,
) => Encoded;

/** As a producer sends it; `firstOffset` is what the broker gives it. */
async function batchBytes(
  records: readonly Written[],
  { firstOffset = 0, compression = 0, transactional = false } = {},
): Promise<Buffer> {
  const firstTimestamp = records[0]?.timestamp ?? 0;
  const { buffer } = await encodeBatch({
    compression,
    firstTimestamp,
    maxTimestamp: Math.max(...records.map(({ timestamp }) => timestamp)),
    lastOffsetDelta: records.length - 1,
    transactional,
    producerId: 7,
    records: records.map((record, offsetDelta) =>
      encodeRecord({ ...record, offsetDelta, timestampDelta: record.timestamp - firstTimestamp }),
    ),
  });
  const bytes = Buffer.from(buffer);
  bytes.writeBigInt64BE(BigInt(firstOffset));
  return bytes;
}

function batchesOf(bytes: Buffer): readonly RecordBatch[] {
  return batchesWith(bytes, "orders-0");
}

async function recordsOf(
  batch: RecordBatch | undefined,
  span = { from: 0, to: Number.MAX_SAFE_INTEGER },
): Promise<readonly KafkaRecord[]> {
  assert.ok(batch !== undefined);
  const records: KafkaRecord[] = [];
  for (const piece of await batch.records(span)) {
    assert.ok(piece.length <= PIECE_RECORDS, `${piece.length} records at a time`);
    for (const record of piece) records.push(record);
  }
  return records;
}

/** The same with its checksum made right. */
function sealed(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

const bytes = fc.oneof(
  { weight: 1, arbitrary: fc.constant(null) },
  { weight: 5, arbitrary: fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)) },
);
const header = fc.oneof(fc.string(), fc.array(fc.string(), { minLength: 2, maxLength: 3 }));
const written: fc.Arbitrary<Written> = fc.record({
  key: bytes,
  value: bytes,
  timestamp: fc.integer({ min: 0, max: 2_000_000_000_000 }),
  headers: fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), header, { maxKeys: 3 }),
});

/** Headers as kafkajs writes them, as texts. */
function textsOf(headers: object | undefined): Record<string, readonly string[]> {
  const texts: Record<string, readonly string[]> = {};
  for (const [name, value] of Object.entries(headers ?? {}))
    texts[name] = [value].flat().map(String);
  return texts;
}

test("kafka batches: what a producer wrote is read, packed or not, at any offset", async () => {
  registerCodecs();
  const property = fc.asyncProperty(
    fc.array(written, { minLength: 1, maxLength: 8 }),
    fc.nat(2 ** 40),
    fc.constantFrom(0, 1),
    async (records, firstOffset, compression) => {
      const [batch, ...rest] = batchesOf(await batchBytes(records, { firstOffset, compression }));
      assert.deepEqual(rest, []);
      assert.equal(batch?.firstOffset, firstOffset);
      assert.equal(batch.endOffset, firstOffset + records.length);
      const read = await recordsOf(batch);
      assert.deepEqual(
        read.map(({ headers, ...record }) => ({ ...record, headers: textsOf(headers) })),
        records.map(({ headers, ...record }, i) => ({
          ...record,
          offset: firstOffset + i,
          headers: textsOf(headers),
        })),
      );
    },
  );
  await fc.assert(property, { ...manyRuns, numRuns: Math.min(manyRuns.numRuns, 200) });
});

test("kafka batches: a batch that the broker has cut is left out, wherever it is cut, unless it is the first", async () => {
  const record: Written = { key: null, value: Buffer.from("one"), timestamp: 5, headers: {} };
  const first = await batchBytes([record, record], { firstOffset: 10 });
  const second = await batchBytes([record], { firstOffset: 12, transactional: true });
  const both = Buffer.concat([first, second]);
  assert.deepEqual(batchesOf(both.subarray(0, 0)), []);
  // Records are there, and none can be read: that is not the same as none.
  for (let length = 1; length < first.length; length++)
    assert.throws(() => batchesOf(both.subarray(0, length)), {
      code: "KAFKA_FAILED",
      message: new RegExp(`^orders-0: a broker sent ${length} bytes of records and no whole batch`),
    });
  for (let length = first.length; length <= both.length; length++) {
    const found = batchesOf(both.subarray(0, length)).map(({ firstOffset }) => firstOffset);
    assert.deepEqual(found, length < both.length ? [10] : [10, 12], `${length} bytes`);
  }
  const [plain, transactional] = batchesOf(both);
  assert.deepEqual(
    [plain, transactional].map((batch) => [batch?.isTransactional, batch?.producerId]),
    [
      [false, 7n],
      [true, 7n],
    ],
  );
});

test("kafka batches: the broker's time stands for all records of a batch where the topic says so", async () => {
  const at = (timestamp: number): Written => ({
    key: null,
    value: Buffer.from("one"),
    timestamp,
    headers: {},
  });
  const bytes = await batchBytes([at(5), at(9)]);
  bytes.writeInt16BE(bytes.readInt16BE(21) | 0x08, 21);
  const [batch] = batchesOf(sealed(bytes));
  assert.deepEqual(
    (await recordsOf(batch)).map(({ timestamp }) => timestamp),
    [9, 9],
  );
});

test("kafka batches: what is damaged, of an old format or of an unknown codec says so", async () => {
  registerCodecs();
  const record: Written = { key: null, value: Buffer.from("one"), timestamp: 5, headers: {} };
  const good = await batchBytes([record], { firstOffset: 41 });
  const old = Buffer.from(good);
  old.writeInt8(1, 16);
  assert.throws(() => batchesOf(old), { code: "KAFKA_FAILED", message: /offset 41 has format 1/ });
  const short = Buffer.from(good);
  short.writeInt32BE(-12, 8);
  assert.throws(() => batchesOf(short), { code: "KAFKA_FAILED", message: /and 0 bytes/ });
  const tooMany = Buffer.from(good);
  tooMany.writeInt32BE(2, 57);
  await assert.rejects(recordsOf(batchesOf(sealed(tooMany))[0]), {
    code: "KAFKA_FAILED",
    message: /ends in its record 1, it should have 2/,
  });
  const strange = Buffer.from(good);
  strange.writeInt16BE(7, 21);
  await assert.rejects(recordsOf(batchesOf(sealed(strange))[0]), {
    code: "KAFKA_FAILED",
    message: /^orders-0: the batch at offset 41: .*codec 7/,
  });
  const torn = Buffer.from(good);
  torn.writeInt16BE(1, 21);
  await assert.rejects(recordsOf(batchesOf(sealed(torn))[0]), {
    code: "KAFKA_FAILED",
    message: /^orders-0: the batch at offset 41: .* gzip cannot be unpacked/,
    fix: /kafka-dump-log/,
  });
});

test("kafka batches: a changed bit is found, and what lies before it is read", async () => {
  const record: Written = { key: null, value: Buffer.from("one"), timestamp: 5, headers: {} };
  const first = await batchBytes([record], { firstOffset: 41 });
  const second = await batchBytes([record], { firstOffset: 42 });
  const damaged = fc.integer({ min: 17 * 8, max: second.length * 8 - 1 });
  fc.assert(
    fc.property(damaged, (bit) => {
      const changed = Buffer.from(second);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const found = batchesOf(Buffer.concat([first, changed]));
      assert.deepEqual(
        found.map(({ firstOffset }) => firstOffset),
        [41],
      );
      assert.throws(() => batchesOf(changed), {
        code: "KAFKA_FAILED",
        message:
          /^orders-0: the batch at offset 42 has checksum [0-9a-f]{8} and was written with [0-9a-f]{8}: /,
      });
    }),
  );
});

test("kafka batches: of half a million records in one batch few are in memory at a time, and only those of the span", async () => {
  const count = 500_000;
  const head = await batchBytes([
    { key: null, value: Buffer.from("x"), timestamp: 0, headers: {} },
  ]);
  const record = (offset: number): Buffer =>
    encodeRecord({ key: null, value: "x", headers: {}, offsetDelta: offset, timestampDelta: 0 })
      .buffer;
  const packed = gzipSync(Buffer.concat(Array.from({ length: count }, (_, i) => record(i))));
  const bytes = Buffer.concat([head.subarray(0, 61), packed]);
  bytes.writeInt32BE(bytes.length - 12, 8);
  bytes.writeInt16BE(1, 21);
  bytes.writeInt32BE(count - 1, 23);
  bytes.writeInt32BE(count, 57);
  registerCodecs();
  const [batch] = batchesOf(sealed(bytes));
  assert.equal((await recordsOf(batch)).length, count);
  for (const [from, to] of [
    [0, 1],
    [8_190, 8_195],
    [250_000, 270_000],
    [count - 3, count],
  ] as const) {
    const offsets = (await recordsOf(batch, { from, to })).map(({ offset }) => offset);
    assert.deepEqual([offsets[0], offsets.at(-1), offsets.length], [from, to - 1, to - from]);
  }
});
