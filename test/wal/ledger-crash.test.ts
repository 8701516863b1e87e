import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { codeOf } from "../../src/errors.ts";
import type { OpenedLedger } from "../../src/wal/ledger.ts";
import type { LedgerState } from "../../src/wal/ledger-facts.ts";
import { endsAfter } from "../../src/contract/log.ts";
import { applyFacts, NEW_LEDGER, standing } from "../../src/wal/ledger-state.ts";
import {
  comparable,
  entriesOf,
  ledgerAfter,
  ledgerFiles,
  openTestLedger,
  pipelinesOf,
  planOf,
  stateOf,
} from "../support/ledgers.ts";
import { type FaultEffect, SimulatedDisk, POWER_OFF } from "../../src/testing/disk.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";

/** What a run did: states in the order in which facts were submitted, and how many of them were acknowledged. */
interface Run {
  readonly states: string[];
  acknowledged: number;
  error: unknown;
}

/** Registers, plans and commits until it is done or a call fails: enough for three files. */
async function work(
  ledger: OpenedLedger,
  run: Run,
  batches: { readonly from: number; readonly to: number },
): Promise<void> {
  let state = pipelinesOf(ledger);
  const step = async (
    facts: Parameters<typeof applyFacts>[1],
    call: () => Promise<void>,
  ): Promise<void> => {
    state = applyFacts(state, facts);
    run.states.push(comparable(state));
    await call();
    run.acknowledged = run.states.length;
  };
  const { epoch } = ledger;
  if (state.pipelines.size === 0) {
    const born = { writerId: "w", start: { log: { "0": 0 } } };
    await step([{ fact: "register", pipeline: "p", ...born }], () => ledger.register("p", born));
    await step([{ fact: "plan", plan: planOf(1, { epoch }) }], () =>
      ledger.plan(planOf(1, { epoch })),
    );
  }
  for (let batchId = batches.from; batchId <= batches.to; batchId += 1) {
    const commit = { pipeline: "p", batchId, epoch, tokens: { s: Uint8Array.of(batchId) } };
    const plan = planOf(batchId + 1, { epoch });
    const checkpoint = state.pipelines.get("p");
    const ends =
      checkpoint?.open === undefined ? {} : endsAfter(standing(checkpoint), checkpoint.open.ranges);
    await step(
      [
        { fact: "commit", commit, ends },
        { fact: "plan", plan },
      ],
      () => ledger.commit(commit, plan),
    );
  }
}

/** Opens and works on a disk with a fault set; what the fault does is in the run. */
async function runWith(disk: SimulatedDisk, batchCount: number): Promise<Run> {
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
async function assertRecovered(disk: SimulatedDisk, run: Run, title: string): Promise<void> {
  const after = await openTestLedger(disk);
  const found = run.states.lastIndexOf(stateOf(after));
  ok(
    found >= run.acknowledged - 1,
    `${title}: state ${found} of ${run.states.length}, ${run.acknowledged} acknowledged`,
  );
  ok(
    after.recovery.kind === "recovered" ||
      (after.recovery.kind === "new" && run.acknowledged === 1),
    title,
  );
  const again: Run = { states: [stateOf(after)], acknowledged: 1, error: undefined };
  const committed = after.checkpoint("p")?.committed?.batchId ?? 0;
  if (after.checkpoint("p")?.open !== undefined)
    await work(after, again, { from: committed + 1, to: committed + 2 });
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
    const disk = new SimulatedDisk();
    disk.inject({ what: "power-off", nth });
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
  const disk = new SimulatedDisk();
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
      const disk = new SimulatedDisk();
      disk.inject({ what: "error", nth, code, effect });
      const run = await runWith(disk, BATCHES);
      if (run.error === undefined) survived += 1;
      else
        ok(["LOG_FAILED", code].includes(codeOf(run.error)), `call ${nth}: ${codeOf(run.error)}`);
      disk.crash({ keep: "none" });
      await assertRecovered(disk, run, `call ${nth}`);
    }
    ok(survived > calls / 2, `${survived} of ${calls}`);
  });
}

