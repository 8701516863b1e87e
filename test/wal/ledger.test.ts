import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import type { Commit, Plan } from "../../src/contract/log.ts";
import { codeOf } from "../../src/errors.ts";
import {
  ledgerAfter,
  ledgerFiles,
  openTestLedger,
  planOf,
  SMALL_FILE_BYTES,
} from "../support/ledgers.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";

const bornAtZero = { writerId: "w", start: { log: { "0": 0 } } } as const;

function commitOf(batchId: number, change: Partial<Commit> = {}): Commit {
  return { pipeline: "p", batchId, epoch: 1, tokens: {}, ...change };
}

test("ledger: a new directory has epoch 1, no pipelines, and says that it is new", async () => {
  const ledger = await openTestLedger(new SimulatedDisk());
  deepEqual(
    [ledger.epoch, ledger.recovery, ledger.pipelines(), ledger.logUuid.length],
    [1, { kind: "new" }, [], 16],
  );
  equal(ledger.checkpoint("p"), undefined);
});

test("ledger: what resolved is there after a power cut, under the next epoch and the same uuid", async () => {
  const disk = new SimulatedDisk();
  const before = await ledgerAfter(disk, 2);
  await before.plan(planOf(3, { watermarkMs: 77.5 }));
  await before.register("q", {
    writerId: "v",
    start: { log: { "0": 5 }, kafka: { "orders-0": 9 } },
  });
  await before.orphan("q", 1_234.5);
  disk.crash({ keep: "none" });
  const after = await openTestLedger(disk);
  deepEqual([after.epoch, after.recovery.kind, after.logUuid], [2, "recovered", before.logUuid]);
  deepEqual(after.checkpoint("p"), {
    writerId: "w",
    start: { log: { "0": 0 } },
    committed: { batchId: 2, ends: { log: { "0": 20 } }, tokens: { s: Uint8Array.of(2) } },
    open: planOf(3, { watermarkMs: 77.5 }),
    orphanedSinceMs: undefined,
  });
  equal(after.checkpoint("q")?.orphanedSinceMs, 1_234.5);
  for (const pipeline of ["p", "q"])
    deepEqual(after.checkpoint(pipeline), before.checkpoint(pipeline));
});

test("ledger: a forgotten pipeline is gone, one that came back is no orphan", async () => {
  const disk = new SimulatedDisk();
  const ledger = await ledgerAfter(disk, 1);
  await ledger.register("q", bornAtZero);
  await ledger.orphan("p", 5);
  await ledger.orphan("p", undefined);
  await ledger.forget("q");
  await ledger.close();
  const after = await openTestLedger(disk);
  deepEqual([after.pipelines(), after.checkpoint("p")?.orphanedSinceMs], [["p"], undefined]);
});

test("ledger: a partition that a plan leaves out stays where it was, a new one may begin anywhere", async () => {
  const ledger = await openTestLedger(new SimulatedDisk());
  await ledger.register("p", { writerId: "w", start: { kafka: { a: 3 } } });
  await ledger.plan(planOf(1, { ranges: { kafka: { b: [100, 101] } } }));
  await ledger.commit(
    commitOf(1),
    planOf(2, { ranges: { kafka: { a: [3, 4] }, files: { x: [0, 9] } } }),
  );
  await ledger.commit(commitOf(2));
  deepEqual(ledger.checkpoint("p")?.committed?.ends, { kafka: { a: 4, b: 101 }, files: { x: 9 } });
});

test("ledger: a commit and the next plan are one write call, and nothing else", async () => {
  const disk = new SimulatedDisk();
  const ledger = await ledgerAfter(disk, 0);
  await ledger.plan(planOf(1));
  await new Promise(setImmediate);
  const before = disk.callCount();
  await ledger.commit(commitOf(1), planOf(2));
  deepEqual([disk.callCount() - before, ledger.checkpoint("p")?.open?.batchId], [1, 2]);
});

