import { deepEqual, equal, match, notDeepEqual, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FileHandle, OpenMode } from "../../src/host/files.ts";
import {
  BLOCK_BYTES,
  type DiskFault,
  POWER_OFF,
  SECTOR_BYTES,
  SimulatedDisk,
} from "../../src/testing/disk.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";

function filled(bytes: number, value: number): Uint8Array {
  return new Uint8Array(bytes).fill(value);
}

/** A disk with `/a/file` of four durable blocks of ones. */
async function place(
  mode: OpenMode,
  options: { readonly seed?: number; readonly clock?: VirtualClock } = {},
): Promise<{ readonly disk: SimulatedDisk; readonly file: FileHandle }> {
  const disk = new SimulatedDisk(options);
  disk.put("/a/file", filled(4 * BLOCK_BYTES, 1));
  return { disk, file: await disk.open("/a/file", mode) };
}

test("disk faults: a block may reach the platter up to a byte", async () => {
  const { disk, file } = await place("write");
  await file.write(filled(BLOCK_BYTES, 2), 0, BLOCK_BYTES, 0);
  disk.crash({ keep: () => ({ bytes: 700 }) });
  const content = disk.contents("/a/file");
  deepEqual([content[0], content[699], content[700]], [2, 2, 1]);
});

test("disk faults: any of a block's sectors may reach the platter", async () => {
  const { disk, file } = await place("write");
  await file.write(filled(BLOCK_BYTES, 2), 0, BLOCK_BYTES, 0);
  disk.crash({ keep: () => ({ sectors: 0b1000_0010 }) });
  const content = disk.contents("/a/file");
  const firstBytes = Array.from({ length: 8 }, (_, index) => content[index * SECTOR_BYTES]);
  deepEqual(firstBytes, [1, 2, 1, 1, 1, 1, 1, 2]);
});

test("disk faults: of two unsynced writes to one block the older one may be what stays", async () => {
  const { disk, file } = await place("write");
  await file.write(filled(BLOCK_BYTES, 2), 0, BLOCK_BYTES, 0);
  await file.write(filled(BLOCK_BYTES, 3), 0, BLOCK_BYTES, 0);
  deepEqual(disk.unsynced(), [{ kind: "block", path: "/a/file", blockIndex: 0, versions: 2 }]);
  disk.crash({ keep: () => ({ version: 0 }) });
  equal(disk.contents("/a/file")[0], 2);
});

test("disk faults: a sync that lies makes nothing durable, a later one does", async () => {
  const { disk, file } = await place("write");
  disk.inject({ what: "lying-sync", nth: 2 });
  await file.write(filled(10, 2), 0, 10, 0);
  await file.sync();
  const twin = disk.clone();
  twin.crash({ keep: "none" });
  equal(twin.contents("/a/file")[0], 1);
  await file.sync();
  disk.crash({ keep: "none" });
  equal(disk.contents("/a/file")[0], 2);
});

test("disk faults: a misdirected write changes another place, and the list of damages has both", async () => {
  const { disk, file } = await place("write-durable");
  disk.inject({ what: "misdirected-write", nth: 1 });
  equal(await file.write(filled(SECTOR_BYTES, 2), 0, SECTOR_BYTES, 0), SECTOR_BYTES);
  const [missing, stray] = disk.damages();
  deepEqual(missing, {
    what: "missing-write",
    path: "/a/file",
    position: 0,
    bytes: SECTOR_BYTES,
  });
  equal(stray?.what, "misdirected-write");
  disk.crash({ keep: "none" });
  const content = disk.contents("/a/file");
  equal(content[0], 1);
  equal(content[stray.position], 2);
});

test("disk faults: a disk without space refuses so many calls, what is allocated can be written", async () => {
  const { disk, file } = await place("write");
  disk.inject({ what: "no-space", nth: 1, calls: 2 });
  const append = (): Promise<number> => file.write(filled(10, 2), 0, 10, 4 * BLOCK_BYTES);
  await rejects(append(), { code: "ENOSPC" });
  equal(await file.write(filled(10, 3), 0, 10, 0), 10);
  await rejects(append(), { code: "ENOSPC" });
  equal(await append(), 10);
});