test("ledger: a failed or short write goes once to another file, and the caller never knows", async () => {
  for (const set of [
    (disk: SimulatedDisk): void =>
      disk.inject({ what: "error", kind: "write", nth: 3, code: "EIO", effect: "cache" }),
    (disk: SimulatedDisk): void => disk.inject({ what: "short-write", nth: 3, bytes: 100 }),
  ]) {
    const disk = new SimulatedDisk();
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

test("ledger: the power goes during any call of an opening, and nothing of the last life is lost", async () => {
  const before = new SimulatedDisk();
  const ledger = await ledgerAfter(before, 20);
  const expected = stateOf(ledger);
  before.crash({ keep: "none" });
  const counting = before.clone();
  await (await openTestLedger(counting)).close();
  const calls = counting.callCount();
  ok(calls > 10);
  for (let nth = 1; nth <= calls; nth += 1) {
    const disk = before.clone();
    disk.inject({ what: "power-off", nth });
    await openTestLedger(disk).then(
      (opened) => opened.close(),
      () => undefined,
    );
    for (const seed of [1, 2, 3, 4]) {
      const random = createSeededRandom(nth * 10 + seed);
      const after = disk.clone();
      after.crash({ keep: seed === 1 ? "none" : seed === 2 ? "all" : () => random.chance(0.5) });
      const opened = await openTestLedger(after);
      equal(stateOf(opened), expected, `call ${nth}, seed ${seed}`);
      equal(opened.recovery.kind, "recovered");
      await opened.close();
    }
  }
});

test("ledger: one failed write to any of its files, the first or a later one, stops nothing", async () => {
  for (let write = 0; write < 40; write += 1) {
    const disk = new SimulatedDisk();
    await (await ledgerAfter(disk, 1)).close();
    const fileNumber = 2 + Math.floor(write / 5);
    const path = `ledger-0000000${fileNumber}`;
    disk.inject({
      what: "error",
      kind: "write",
      path,
      nth: 1 + (write % 5),
      code: "EIO",
      effect: "cache",
    });
    const ledger = await openTestLedger(disk);
    for (let batchId = 2; batchId < 40; batchId += 1) {
      await ledger.plan(planOf(batchId, { epoch: 2 }));
      await ledger.commit({ pipeline: "p", batchId, epoch: 2, tokens: {} });
    }
    equal(ledger.status().failure, undefined, `write ${write}`);
    await ledger.close();
    equal((await openTestLedger(disk)).checkpoint("p")?.committed?.batchId, 39);
  }
});

test("ledger: two failed writes in a row end it for good; the next opening decides", async () => {
  const disk = new SimulatedDisk();
  const ledger = await ledgerAfter(disk, 1);
  await new Promise(setImmediate);
  disk.inject({ what: "error", kind: "write", nth: 1, code: "EIO" });
  disk.inject({ what: "error", kind: "write", nth: 2, code: "EIO" });
  const outcome = await ledger.plan(planOf(2)).catch((error: unknown) => error);
  equal(codeOf(outcome), "LOG_FAILED");
  equal(ledger.checkpoint("p")?.open, undefined);
  equal(codeOf(await ledger.plan(planOf(2)).catch((error: unknown) => error)), "LOG_FAILED");
  await ledger.close();
  equal((await openTestLedger(disk)).checkpoint("p")?.committed?.batchId, 1);
});

test("ledger: damage that comes to rest is reported at the next opening, and not again", async () => {
  const disk = new SimulatedDisk();
  const ledger = await ledgerAfter(disk, 3);
  const path = ledgerFiles(disk)[0] ?? "";
  const entry = entriesOf(disk.contents(path))[3];
  ok(entry !== undefined);
  await ledger.close();
  disk.flipBit(path, entry.at + 80, 3);
  const damaged = await openTestLedger(disk);
  deepEqual(
    [damaged.recovery, damaged.checkpoint("p")?.committed?.batchId],
    [{ kind: "damaged", lostFacts: 1 }, 3],
  );
  ok(ledgerFiles(disk).includes(path), "kept for a look");
  await damaged.close();
  deepEqual(
    [(await openTestLedger(disk)).recovery.kind, ledgerFiles(disk).includes(path)],
    ["recovered", false],
  );
});

type Command =
  | { readonly kind: "batch" }
  | { readonly kind: "crash"; readonly seed: number }
  | { readonly kind: "gap"; readonly from: number }
  | { readonly kind: "register" };

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
      const disk = new SimulatedDisk();
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
async function carryOut(
  command: Command,
  name: string,
  ledger: OpenedLedger,
  state: LedgerState,
): Promise<LedgerState> {
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
    case "batch":
      return pipeline === undefined ? state : oneBatch(pipeline, ledger, state);
  }
}

async function oneBatch(
  pipeline: string,
  ledger: OpenedLedger,
  state: LedgerState,
): Promise<LedgerState> {
  const committed = state.pipelines.get(pipeline)?.committed;
  const batchId = (committed?.batchId ?? 0) + 1;
  const from = committed?.ends["log"]?.["0"] ?? 5;
  const { epoch } = ledger;
  const plan = planOf(batchId, { pipeline, epoch, ranges: { log: { "0": [from, from + 3] } } });
  const commit = { pipeline, batchId, epoch, tokens: {} };
  await Promise.all([ledger.plan(plan), ledger.commit(commit)]);
  const ends = { log: { "0": from + 3 } };
  return applyFacts(state, [
    { fact: "plan", plan },
    { fact: "commit", commit, ends },
  ]);
}

test("memory disk: the power is off for good until the crash is over", async () => {
  const disk = new SimulatedDisk();
  const ledger = await openTestLedger(disk);
  disk.powerOff();
  const outcome = await ledger
    .register("p", { writerId: "w", start: {} })
    .catch((error: unknown) => error);
  equal(codeOf(outcome), "LOG_FAILED");
  equal(codeOf(outcome instanceof Error ? outcome.cause : undefined), POWER_OFF);
});