test("ledger: calls of one turn share a write; those made while it flies share the next", async () => {
  const disk = new SimulatedDisk();
  const ledger = await ledgerAfter(disk, 0);
  await new Promise(setImmediate);
  const hold = disk.hold({ kind: "write" });
  const before = disk.callCount("write");
  const first = ["a", "b"].map((name) => ledger.register(name, bornAtZero));
  await new Promise(setImmediate);
  const second = ["c", "d", "e"].map((name) => ledger.register(name, bornAtZero));
  await new Promise(setImmediate);
  deepEqual([disk.callCount("write") - before, ledger.pipelines()], [1, ["p"]]);
  hold.release();
  await Promise.all([...first, ...second]);
  deepEqual(
    [disk.callCount("write") - before, ledger.pipelines()],
    [2, ["p", "a", "b", "c", "d", "e"]],
  );
});

const refusedPlans: readonly {
  readonly title: string;
  readonly plan: Plan;
  readonly code: string;
  readonly message: RegExp;
}[] = [
  {
    title: "of an unknown pipeline",
    plan: planOf(3, { pipeline: "x" }),
    code: "PIPELINE_UNKNOWN",
    message: /no pipeline x; it has p/,
  },
  {
    title: "of an older epoch",
    plan: planOf(3, { epoch: 0 }),
    code: "LEDGER_FENCED",
    message: /opening 0 of the ledger, opening 1 runs/,
  },
  {
    title: "of an epoch that never was",
    plan: planOf(3, { epoch: 2 }),
    code: "LEDGER_FENCED",
    message: /opening 2 of the ledger, opening 1 runs/,
  },
  {
    title: "that skips a batch",
    plan: planOf(4),
    code: "LEDGER_FENCED",
    message: /batch 4 planned, the next one is 3/,
  },
  {
    title: "of a committed batch",
    plan: planOf(2),
    code: "LEDGER_FENCED",
    message: /batch 2 planned, the next one is 3/,
  },
  {
    title: "with a hole before it",
    plan: planOf(3, { ranges: { log: { "0": [21, 30] } } }),
    code: "LEDGER_FENCED",
    message: /log\/0 begins at 21, the last one ended at 20/,
  },
  {
    title: "that overlaps",
    plan: planOf(3, { ranges: { log: { "0": [19, 30] } } }),
    code: "LEDGER_FENCED",
    message: /begins at 19, the last one ended at 20/,
  },
  {
    title: "that runs backwards",
    plan: planOf(3, { ranges: { log: { "0": [20, 19] } } }),
    code: "LEDGER_FENCED",
    message: /ends at 19, before its begin 20/,
  },
];
for (const { title, plan, code, message } of refusedPlans) {
  test(`ledger: a plan ${title} is refused and nothing is written`, async () => {
    const disk = new SimulatedDisk();
    const ledger = await ledgerAfter(disk, 2);
    await new Promise(setImmediate);
    const before = disk.callCount();
    await rejects(ledger.plan(plan), { code, message });
    equal(disk.callCount(), before);
    await ledger.plan(planOf(3));
  });
}

test("ledger: a plan while one is open, a commit without its plan and a second birth are refused", async () => {
  const ledger = await ledgerAfter(new SimulatedDisk(), 1);
  await rejects(ledger.commit(commitOf(2)), {
    code: "LEDGER_FENCED",
    message: /commit of batch 2, open is none/,
  });
  await ledger.plan(planOf(2));
  await rejects(ledger.plan(planOf(3)), {
    code: "LEDGER_FENCED",
    message: /planned while batch 2 is open/,
  });
  await rejects(ledger.commit(commitOf(1)), { code: "LEDGER_FENCED", message: /open is 2/ });
  await rejects(ledger.commit(commitOf(2, { epoch: 0 })), { code: "LEDGER_FENCED" });
  await rejects(ledger.register("p", bornAtZero), { code: "CONFIG_CONFLICT" });
  await rejects(ledger.forget("x"), { code: "PIPELINE_UNKNOWN" });
});

test("ledger: a commit whose next plan is refused is not taken either", async () => {
  const ledger = await ledgerAfter(new SimulatedDisk(), 0);
  await ledger.plan(planOf(1));
  await rejects(ledger.commit(commitOf(1), planOf(3)), { code: "LEDGER_FENCED" });
  equal(ledger.checkpoint("p")?.committed, undefined);
  await ledger.commit(commitOf(1), planOf(2));
});