test("disk faults: too many open files", async () => {
  const { disk } = await place("read");
  disk.inject({ what: "error", code: "EMFILE", kind: ["open", "create"], rate: 1, limit: 2 });
  await rejects(disk.open("/a/file", "read"), { code: "EMFILE" });
  await rejects(disk.open("/a/new", "create"), { code: "EMFILE" });
  await (await disk.open("/a/file", "read")).close();
});

test("disk faults: a slow call settles when the clock says so, a stuck one when the power goes", async () => {
  const clock = new VirtualClock();
  const { disk, file } = await place("write", { clock });
  disk.inject({ what: "slow", kind: "sync", ms: 300, nth: 1 });
  let settled = "";
  const slow = file.sync().then(() => (settled += "slow"));
  await clock.advance(299);
  equal(settled, "");
  await clock.advance(1);
  await slow;
  disk.inject({ what: "stuck", kind: "read", nth: 1 });
  const stuck = file.read(new Uint8Array(1), 0, 1, 0);
  await clock.advance(1_000_000);
  disk.powerOff();
  await rejects(stuck, { code: POWER_OFF });
});

test("disk faults: at rest one bit flips, or one sector is zeros", async () => {
  const { disk } = await place("read");
  disk.put("/a/other", filled(BLOCK_BYTES, 255));
  const flip = disk.damage("bit-flip", "file");
  const zeros = disk.damage("zeroed-sector", "other");
  deepEqual(disk.damages(), [flip, zeros]);
  ok(flip !== undefined && zeros !== undefined);
  const changed = disk.contents("/a/file").filter((byte) => byte !== 1);
  equal(changed.length, 1);
  equal(disk.contents("/a/other").filter((byte) => byte === 0).length, SECTOR_BYTES);
  equal(disk.contents("/a/other")[zeros.position], 0);
  equal(disk.damage("bit-flip", "nowhere"), undefined);
});

const what: fc.Arbitrary<DiskFault> = fc.oneof(
  fc.constant<DiskFault>({ what: "error", code: "EIO", effect: "any", rate: 0.2 }),
  fc.constant<DiskFault>({ what: "short-write", rate: 0.3 }),
  fc.constant<DiskFault>({ what: "misdirected-write", rate: 0.3 }),
  fc.constant<DiskFault>({ what: "bit-flip", rate: 0.1 }),
  fc.constant<DiskFault>({ what: "zeroed-sector", rate: 0.1, limit: 2 }),
  fc.constant<DiskFault>({ what: "lying-sync", rate: 0.5 }),
);

/** Some calls, a power cut, and everything that can be seen afterwards. */
async function life(seed: number, faults: readonly DiskFault[]): Promise<unknown> {
  const { disk, file } = await place("write", { seed });
  for (const fault of faults) disk.inject(fault);
  const told: unknown[] = [];
  for (let index = 0; index < 30; index += 1) {
    const call =
      index % 5 === 4
        ? file.sync()
        : file.write(filled(900, index), 0, 900, (index * 1_777) % (4 * BLOCK_BYTES));
    told.push(await call.catch((error: unknown) => String(error)));
  }
  disk.crash();
  return {
    told,
    damages: disk.damages(),
    explained: disk.explain(),
    bytes: disk.contents("/a/file"),
  };
}

test("disk faults: one seed and one order of calls give the same faults and the same power cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(what, { maxLength: 4 }), async (seed, faults) => {
      deepEqual(await life(seed, faults), await life(seed, faults));
    }),
  );
  const faults: readonly DiskFault[] = [{ what: "error", code: "EIO", rate: 0.5 }];
  notDeepEqual(await life(1, faults), await life(2, faults));
});

test("disk faults: what struck is explained, with the seed", async () => {
  const { disk, file } = await place("write", { seed: 42 });
  disk.inject({ what: "short-write", nth: 1, bytes: 3 });
  await file.write(filled(10, 2), 0, 10, 0);
  match(disk.explain(), /disk with seed 42\ncall 2: write \/a\/file: .*"short-write".*"bytes":3/);
});

test("disk faults: calm ends them", async () => {
  const { disk, file } = await place("write");
  disk.inject({ what: "error", code: "EIO", rate: 1 });
  await rejects(file.sync(), { code: "EIO" });
  disk.calm();
  await file.sync();
});
