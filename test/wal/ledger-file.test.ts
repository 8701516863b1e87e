import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import { ENTRY_HEADER_BYTES } from "../../src/wal/entry.ts";
import { type ReadLedgerFile, readLedgerFile } from "../../src/wal/ledger-file.ts";
import { NEW_LEDGER } from "../../src/wal/ledger-state.ts";
import {
  comparable,
  entriesOf,
  ledgerAfter,
  ledgerFiles,
  openTestLedger,
  planOf,
  stateOf,
} from "../support/ledgers.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";

/** The newest file of a ledger, its entries' positions, and the state after each. */
async function smallLedger(): Promise<{
  bytes: Uint8Array;
  entries: { at: number; end: number; state: string }[];
}> {
  const disk = new SimulatedDisk();
  const ledger = await ledgerAfter(disk, 0);
  const states = [stateOf(ledger)];
  for (let batchId = 1; batchId <= 3; batchId += 1) {
    await (batchId === 1
      ? ledger.plan(planOf(1))
      : ledger.commit(
          { pipeline: "p", batchId: batchId - 1, epoch: 1, tokens: {} },
          planOf(batchId),
        ));
    states.push(stateOf(ledger));
  }
  const path = ledgerFiles(disk)[0] ?? "";
  const bytes = disk.contents(path);
  return {
    bytes,
    entries: entriesOf(bytes)
      .slice(1)
      .map((entry, index) => ({ ...entry, state: states[index] ?? "" })),
  };
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
    ok(
      kind === "blank" || kind === "unreadable" || cut >= 4096 + ENTRY_HEADER_BYTES,
      `${kind} at ${cut}`,
    );
  }
});

test("ledger: cut at any block around its last entries, it opens with what is whole", async () => {
  const { bytes, entries } = await smallLedger();
  for (const entry of entries) {
    for (const cut of [entry.at - 1, entry.at, entry.at + 1, entry.end - 1, entry.end]) {
      const disk = new SimulatedDisk();
      disk.put("/data/ledger/ledger-00000001.hfl", bytes.subarray(0, cut));
      const ledger = await openTestLedger(disk);
      const expected = entries.findLast(({ end }) => end <= cut)?.state ?? comparable(NEW_LEDGER);
      deepEqual(
        [stateOf(ledger), ledger.epoch, ledger.recovery.kind],
        [expected, 2, "recovered"],
        `cut at ${cut}`,
      );
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
    deepEqual(
      [read.kind, read.kind === "unreadable" && read.factCount],
      ["unreadable", 6],
      `bit ${bit}`,
    );
  }
});
