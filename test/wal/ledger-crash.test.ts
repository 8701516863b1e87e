import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { codeOf } from "../../src/errors.ts";
import type { OpenedLedger } from "../../src/wal/ledger.ts";
import { decodeEntryHeader, ENTRY_HEADER_BYTES, entryDiskBytes } from "../../src/wal/entry.ts";
import { decodeSegmentHeader } from "../../src/wal/format.ts";
import { encodeSnapshot, type LedgerState } from "../../src/wal/ledger-facts.ts";
import { type ReadLedgerFile, readLedgerFile } from "../../src/wal/ledger-file.ts";
import { applyFacts, endsAfter, NEW_LEDGER } from "../../src/wal/ledger-state.ts";
import { ledgerAfter, ledgerFiles, openTestLedger, planOf } from "../support/ledgers.ts";
import { type FaultEffect, MemoryDisk, POWER_OFF } from "../support/memory-disk.ts";
import { createSeededRandom } from "../support/seeded-random.ts";

/** State as bytes, without what every opening changes. */
function comparable(state: LedgerState): string {
  return Buffer.from(encodeSnapshot({ ...state, epoch: 0, factCount: 0, identity: NEW_LEDGER.identity })).toString();
}

function stateOf(ledger: OpenedLedger): string {
  const { floor, cuts, gaps } = ledger.facts("log");
  const isEmpty = floor === undefined && cuts.length + gaps.length === 0;
  return comparable({ ...pipelinesOf(ledger), logs: new Map(isEmpty ? [] : [["log", { floor, cuts, gaps }]]) });
}

/** State of a ledger without what it knows of logs. */
function pipelinesOf(ledger: OpenedLedger): LedgerState {
  const pipelines = ledger.pipelines().flatMap((name) => {
    const checkpoint = ledger.checkpoint(name);
    return checkpoint === undefined ? [] : [[name, checkpoint] as const];
  });
  return { ...NEW_LEDGER, epoch: ledger.epoch, pipelines: new Map(pipelines) };
}

/** The newest file of a ledger, its entries' positions, and the state after each. */
async function smallLedger(): Promise<{ bytes: Uint8Array; entries: { at: number; end: number; state: string }[] }> {
  const disk = new MemoryDisk();
  const ledger = await ledgerAfter(disk, 0);
  const states = [stateOf(ledger)];
  for (let batchId = 1; batchId <= 3; batchId += 1) {
    await (batchId === 1 ? ledger.plan(planOf(1)) : ledger.commit({ pipeline: "p", batchId: batchId - 1, epoch: 1, tokens: {} }, planOf(batchId)));
    states.push(stateOf(ledger));
  }
  const path = ledgerFiles(disk)[0] ?? "";
  const bytes = disk.contents(path);
  return { bytes, entries: entriesOf(bytes).slice(1).map((entry, index) => ({ ...entry, state: states[index] ?? "" })) };
}

/** Positions of the entries of a ledger file, the snapshot first. */
function entriesOf(bytes: Uint8Array): { at: number; end: number }[] {
  const decoded = decodeSegmentHeader(bytes);
  const salt = decoded.kind === "valid" ? decoded.header.salt : 0;
  const entries: { at: number; end: number }[] = [];
  for (let at = 4096; at < bytes.length; ) {
    const header = decodeEntryHeader(bytes, at, salt);
    if (header === undefined) break;
    entries.push({ at, end: at + header.entryBytes });
    at += entryDiskBytes(header.entryBytes);
  }
  return entries;
}

function readState(read: ReadLedgerFile): string {
  return read.kind === "ledger" ? comparable(read.state) : read.kind;
}

test("ledger file: cut at every byte, it is the facts of the entries that are whole, and nothing counts as lost", async () => {
  const { bytes, entries } = await smallLedger();
  equal(entries.length, 4);
  for (let cut = entries[0]?.end ?? 0; cut <= (entries[3]?.end ?? 0); cut += 1) {
    const read = readLedgerFile(bytes.subarray(0, cut), 1, undefined);
    equal(readState(read), entries.findLast((entry) => entry.end <= cut)?.state, `cut at ${cut}`);
    equal(read.kind === "ledger" && read.lostFacts, 0, `cut at ${cut}`);
  }
});

