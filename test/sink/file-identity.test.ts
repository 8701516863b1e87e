import { deepEqual, equal, rejects } from "node:assert/strict";
import { test } from "node:test";
import { jsonLines } from "../../src/sink/file.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
import { mappedChunk, SinkPipeline } from "../support/sink-batch.ts";

const OPEN = "/out/.out.jsonl.open";
const signal: AbortSignal = new AbortController().signal;
const sink = jsonLines("out", { directory: "/out", partBytesMax: 1_024 });

function text(disk: SimulatedDisk, path: string): string {
  return Buffer.from(disk.contents(path)).toString();
}

function parts(disk: SimulatedDisk): readonly string[] {
  return disk.paths().filter((path) => path.includes("jsonl"));
}

/** A pipeline that has written two batches: one part is finished, one is open. */
async function used(): Promise<{ disk: SimulatedDisk; pipeline: SinkPipeline }> {
  const disk = new SimulatedDisk();
  const pipeline = new SinkPipeline(disk);
  const session = await pipeline.open(sink);
  await pipeline.run(session, [mappedChunk([{ pad: "x".repeat(2_000) }])]);
  await pipeline.run(session, [mappedChunk(["open"])]);
  await session.close(signal);
  deepEqual(parts(disk), [OPEN, "/out/0000000000000000.jsonl"]);
  return { disk, pipeline };
}

test("jsonLines: a new log beside kept output leaves the old parts alone and says so", async () => {
  const { disk } = await used();
  const [oldOpen, oldPart] = parts(disk).map((path) => text(disk, path));
  const fresh = new SinkPipeline(disk);
  fresh.writerId = "fedcba9876543210";
  for (let life = 0; life < 2; life++) {
    const session = await fresh.open(sink);
    await fresh.run(session, [mappedChunk([{ pad: "y".repeat(2_000) }])]);
    await fresh.run(session, [mappedChunk(["fresh"])]);
    await session.close(signal);
  }
  equal(fresh.warnings.length, 1);
  equal(text(disk, OPEN), oldOpen);
  equal(text(disk, "/out/0000000000000000.jsonl"), oldPart);
  deepEqual(parts(disk), [
    "/out/.out-fedcba98.jsonl.open",
    OPEN,
    "/out/0000000000000000-fedcba98.jsonl",
    "/out/0000000000000000.jsonl",
    "/out/0000000000000001.jsonl",
  ]);
});

test("jsonLines: the old writer finds that another one took its directory", async () => {
  const { disk, pipeline } = await used();
  const fresh = new SinkPipeline(disk);
  fresh.writerId = "fedcba9876543210";
  await (await fresh.open(sink)).close(signal);
  await rejects(pipeline.open(sink), { code: "SINK_CONFLICT" });
});

test("jsonLines: a writer that lost its directory while it runs does not rename the other one's part", async () => {
  const { disk, pipeline } = await used();
  const running = await pipeline.open(sink);
  const fresh = new SinkPipeline(disk);
  fresh.writerId = "fedcba9876543210";
  await (await fresh.open(sink)).close(signal);
  await rejects(async () => running.flush?.(), { code: "SINK_CONFLICT" });
  equal(text(disk, OPEN), '"open"\n');
  await running.close(signal);
});

test("jsonLines: an older copy of the data directory is refused by its epoch", async () => {
  const { disk, pipeline } = await used();
  pipeline.epoch = 5;
  await (await pipeline.open(sink)).close(signal);
  pipeline.epoch = 4;
  await rejects(pipeline.open(sink), { code: "SINK_CONFLICT" });
  deepEqual(parts(disk).length, 2);
});

test("jsonLines: a copy of the data directory is refused when the original has finished newer parts", async () => {
  const { disk, pipeline } = await used();
  const copy = new SinkPipeline(disk);
  Object.assign(copy, {
    lastToken: pipeline.lastToken,
    lastBatchId: pipeline.lastBatchId,
    lastEnds: pipeline.lastEnds,
  });
  const session = await pipeline.open(sink);
  await session.flush?.();
  await pipeline.run(session, [mappedChunk(["newer"])]);
  await session.flush?.();
  await session.close(signal);
  await rejects(copy.open(sink), { code: "SINK_CONFLICT" });
});

test("jsonLines: lost output is SINK_BEHIND, whether the part, some of it, or all is gone", async () => {
  for (const lose of [
    (disk: SimulatedDisk) => disk.take(OPEN),
    (disk: SimulatedDisk) => disk.cut(OPEN, 3),
    (disk: SimulatedDisk) => disk.take("/out/.holdfast"),
  ]) {
    const { disk, pipeline } = await used();
    lose(disk);
    await rejects(pipeline.open(sink), { code: "SINK_BEHIND" });
  }
});

test("jsonLines: finished parts may be taken away by their readers", async () => {
  const { disk, pipeline } = await used();
  const session = await pipeline.open(sink);
  await session.flush?.();
  await session.close(signal);
  for (const path of parts(disk)) disk.take(path);
  const again = await pipeline.open(sink);
  await pipeline.run(again, [mappedChunk(["next"])]);
  await again.close(signal);
  equal(text(disk, OPEN), '"next"\n');
  await (await pipeline.open(sink)).close(signal);
});

test("jsonLines: a sink that was taken out of its pipeline and put back keeps what its open part held", async () => {
  const { disk, pipeline } = await used();
  pipeline.lastToken = undefined;
  const session = await pipeline.open(sink);
  await pipeline.run(session, [mappedChunk(["back"])]);
  equal(text(disk, OPEN), '"open"\n');
  equal(text(disk, "/out/.out-01234567.jsonl.open"), '"back"\n');
  equal(pipeline.warnings.length, 1);
  await session.close(signal);
});

test("jsonLines: a token of another type of sink is refused", async () => {
  const pipeline = new SinkPipeline(new SimulatedDisk());
  pipeline.lastToken = Buffer.from('{"offset":7}');
  await rejects(pipeline.open(sink), { code: "SINK_CONFLICT" });
});

test("jsonLines: a marker that cannot be read counts as none", async () => {
  const { disk, pipeline } = await used();
  disk.put("/out/.holdfast", Buffer.from("{"));
  await rejects(pipeline.open(sink), { code: "SINK_BEHIND" });
  const fresh = new SinkPipeline(disk);
  const session = await fresh.open(sink);
  equal(fresh.warnings.length, 1);
  await session.close(signal);
});

test("jsonLines: a name that appears while a part is open is never replaced", async () => {
  const { disk, pipeline } = await used();
  const session = await pipeline.open(sink);
  disk.put("/out/0000000000000001.jsonl", Buffer.from("not ours"));
  await rejects(async () => session.flush?.(), { code: "SINK_CONFLICT" });
  equal(text(disk, "/out/0000000000000001.jsonl"), "not ours");
  await session.close(signal);
});
