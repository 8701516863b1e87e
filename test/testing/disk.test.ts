import { deepEqual, equal, rejects } from "node:assert/strict";
import { test } from "node:test";

import type { FileHandle, OpenMode } from "../../src/host/files.ts";
import { BLOCK_BYTES, type Keep, SimulatedDisk, POWER_OFF } from "../../src/testing/disk.ts";

function filled(blockCount: number, value: number): Uint8Array {
  return new Uint8Array(blockCount * BLOCK_BYTES).fill(value);
}

function firstBytes(disk: SimulatedDisk, path: string): number[] {
  const content = disk.contents(path);
  return Array.from(
    { length: Math.ceil(content.length / BLOCK_BYTES) },
    (_, index) => content[index * BLOCK_BYTES] ?? -1,
  );
}

/** A disk with `/a/file` of three durable blocks of ones. */
async function threeBlocks(mode: OpenMode): Promise<{ disk: SimulatedDisk; file: FileHandle }> {
  const disk = new SimulatedDisk();
  disk.put("/a/file", filled(3, 1));
  return { disk, file: await disk.open("/a/file", mode) };
}

test("simulated disk: a write without sync is seen and does not outlive a power cut", async () => {
  const { disk, file } = await threeBlocks("write");
  await file.write(filled(3, 2), 0, 3 * BLOCK_BYTES, 0);
  deepEqual(firstBytes(disk, "/a/file"), [2, 2, 2]);
  disk.crash({ keep: "none" });
  deepEqual(firstBytes(disk, "/a/file"), [1, 1, 1]);
});

test("simulated disk: any subset of unsynced blocks may be kept", async () => {
  const { disk, file } = await threeBlocks("write");
  await file.write(filled(3, 2), 0, 3 * BLOCK_BYTES, 0);
  equal(disk.unsynced().length, 3);
  disk.crash({ keep: (item) => item.kind === "block" && item.blockIndex !== 1 });
  deepEqual(firstBytes(disk, "/a/file"), [2, 1, 2]);
});

test("simulated disk: sync and durable writes outlive a power cut, with the length", async () => {
  const { disk, file } = await threeBlocks("write-durable");
  await file.write(filled(1, 3), 0, BLOCK_BYTES, 3 * BLOCK_BYTES);
  const plain = await disk.open("/a/file", "write");
  await plain.write(filled(1, 4), 0, BLOCK_BYTES, 0);
  await plain.sync();
  await plain.write(filled(1, 5), 0, BLOCK_BYTES, BLOCK_BYTES);
  disk.crash({ keep: "none" });
  deepEqual(firstBytes(disk, "/a/file"), [4, 1, 1, 3]);
});

test("simulated disk: a durable write covers its own blocks only", async () => {
  const { disk, file } = await threeBlocks("write-durable");
  const plain = await disk.open("/a/file", "write");
  await plain.write(filled(1, 4), 0, BLOCK_BYTES, 0);
  await file.write(filled(1, 5), 0, BLOCK_BYTES, BLOCK_BYTES);
  disk.crash({ keep: "none" });
  deepEqual(firstBytes(disk, "/a/file"), [1, 5, 1]);
});

const names: readonly {
  readonly title: string;
  readonly keep: Keep;
  readonly paths: readonly string[];
}[] = [
  { title: "nothing", keep: "none", paths: ["/a/file"] },
  { title: "everything", keep: "all", paths: ["/a/new", "/a/renamed"] },
  {
    title: "the rename only",
    keep: (item) => item.kind === "entry" && item.change === "rename",
    paths: ["/a/renamed"],
  },
];
for (const { title, keep, paths } of names) {
  test(`simulated disk: of directory changes a power cut keeps ${title}`, async () => {
    const { disk } = await threeBlocks("write");
    await disk.open("/a/new", "create");
    await disk.rename("/a/file", "/a/renamed");
    disk.crash({ keep });
    deepEqual(disk.paths(), paths);
  });
}

test("simulated disk: syncDirectory makes creations, renames and removals durable", async () => {
  const { disk } = await threeBlocks("write");
  await disk.open("/a/new", "create");
  await disk.rename("/a/file", "/a/renamed");
  await disk.syncDirectory("/a");
  await disk.remove("/a/new");
  disk.crash({ keep: "none" });
  deepEqual(disk.paths(), ["/a/new", "/a/renamed"]);
});

test("simulated disk: a directory that was made and not synced is gone with what is in it", async () => {
  const disk = new SimulatedDisk();
  await disk.makeDirectory("/data/log");
  disk.crash({ keep: "none" });
  await rejects(disk.list("/data"), { code: "ENOENT" });
});

test("simulated disk: the call that the power goes in is in flight, later ones fail", async () => {
  const { disk, file } = await threeBlocks("write-durable");
  disk.inject({ what: "power-off", kind: "write", nth: 2 });
  equal(await file.write(filled(1, 2), 0, BLOCK_BYTES, 0), BLOCK_BYTES);
  await rejects(file.write(filled(1, 3), 0, BLOCK_BYTES, BLOCK_BYTES), { code: POWER_OFF });
  await rejects(disk.stat("/a/file"), { code: POWER_OFF });
  deepEqual(
    disk.unsynced().map((item) => item.kind === "block" && item.blockIndex),
    [1],
  );
  disk.crash({ keep: "none" });
  deepEqual(firstBytes(disk, "/a/file"), [2, 1, 1]);
  await rejects(file.read(new Uint8Array(1), 0, 1, 0), { code: POWER_OFF });
});