test("ledger file: cut at every byte of its beginning, it is blank or says that it cannot be read", async () => {
  const { bytes, entries } = await smallLedger();
  for (let cut = 0; cut < (entries[0]?.at ?? 0) && cut < 5_000; cut += 1) {
    const { kind } = readLedgerFile(bytes.subarray(0, cut), 1, undefined);
    ok(kind === "blank" || kind === "unreadable" || cut >= 4096 + ENTRY_HEADER_BYTES, `${kind} at ${cut}`);
  }
});

test("ledger: cut at any block around its last entries, it opens with what is whole", async () => {
  const { bytes, entries } = await smallLedger();
  for (const entry of entries) {
    for (const cut of [entry.at - 1, entry.at, entry.at + 1, entry.end - 1, entry.end]) {
      const disk = new MemoryDisk();
      disk.put("/data/ledger/ledger-00000001.hfl", bytes.subarray(0, cut));
      const ledger = await openTestLedger(disk);
      const expected = entries.findLast(({ end }) => end <= cut)?.state ?? comparable(NEW_LEDGER);
      deepEqual([stateOf(ledger), ledger.epoch, ledger.recovery.kind], [expected, 2, "recovered"], `cut at ${cut}`);
    }
  }
});

test("ledger file: any flipped bit of a middle entry costs that entry alone, and is counted", async () => {
  const { bytes, entries } = await smallLedger();
  const middle = entries[2];
  const last = entries[3];
  ok(middle !== undefined && last !== undefined);
  for (let bit = middle.at * 8; bit < middle.end * 8; bit += 1) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const read = readLedgerFile(flipped, 1, undefined);
    ok(read.kind === "ledger");
    equal(read.lostFacts, 2, `bit ${bit}`);
    // The commit behind the damage is absolute: where the pipeline stands is known again.
    equal(comparable(read.state), last.state, `bit ${bit}`);
  }
});

test("ledger file: any flipped bit of the last entry ends the ledger before it", async () => {
  const { bytes, entries } = await smallLedger();
  const [before, last] = [entries[2], entries[3]];
  ok(before !== undefined && last !== undefined);
  for (let bit = last.at * 8; bit < last.end * 8; bit += 1) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    equal(readState(readLedgerFile(flipped, 1, undefined)), before.state, `bit ${bit}`);
  }
});

test("ledger file: any flipped bit of the snapshot makes it unreadable, never another state", async () => {
  const { bytes, entries } = await smallLedger();
  const start = entriesOf(bytes)[0];
  ok(start !== undefined && entries.length > 0);
  for (let bit = start.at * 8; bit < start.end * 8; bit += 1) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const read = readLedgerFile(flipped, 1, undefined);
    deepEqual([read.kind, read.kind === "unreadable" && read.factCount], ["unreadable", 6], `bit ${bit}`);
  }
});

/** What a run did: states in the order in which facts were submitted, and how many of them were acknowledged. */
interface Run {
  readonly states: string[];
  acknowledged: number;
  error: unknown;
}

/** Registers, plans and commits until it is done or a call fails: enough for three files. */
async function work(ledger: OpenedLedger, run: Run, batches: { readonly from: number; readonly to: number }): Promise<void> {
  let state = pipelinesOf(ledger);
  const step = async (facts: Parameters<typeof applyFacts>[1], call: () => Promise<void>): Promise<void> => {
    state = applyFacts(state, facts);
    run.states.push(comparable(state));
    await call();
    run.acknowledged = run.states.length;
  };
  const { epoch } = ledger;
  if (state.pipelines.size === 0) {
    const born = { writerId: "w", start: { log: { "0": 0 } } };
    await step([{ fact: "register", pipeline: "p", ...born }], () => ledger.register("p", born));
    await step([{ fact: "plan", plan: planOf(1, { epoch }) }], () => ledger.plan(planOf(1, { epoch })));
  }
  for (let batchId = batches.from; batchId <= batches.to; batchId += 1) {
    const commit = { pipeline: "p", batchId, epoch, tokens: { s: Uint8Array.of(batchId) } };
    const plan = planOf(batchId + 1, { epoch });
    const checkpoint = state.pipelines.get("p");
    const ends = checkpoint?.open === undefined ? {} : endsAfter(checkpoint, checkpoint.open);
    await step([{ fact: "commit", commit, ends }, { fact: "plan", plan }], () => ledger.commit(commit, plan));
  }
}

/** Opens and works on a disk with a fault set; what the fault does is in the run. */
async function runWith(disk: MemoryDisk, batchCount: number): Promise<Run> {
  const run: Run = { states: [comparable(NEW_LEDGER)], acknowledged: 1, error: undefined };
  let ledger: OpenedLedger | undefined;
  try {
    ledger = await openTestLedger(disk);
    await work(ledger, run, { from: 1, to: batchCount });
  } catch (error) {
    run.error = error;
  }
  await ledger?.close();
  return run;
}

