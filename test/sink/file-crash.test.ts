/**
 * Crash points of the file sink: the power goes at every call between opening, writing, commit and rename, and what
 * was not synced is kept, lost, or kept in part. After reopening with the newest commit every committed row must be
 * there once, in finished and open parts together.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { SinkSession } from "../../src/contract/sink.ts";
import { codeOf } from "../../src/errors.ts";
import { jsonLines } from "../../src/sink/file.ts";
import { type Keep, SimulatedDisk, POWER_OFF } from "../../src/testing/disk.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { type ChunkInput, jsonChunk, mappedChunk, SinkPipeline } from "../support/sink-batch.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const sink = jsonLines("out", { directory: "/data/out", partBytesMax: 1_024, partAgeMsMax: 1_000 });
const signal: AbortSignal = new AbortController().signal;

/** Row counts of the batches; after a negative one time passes, so that its part is finished by age. */
const BATCHES: readonly number[] = [3, -4, 0, 80, 2, 60, -1, 5];

/** What a pipeline goes through until the power goes: batches that are not committed yet, then the end. */
class Life {
  readonly disk: SimulatedDisk;
  readonly pipeline: SinkPipeline;
  /** Rows of committed batches. */
  readonly committed: number[] = [];
  #batch = 0;

  constructor(disk: SimulatedDisk) {
    this.disk = disk;
    this.pipeline = new SinkPipeline(disk, new VirtualClock());
  }

  /** Runs all batches that are not committed, and flushes at the end. */
  async run(): Promise<void> {
    this.pipeline.epoch++;
    const session = await this.pipeline.open(sink);
    try {
      while (this.#batch < BATCHES.length) await this.#runBatch(session, BATCHES[this.#batch] ?? 0);
      await session.flush?.();
    } finally {
      // As a process that dies: the disk refuses everything anyway.
      await session.close(signal).catch(() => undefined);
    }
  }

  async #runBatch(session: SinkSession<never>, count: number): Promise<void> {
    const first = this.pipeline.nextOffset;
    const ids = Array.from({ length: Math.abs(count) }, (_, index) => first + index);
    const batch = this.pipeline.batch(chunksOf(ids));
    const result = await session.write(batch, signal);
    this.pipeline.commit(batch, result);
    this.committed.push(...ids);
    this.#batch++;
    await session.committed?.(batch.batchId);
    if (count < 0) await this.pipeline.clock.advance(1_000);
    if (this.pipeline.failures.length > 0) throw this.pipeline.failures[0];
  }

  /** Ids in all parts, in the order of names: open parts (which begin with a dot) last. */
  ids(): number[] {
    const paths = this.disk.paths().filter((path) => path.includes("jsonl"));
    const finished = paths.filter((path) => path.endsWith(".jsonl"));
    const open = paths.filter((path) => path.endsWith(".open"));
    return [...finished, ...open].flatMap((path) =>
      idsIn(Buffer.from(this.disk.contents(path)).toString()),
    );
  }
}

function chunksOf(ids: readonly number[]): readonly ChunkInput[] {
  const half = Math.ceil(ids.length / 2);
  const rowsOf = (part: readonly number[]): { id: number }[] => part.map((id) => ({ id }));
  return [jsonChunk(rowsOf(ids.slice(0, half))), mappedChunk(rowsOf(ids.slice(half)))].filter(
    ({ texts }) => texts.length > 0,
  );
}

function idsIn(text: string): number[] {
  const ids: number[] = [];
  for (const line of text.split("\n")) if (line !== "") ids.push(JSON.parse(line).id);
  return ids;
}

async function callCount(): Promise<number> {
  const disk = new SimulatedDisk();
  await new Life(disk).run();
  return disk.callCount();
}

async function powerCutAt(call: number, keep: Keep): Promise<string> {
  const disk = new SimulatedDisk();
  const life = new Life(disk);
  disk.inject({ what: "power-off", nth: call });
  const died = await life.run().then(
    () => false,
    (cause: unknown) => {
      // The sink's own error has the disk's as its cause.
      const first = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause;
      equal(codeOf(first), POWER_OFF, String(cause));
      return true;
    },
  );
  const committed = [...life.committed];
  disk.crash({ keep });
  life.pipeline.failures.length = 0;
  const session = await life.pipeline.open(sink);
  deepEqual(life.ids(), committed, `right after reopening, call ${call}`);
  await session.close(signal);
  await life.run();
  deepEqual(life.ids(), life.committed, `at the end, call ${call}`);
  ok(life.disk.paths().every((path) => !path.endsWith(".open")));
  return died ? "died" : "survived";
}

const EXPECTED_PARTS = [
  "0000000000000000",
  "0000000000000007",
  "0000000000000149",
  "0000000000000150",
];

test("jsonLines: the run without a fault finishes parts by size, by age and at stop", async () => {
  const life = new Life(new SimulatedDisk());
  await life.run();
  const names = life.disk.paths().filter((path) => path.endsWith(".jsonl"));
  deepEqual(
    names.map((path) => path.slice("/data/out/".length, -".jsonl".length)),
    EXPECTED_PARTS,
  );
  deepEqual(life.ids(), life.committed);
});

for (const keep of ["all", "none"] as const) {
  test(`jsonLines: a power cut at any call that keeps ${keep} of what was not synced loses and repeats nothing`, async () => {
    const calls = await callCount();
    ok(calls > 80, `${calls} calls`);
    const outcomes: string[] = [];
    for (let call = 1; call <= calls; call++) outcomes.push(await powerCutAt(call, keep));
    ok(outcomes.filter((outcome) => outcome === "died").length > calls * 0.9);
  });
}

test("jsonLines: a power cut at any call that keeps some of what was not synced loses and repeats nothing", async () => {
  const calls = await callCount();
  const random = createSeededRandom(20_240_501);
  for (let call = 1; call <= calls; call++) {
    for (let round = 0; round < 3; round++) await powerCutAt(call, () => random.chance(0.5));
  }
});

test("jsonLines: any single call that fails loses and repeats nothing", async () => {
  const calls = await callCount();
  for (let call = 1; call <= calls; call++) {
    for (const effect of ["none", "cache"] as const) {
      const disk = new SimulatedDisk();
      const life = new Life(disk);
      disk.inject({ what: "error", nth: call, code: "EIO", effect });
      await life.run().catch(() => undefined);
      life.pipeline.failures.length = 0;
      await life.run();
      deepEqual(life.ids(), life.committed, `EIO of effect ${effect} at call ${call}`);
    }
  }
});