test("ledger: a plan of the last opening is refused in this one, and its commit is that of the open plan", async () => {
  const disk = new SimulatedDisk();
  await (await ledgerAfter(disk, 0)).plan(planOf(1));
  disk.crash({ keep: "none" });
  const after = await openTestLedger(disk);
  await rejects(after.commit(commitOf(1)), { code: "LEDGER_FENCED" });
  await after.commit(commitOf(1, { epoch: 2 }));
  await rejects(after.plan(planOf(2)), { code: "LEDGER_FENCED" });
});

test("ledger: files stay few and of their size however long it runs, and one is always ready", async () => {
  const disk = new SimulatedDisk();
  const ledger = await ledgerAfter(disk, 100);
  await new Promise(setImmediate);
  deepEqual(
    ledgerFiles(disk).map((path) => disk.contents(path).length),
    [SMALL_FILE_BYTES, SMALL_FILE_BYTES],
  );
  await ledger.close();
  const after = await openTestLedger(disk);
  deepEqual(after.checkpoint("p"), ledger.checkpoint("p"));
  await after.close();
  equal(ledgerFiles(disk).length, 2);
});

test("ledger: a full disk stops nothing, since no write needs new space", async () => {
  const disk = new SimulatedDisk();
  await (await ledgerAfter(disk, 1)).close();
  disk.capacityBytes = 2 * SMALL_FILE_BYTES;
  const ledger = await openTestLedger(disk);
  for (let batchId = 2; batchId < 60; batchId += 1) {
    await ledger.plan(planOf(batchId, { epoch: 2 }));
    await ledger.commit(commitOf(batchId, { epoch: 2 }));
  }
  equal(ledger.status().spareError, undefined);
  await ledger.close();
  equal((await openTestLedger(disk)).checkpoint("p")?.committed?.batchId, 59);
});

test("ledger: a state that outgrows its file gets a larger one", async () => {
  const disk = new SimulatedDisk();
  const ledger = await openTestLedger(disk);
  const token = new Uint8Array(1_000).fill(7);
  for (let index = 0; index < 60; index += 1) {
    const pipeline = `p${index}`;
    await ledger.register(pipeline, bornAtZero);
    await ledger.plan(planOf(1, { pipeline }));
    await ledger.commit(commitOf(1, { pipeline, tokens: { s: token } }));
  }
  await ledger.close();
  const after = await openTestLedger(disk);
  deepEqual(after.checkpoint("p59"), ledger.checkpoint("p59"));
  equal(after.pipelines().length, 60);
  ok(Math.max(...ledgerFiles(disk).map((path) => disk.contents(path).length)) > SMALL_FILE_BYTES);
});

test("ledger: an older opening is fenced by a newer one before a floor and a segment", async () => {
  const disk = new SimulatedDisk();
  const older = await ledgerAfter(disk, 0);
  await older.facts("log").moveFloor({ segmentId: 1, offset: 1 });
  await older.facts("log").assertOwner();
  const newer = await openTestLedger(disk);
  await rejects(older.facts("log").moveFloor({ segmentId: 2, offset: 2 }), {
    code: "LEDGER_FENCED",
  });
  await rejects(older.facts("log").assertOwner(), { code: "LEDGER_FENCED" });
  await rejects(older.plan(planOf(1)), { code: "LEDGER_FENCED" });
  await newer.facts("log").assertOwner();
});

test("ledger: it stays its own owner while a failed write leads to another file, and while a full file is left", async () => {
  const disk = new SimulatedDisk();
  const ledger = await ledgerAfter(disk, 0);
  const facts = ledger.facts("log");
  disk.inject({ what: "error", kind: "write", nth: 1, code: "EIO", effect: "disk" });
  const removal = disk.hold({ kind: "close" });
  const planned = ledger.plan(planOf(1));
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
  // No file is open for writing now.
  await facts.assertOwner();
  const names = disk.hold({ kind: "list" });
  const asked = facts.assertOwner();
  removal.release();
  await planned;
  names.release();
  await asked;
  for (let batchId = 1; batchId < 40; batchId += 1) {
    const settled = ledger.commit(commitOf(batchId), planOf(batchId + 1));
    await Promise.all([settled, facts.assertOwner(), facts.assertOwner()]);
  }
  equal(ledger.status().failure, undefined);
});