/** After the power came back: a state that was submitted, not before the last one that was acknowledged. */
async function assertRecovered(disk: MemoryDisk, run: Run, title: string): Promise<void> {
  const after = await openTestLedger(disk);
  const found = run.states.lastIndexOf(stateOf(after));
  ok(found >= run.acknowledged - 1, `${title}: state ${found} of ${run.states.length}, ${run.acknowledged} acknowledged`);
  ok(after.recovery.kind === "recovered" || (after.recovery.kind === "new" && run.acknowledged === 1), title);
  const again: Run = { states: [stateOf(after)], acknowledged: 1, error: undefined };
  const committed = after.checkpoint("p")?.committed?.batchId ?? 0;
  if (after.checkpoint("p")?.open !== undefined) await work(after, again, { from: committed + 1, to: committed + 2 });
  await after.close();
  const last = await openTestLedger(disk);
  equal(stateOf(last), again.states.at(-1), title);
  await last.close();
}

const BATCHES = 30;

test("ledger: the power goes during any call, any part of what was not synced is kept", async () => {
  const calls = await countCalls();
  ok(calls > 60);
  for (let nth = 1; nth <= calls; nth += 1) {
    const disk = new MemoryDisk();
    disk.powerOffAt({ nth });
    const run = await runWith(disk, BATCHES);
    // A call that only reads or closes may be the one: then nothing fails before the next.
    ok(run.error !== undefined || nth > calls - 5, `call ${nth}`);
    for (const seed of [1, 2, 3]) {
      const random = createSeededRandom(nth * 10 + seed);
      const after = disk.clone();
      after.crash({ keep: seed === 1 ? "none" : seed === 2 ? "all" : () => random.chance(0.5) });
      await assertRecovered(after, run, `call ${nth}, seed ${seed}`);
    }
  }
});

async function countCalls(): Promise<number> {
  const disk = new MemoryDisk();
  const run = await runWith(disk, BATCHES);
  equal(run.error, undefined);
  return disk.callCount();
}

const faults: readonly { readonly code: string; readonly effect: FaultEffect }[] = [
  { code: "EIO", effect: "none" },
  { code: "EIO", effect: "cache" },
  { code: "EIO", effect: "disk" },
  { code: "ENOSPC", effect: "none" },
];
for (const { code, effect } of faults) {
  test(`ledger: any call fails once with ${code} (effect: ${effect}); nothing acknowledged is lost`, async () => {
    const calls = await countCalls();
    let survived = 0;
    for (let nth = 1; nth <= calls; nth += 1) {
      const disk = new MemoryDisk();
      disk.failCall({ nth, code, effect });
      const run = await runWith(disk, BATCHES);
      if (run.error === undefined) survived += 1;
      else ok(["LOG_FAILED", code].includes(codeOf(run.error)), `call ${nth}: ${String(run.error)}`);
      disk.crash({ keep: "none" });
      await assertRecovered(disk, run, `call ${nth}`);
    }
    ok(survived > calls / 2, `${survived} of ${calls}`);
  });
}

test("ledger: a failed or short write goes once to another file, and the caller never knows", async () => {
  for (const set of [
    (disk: MemoryDisk): void => disk.failCall({ kind: "write", nth: 3, code: "EIO", effect: "cache" }),
    (disk: MemoryDisk): void => disk.shortWrite({ nth: 3, bytes: 100 }),
  ]) {
    const disk = new MemoryDisk();
    const ledger = await ledgerAfter(disk, 2);
    await new Promise(setImmediate);
    const before = ledgerFiles(disk);
    set(disk);
    for (let batchId = 3; batchId <= 6; batchId += 1) {
      await ledger.plan(planOf(batchId));
      await ledger.commit({ pipeline: "p", batchId, epoch: 1, tokens: {} });
    }
    await ledger.close();
    ok(!ledgerFiles(disk).includes(before[0] ?? ""), "the file that failed is gone");
    disk.crash({ keep: "none" });
    equal((await openTestLedger(disk)).checkpoint("p")?.committed?.batchId, 6);
  }
});