test("simulated disk: the n-th call of a kind fails, once", async () => {
  const { disk, file } = await threeBlocks("write-durable");
  disk.inject({ what: "error", kind: "write", path: "file", nth: 2, code: "EIO" });
  await file.write(filled(1, 2), 0, BLOCK_BYTES, 0);
  await rejects(file.write(filled(1, 3), 0, BLOCK_BYTES, 0), { code: "EIO" });
  deepEqual(firstBytes(disk, "/a/file"), [2, 1, 1]);
  await file.write(filled(1, 4), 0, BLOCK_BYTES, 0);
  deepEqual(firstBytes(disk, "/a/file"), [4, 1, 1]);
});

test("simulated disk: after a failed sync a second one reports success and writes nothing", async () => {
  const { disk, file } = await threeBlocks("write");
  await file.write(filled(1, 2), 0, BLOCK_BYTES, 0);
  disk.inject({ what: "error", kind: "sync", nth: 1, code: "EIO" });
  await rejects(file.sync(), { code: "EIO" });
  await file.sync();
  disk.crash({ keep: "all" });
  deepEqual(firstBytes(disk, "/a/file"), [1, 1, 1]);
});

test("simulated disk: a short write takes what it says", async () => {
  const { disk, file } = await threeBlocks("write");
  disk.inject({ what: "short-write", nth: 1, bytes: BLOCK_BYTES });
  equal(await file.write(filled(3, 2), 0, 3 * BLOCK_BYTES, 0), BLOCK_BYTES);
  deepEqual(firstBytes(disk, "/a/file"), [2, 1, 1]);
});

test("simulated disk: a full disk takes what fits, then refuses; what is allocated can be overwritten", async () => {
  const { disk, file } = await threeBlocks("write");
  disk.capacityBytes = 4 * BLOCK_BYTES;
  equal(await file.write(filled(2, 2), 0, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES), BLOCK_BYTES);
  await rejects(file.write(filled(1, 2), 0, BLOCK_BYTES, 4 * BLOCK_BYTES), { code: "ENOSPC" });
  equal(await file.write(filled(3, 9), 0, 3 * BLOCK_BYTES, 0), 3 * BLOCK_BYTES);
  equal((await disk.fileSystem("/")).freeBytes, 0);
});

test("simulated disk: held writes are in flight until they are let go", async () => {
  const { disk, file } = await threeBlocks("write-durable");
  const hold = disk.hold({ kind: "write" });
  const order: number[] = [];
  const first = file.write(filled(1, 2), 0, BLOCK_BYTES, 0).then(() => order.push(1));
  const second = file.write(filled(1, 3), 0, BLOCK_BYTES, BLOCK_BYTES).then(() => order.push(2));
  equal(hold.waiting, 2);
  equal(disk.unsynced().length, 2);
  hold.next();
  await first;
  deepEqual(order, [1]);
  hold.release();
  await second;
  deepEqual(order, [1, 2]);
});

test("simulated disk: a buffer that changes during its write is a bug of the caller", async () => {
  const { file } = await threeBlocks("write");
  const buffer = filled(1, 2);
  const written = file.write(buffer, 0, BLOCK_BYTES, 0);
  buffer[0] = 3;
  await rejects(written, /buffer changed/);
});

test("simulated disk: bits flip and files are cut at rest", async () => {
  const { disk } = await threeBlocks("read");
  disk.flipBit("/a/file", BLOCK_BYTES, 1);
  disk.cut("/a/file", BLOCK_BYTES + 1);
  disk.crash({ keep: "none" });
  equal(disk.contents("/a/file").length, BLOCK_BYTES + 1);
  equal(disk.contents("/a/file")[BLOCK_BYTES], 3);
});

test("simulated disk: a clone lives on its own", async () => {
  const { disk, file } = await threeBlocks("write");
  await file.write(filled(1, 2), 0, BLOCK_BYTES, 0);
  const twin = disk.clone();
  twin.crash({ keep: "none" });
  deepEqual(firstBytes(twin, "/a/file"), [1, 1, 1]);
  deepEqual(firstBytes(disk, "/a/file"), [2, 1, 1]);
});

test("simulated disk: truncating loses the rest and leaves zeros behind a later write", async () => {
  const { disk, file } = await threeBlocks("write");
  await file.truncate(BLOCK_BYTES + 10);
  await file.write(Uint8Array.of(7), 0, 1, 2 * BLOCK_BYTES);
  const content = disk.contents("/a/file");
  deepEqual(
    [content.length, content[BLOCK_BYTES + 9], content[BLOCK_BYTES + 10], content[2 * BLOCK_BYTES]],
    [2 * BLOCK_BYTES + 1, 1, 0, 7],
  );
});
