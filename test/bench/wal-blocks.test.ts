import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { noCounts, countingFiles } from "../../bench/wal/counting-files.ts";
import { groupBlocks, linesBlock, walRecordBytes } from "../../bench/wal/blocks.ts";
import { nullFiles } from "../../bench/wal/null-files.ts";
import { entryDiskBytes } from "../../src/wal/entry.ts";
import { EntryBuffer } from "../../src/wal/entry-buffer.ts";

test("wal blocks: lines of one length, ends included", () => {
  const { count, delimiterBytes, valueEnds, values } = linesBlock(3, 5);
  equal(count, 3);
  equal(delimiterBytes, 1);
  deepEqual([...valueEnds], [5, 10, 15]);
  equal(Buffer.from(values).toString(), "aaaa\naaaa\naaaa\n");
});

test("wal blocks: a group fills an entry of its size on disk, to less than a record", () => {
  for (const bytes of [4096, 262_144, 1_048_576, 8_388_608]) {
    const buffer = new EntryBuffer();
    for (const block of groupBlocks(bytes)) buffer.add(block, 1, { epoch: 1, wallMs: 0 });
    equal(entryDiskBytes(buffer.entryBytes), bytes);
    ok(bytes - buffer.entryBytes < 2 * walRecordBytes, `${bytes - buffer.entryBytes} bytes left`);
  }
});

test("counting files: flushes, plain writes and everything else apart", async () => {
  const counts = noCounts();
  const files = countingFiles(nullFiles, counts);
  const durable = await files.open("/null/a", "create-durable");
  const plain = await files.open("/null/b", "create");
  await durable.write(new Uint8Array(8), 0, 8, 0);
  await plain.write(new Uint8Array(8), 0, 5, 0);
  await plain.sync();
  await files.rename("/null/b", "/null/c");
  deepEqual(counts, {
    durableWrites: 1,
    durableBytes: 8,
    plainWrites: 1,
    plainBytes: 5,
    syncs: 1,
    others: 3,
  });
});