test("ledger: two failed writes in a row end it for good; the next opening decides", async () => {
  const disk = new MemoryDisk();
  const ledger = await ledgerAfter(disk, 1);
  await new Promise(setImmediate);
  disk.failCall({ kind: "write", nth: 1, code: "EIO" });
  disk.failCall({ kind: "write", nth: 2, code: "EIO" });
  const outcome = await ledger.plan(planOf(2)).catch((error: unknown) => error);
  equal(codeOf(outcome), "LOG_FAILED");
  equal(ledger.checkpoint("p")?.open, undefined);
  equal(codeOf(await ledger.plan(planOf(2)).catch((error: unknown) => error)), "LOG_FAILED");
  await ledger.close();
  equal((await openTestLedger(disk)).checkpoint("p")?.committed?.batchId, 1);
});

test("ledger: damage that comes to rest is reported at the next opening, and not again", async () => {
  const disk = new MemoryDisk();
  const ledger = await ledgerAfter(disk, 3);
  const path = ledgerFiles(disk)[0] ?? "";
  const entry = entriesOf(disk.contents(path))[3];
  ok(entry !== undefined);
  await ledger.close();
  disk.flipBit(path, entry.at + 80, 3);
  const damaged = await openTestLedger(disk);
  deepEqual([damaged.recovery, damaged.checkpoint("p")?.committed?.batchId], [{ kind: "damaged", lostFacts: 1 }, 3]);
  ok(ledgerFiles(disk).includes(path), "kept for a look");
  await damaged.close();
  deepEqual([(await openTestLedger(disk)).recovery.kind, ledgerFiles(disk).includes(path)], ["recovered", false]);
});

type Command = { readonly kind: "batch" } | { readonly kind: "crash"; readonly seed: number } | { readonly kind: "gap"; readonly from: number } | { readonly kind: "register" };

const commands = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Command>({ kind: "batch" }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const), seed: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("gap" as const), from: fc.nat(1_000) }) },
    { weight: 1, arbitrary: fc.constant<Command>({ kind: "register" }) },
  ),
  { maxLength: 60 },
);

test("ledger: after any commands and power cuts it is the fold of its facts", async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (list) => {
      const disk = new MemoryDisk();
      let ledger = await openTestLedger(disk);
      let state: LedgerState = { ...NEW_LEDGER, epoch: ledger.epoch };
      for (const [index, command] of list.entries()) {
        state = await carryOut(command, `p${index}`, ledger, state);
        if (command.kind === "crash") {
          const random = createSeededRandom(command.seed);
          disk.crash({ keep: () => random.chance(0.5) });
          ledger = await openTestLedger(disk);
          state = { ...state, epoch: ledger.epoch };
        }
        equal(stateOf(ledger), comparable(state));
      }
    }),
    { numRuns: 60 },
  );
});

/** Does one command with the ledger and with the model. */
async function carryOut(command: Command, name: string, ledger: OpenedLedger, state: LedgerState): Promise<LedgerState> {
  const pipeline = ledger.pipelines().at(-1);
  switch (command.kind) {
    case "crash":
      return state;
    case "gap": {
      const gap = { from: command.from, to: command.from + 7, reason: "damaged" as const };
      await ledger.facts("log").addGap(gap);
      return applyFacts(state, [{ fact: "gap", log: "log", gap }]);
    }
    case "register": {
      const born = { writerId: `w-${name}`, start: { log: { "0": 5 } } };
      await ledger.register(name, born);
      return applyFacts(state, [{ fact: "register", pipeline: name, ...born }]);
    }
    case "batch": {
      if (pipeline === undefined) return state;
      const checkpoint = state.pipelines.get(pipeline);
      const batchId = (checkpoint?.committed?.batchId ?? 0) + 1;
      const from = checkpoint?.committed?.ends["log"]?.["0"] ?? 5;
      const plan = planOf(batchId, { pipeline, epoch: ledger.epoch, ranges: { log: { "0": [from, from + 3] } } });
      const commit = { pipeline, batchId, epoch: ledger.epoch, tokens: {} };
      await Promise.all([ledger.plan(plan), ledger.commit(commit)]);
      return applyFacts(state, [{ fact: "plan", plan }, { fact: "commit", commit, ends: { log: { "0": from + 3 } } }]);
    }
  }
}

test("memory disk: the power is off for good until the crash is over", async () => {
  const disk = new MemoryDisk();
  const ledger = await openTestLedger(disk);
  disk.powerOff();
  const outcome = await ledger.register("p", { writerId: "w", start: {} }).catch((error: unknown) => error);
  equal(codeOf(outcome), "LOG_FAILED");
  equal(codeOf(outcome instanceof Error ? outcome.cause : undefined), POWER_OFF);
});