test("ledger: an older opening that asks nobody is fenced when its file is full, and spoils nothing before", async () => {
  const disk = new SimulatedDisk();
  const older = await ledgerAfter(disk, 0);
  const newer = await openTestLedger(disk);
  let refused: unknown;
  for (let batchId = 1; batchId < 40; batchId += 1) {
    await newer.plan(planOf(batchId, { epoch: 2 }));
    await newer.commit(commitOf(batchId, { epoch: 2 }));
    if (refused === undefined)
      await older
        .register(`old${batchId}`, bornAtZero)
        .catch((error: unknown) => (refused = error));
  }
  equal(codeOf(refused), "LEDGER_FENCED");
  disk.crash({ keep: "none" });
  const after = await openTestLedger(disk);
  deepEqual(
    [after.recovery.kind, after.pipelines(), after.checkpoint("p")?.committed?.batchId],
    ["recovered", ["p"], 39],
  );
});

test("ledger: after close it takes nothing; close waits for what it took and may be called twice", async () => {
  const disk = new SimulatedDisk();
  const ledger = await ledgerAfter(disk, 0);
  const planned = ledger.plan(planOf(1));
  await Promise.all([ledger.close(), ledger.close()]);
  await planned;
  await rejects(ledger.plan(planOf(2)), { code: "LOG_CLOSED" });
});

test("ledger: more waiting calls than the limit are refused with BUSY", async () => {
  const disk = new SimulatedDisk();
  const ledger = await ledgerAfter(disk, 0);
  await new Promise(setImmediate);
  const hold = disk.hold({ kind: "write" });
  const taken = Array.from({ length: 10_000 }, () => ledger.orphan("p", 1));
  await rejects(ledger.orphan("p", 1), {
    code: "BUSY",
    message: /10000 calls wait for the ledger, limit 10000/,
  });
  hold.release();
  await Promise.all(taken);
});

for (const fileBytes of [4096, SMALL_FILE_BYTES + 1, 2 ** 31]) {
  test(`ledger: files of ${fileBytes} bytes are out of range`, async () => {
    await rejects(openTestLedger(new SimulatedDisk(), { fileBytes }), {
      code: "CONFIG_OUT_OF_RANGE",
    });
  });
}

test("ledger: facts about a log survive, those below the floor are forgotten", async () => {
  const disk = new SimulatedDisk();
  const ledger = await ledgerAfter(disk, 2);
  const log = ledger.facts("log");
  const cut = (
    segmentId: number,
    endOffset: number,
  ): { segmentId: number; endPosition: number; endOffset: number; lastHeaderCrc: number } => ({
    segmentId,
    endPosition: 8192,
    endOffset,
    lastHeaderCrc: 9,
  });
  deepEqual([log.nextOffsetMin, log.segmentIdMax, log.floor], [20, 0, undefined]);
  await Promise.all([
    log.addCut(cut(2, 50)),
    log.addCut(cut(5, 70)),
    log.addGap({ from: 70, to: 90, reason: "lost-tail" }),
    log.addGap({ from: 10, to: 30, reason: "damaged" }),
  ]);
  await log.moveFloor({ segmentId: 4, offset: 25 });
  await log.moveFloor({ segmentId: 3, offset: 5 });
  disk.crash({ keep: "none" });
  const after = (await openTestLedger(disk)).facts("log");
  deepEqual(after.floor, { segmentId: 4, offset: 25 });
  deepEqual(after.cuts, [cut(5, 70)]);
  deepEqual(after.gaps, [
    { from: 25, to: 30, reason: "damaged" },
    { from: 70, to: 90, reason: "lost-tail" },
  ]);
  deepEqual([after.nextOffsetMin, after.segmentIdMax], [90, 5]);
});

test("ledger: the next offset lies behind every open plan, per log", async () => {
  const ledger = await ledgerAfter(new SimulatedDisk(), 1);
  await ledger.plan(planOf(2, { deadLettersFrom: 12 }));
  deepEqual(
    [ledger.facts("log").nextOffsetMin, ledger.facts("dead-letters").nextOffsetMin],
    [20, 12],
  );
});
