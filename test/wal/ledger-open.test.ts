import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";

import {
  encodeSegmentHeader,
  saltOf,
  SEGMENT_KIND,
  segmentFileName,
  viewOf,
} from "../../src/wal/format.ts";
import { ledgerFileName } from "../../src/wal/ledger-file.ts";
import { findLedger } from "../../src/wal/ledger-recovery.ts";
import {
  ledgerAfter,
  LEDGER_DIRECTORY,
  ledgerFiles,
  openTestLedger,
  planOf,
  SMALL_FILE_BYTES,
} from "../support/ledgers.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";

const identities = [
  { title: "another machine", now: { machineId: "m2", inode: "i1" }, moved: true },
  { title: "a copy on the same machine", now: { machineId: "m1", inode: "i2" }, moved: true },
  { title: "the same place", now: { machineId: "m1", inode: "i1" }, moved: false },
  { title: "a container without a machine id", now: { machineId: "", inode: "i1" }, moved: false },
  { title: "a copy in such a container", now: { machineId: "", inode: "i2" }, moved: true },
];
for (const { title, now, moved } of identities) {
  test(`ledger: ${title} is ${moved ? "refused until it is adopted, with nothing written" : "no move"}`, async () => {
    const disk = new SimulatedDisk();
    await (await ledgerAfter(disk, 1)).close();
    disk.crash({ keep: "all" });
    if (!moved) return void (await openTestLedger(disk, { identity: now }));
    await rejects(openTestLedger(disk, { identity: now }), { code: "LOG_MOVED", fix: /log adopt/ });
    equal(disk.callCount("write") + disk.callCount("rename") + disk.callCount("create"), 0);
    const adopted = await openTestLedger(disk, { identity: now, adopt: true });
    equal(adopted.checkpoint("p")?.committed?.batchId, 1);
    await adopted.close();
    await (await openTestLedger(disk, { identity: now })).close();
    await rejects(openTestLedger(disk), { code: "LOG_MOVED" });
  });
}

/** Puts a data segment of this log there, as its writer would have. */
function putSegment(disk: SimulatedDisk, logUuid: Uint8Array, epoch: number): void {
  const header = encodeSegmentHeader({
    kind: SEGMENT_KIND.data,
    logUuid,
    segmentId: 3,
    baseOffset: 0,
    salt: saltOf(3, logUuid),
    epoch,
    capacityBytes: SMALL_FILE_BYTES,
    createdWallMs: 0,
    previousEnd: 0,
    previousSalt: 0,
  });
  disk.put(`/data/log/${segmentFileName(0, 3)}`, header);
}

test("ledger: segments without a ledger mean that it was lost; uuid and epoch go on from theirs", async () => {
  const disk = new SimulatedDisk();
  const before = await ledgerAfter(disk, 1);
  putSegment(disk, before.logUuid, 7);
  for (const path of ledgerFiles(disk)) disk.take(path);
  const after = await openTestLedger(disk);
  deepEqual(
    [after.recovery, after.epoch, after.logUuid, after.pipelines()],
    [{ kind: "lost" }, 8, before.logUuid, []],
  );
});

test("ledger: a damaged header block loses nothing where segments name the log", async () => {
  const disk = new SimulatedDisk();
  const before = await ledgerAfter(disk, 2);
  putSegment(disk, before.logUuid, 1);
  disk.crash({ keep: "none" });
  disk.patch(`${LEDGER_DIRECTORY}/${ledgerFileName(1)}`, 0, new Uint8Array(4096).fill(0xaa));
  const after = await openTestLedger(disk);
  deepEqual([after.recovery.kind, after.checkpoint("p")], ["recovered", before.checkpoint("p")]);
});

test("ledger: a file of a newer format is refused with both versions", async () => {
  const disk = new SimulatedDisk();
  await (await ledgerAfter(disk, 1)).close();
  const path = `${LEDGER_DIRECTORY}/${ledgerFileName(1)}`;
  const header = disk.contents(path).slice(0, 4096);
  viewOf(header).setUint16(8, 9, true);
  viewOf(header).setUint32(84, crc32(header.subarray(0, 84)), true);
  disk.patch(path, 0, header);
  await rejects(openTestLedger(disk), {
    code: "LOG_VERSION",
    message: /format 9, this program reads 1/,
  });
});

test("ledger: read beside a running writer it is a state that was durable, wherever the reader is", async () => {
  for (const heldReads of [0, 1, 2]) {
    const disk = new SimulatedDisk();
    const ledger = await ledgerAfter(disk, 12);
    const hold = disk.hold({ kind: "readFile" });
    const reading = findLedger(disk, LEDGER_DIRECTORY, "/data/log");
    while (hold.waiting === 0) await new Promise(setImmediate);
    for (let index = 0; index < heldReads; index += 1) {
      hold.next();
      await new Promise(setImmediate);
    }
    // Three times round: every file that the reader saw in the listing gets another name.
    for (let batchId = 13; batchId <= 40; batchId += 1) {
      await ledger.plan(planOf(batchId));
      await ledger.commit({ pipeline: "p", batchId, epoch: 1, tokens: {} });
    }
    hold.release();
    const { state, recovery } = await reading;
    const batchId = state.pipelines.get("p")?.committed?.batchId ?? 0;
    equal(recovery.kind, "recovered");
    ok(batchId >= 12 && batchId <= 40, `batch ${batchId} after ${heldReads} reads`);
  }
});
