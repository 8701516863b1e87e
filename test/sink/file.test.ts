import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import type { Sink } from "../../src/contract/sink.ts";
import { type FileOptions, jsonLines, rawLines } from "../../src/sink/file.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
import { jsonChunk, mappedChunk, SinkPipeline, stopped } from "../support/sink-batch.ts";

const OPEN = "/out/.out.jsonl.open";
const signal: AbortSignal = new AbortController().signal;

function setUp(options: Partial<FileOptions> = {}): {
  disk: SimulatedDisk;
  pipeline: SinkPipeline;
  sink: Sink<unknown, "append">;
} {
  const disk = new SimulatedDisk();
  return {
    disk,
    pipeline: new SinkPipeline(disk),
    sink: jsonLines("out", { directory: "/out", ...options }),
  };
}

function text(disk: SimulatedDisk, path: string): string {
  return Buffer.from(disk.contents(path)).toString();
}

/** Names of finished parts and open ones, without the marker. */
function parts(disk: SimulatedDisk): readonly string[] {
  return disk.paths().filter((path) => !path.includes(".holdfast"));
}

const rows = (from: number, count: number): { id: number }[] =>
  Array.from({ length: count }, (_, index) => ({ id: from + index }));

test("jsonLines: a batch is in the open part at once and in a finished one after a flush", async () => {
  const { disk, pipeline, sink } = setUp();
  const session = await pipeline.open(sink);
  equal(`${session.guarantee} (${session.by})`, "exactly-once (token)");
  await pipeline.run(session, [jsonChunk(rows(0, 2)), mappedChunk([{ id: 2, more: true }])]);
  equal(text(disk, OPEN), '{"id":0}\n{"id":1}\n{"id":2,"more":true}\n');
  deepEqual(await session.flush?.(), { finishedParts: 1 });
  deepEqual(parts(disk), ["/out/0000000000000000.jsonl"]);
  deepEqual(await session.flush?.(), { finishedParts: 0 });
  await session.close(signal);
});

test("rawLines: parts are called .log and hold the very bytes", async () => {
  const disk = new SimulatedDisk();
  const pipeline = new SinkPipeline(disk);
  const session = await pipeline.open(rawLines("kept", { directory: "/out" }));
  await pipeline.run(session, [{ texts: ["a", "b"] }, { texts: ["c"], block: { delimiter: "" } }]);
  equal(text(disk, "/out/.kept.log.open"), "a\nb\nc\n");
  await session.flush?.();
  deepEqual(parts(disk), ["/out/0000000000000000.log"]);
});

test("jsonLines: a part is finished by size with the commit of its batch, never before", async () => {
  const { disk, pipeline, sink } = setUp({ partBytesMax: 1_024 });
  const session = await pipeline.open(sink);
  await pipeline.run(session, [mappedChunk(rows(0, 50))]);
  deepEqual(parts(disk), [OPEN]);
  const batch = pipeline.batch([mappedChunk(rows(50, 100))]);
  const result = await session.write(batch, signal);
  deepEqual(parts(disk), [OPEN]);
  pipeline.commit(batch, result);
  await session.committed?.(batch.batchId);
  deepEqual(parts(disk), ["/out/0000000000000000.jsonl"]);
  await pipeline.run(session, [mappedChunk(rows(150, 1))]);
  deepEqual(parts(disk), [OPEN, "/out/0000000000000000.jsonl"]);
  await session.flush?.();
  deepEqual(parts(disk), ["/out/0000000000000000.jsonl", "/out/0000000000000150.jsonl"]);
});

test("jsonLines: a part is finished by age when nothing more arrives", async () => {
  const { disk, pipeline, sink } = setUp({ partAgeMsMax: 1_000 });
  const session = await pipeline.open(sink);
  await pipeline.run(session, [mappedChunk(rows(0, 1))]);
  await pipeline.clock.advance(999);
  deepEqual(parts(disk), [OPEN]);
  await pipeline.clock.advance(1);
  deepEqual(parts(disk), ["/out/0000000000000000.jsonl"]);
  deepEqual(pipeline.notes, ["part finished"]);
  equal(pipeline.clock.timerCount, 0);
  await session.close(signal);
});

test("jsonLines: a part that gets old while its batch is on its way is finished by the commit", async () => {
  const { disk, pipeline, sink } = setUp({ partAgeMsMax: 1_000 });
  const session = await pipeline.open(sink);
  await pipeline.run(session, [mappedChunk(rows(0, 1))]);
  const batch = pipeline.batch([mappedChunk(rows(1, 1))]);
  const result = await session.write(batch, signal);
  await pipeline.clock.advance(5_000);
  deepEqual(parts(disk), [OPEN]);
  pipeline.commit(batch, result);
  await session.committed?.(batch.batchId);
  equal(text(disk, "/out/0000000000000000.jsonl"), '{"id":0}\n{"id":1}\n');
});

test("jsonLines: a part that gets old while rows are being written is not renamed under them", async () => {
  const { disk, pipeline, sink } = setUp({ partAgeMsMax: 1_000 });
  const session = await pipeline.open(sink);
  await pipeline.run(session, [mappedChunk(rows(0, 1))]);
  const hold = disk.hold({ kind: "sync" });
  const running = pipeline.run(session, [mappedChunk(rows(1, 1))]);
  await pipeline.clock.advance(1_000);
  deepEqual(parts(disk), [OPEN]);
  hold.release();
  await running;
  deepEqual(pipeline.failures, []);
  equal(text(disk, "/out/0000000000000000.jsonl"), '{"id":0}\n{"id":1}\n');
});

test("jsonLines: a write waits for a part that is just being finished", async () => {
  const { disk, pipeline, sink } = setUp({ partAgeMsMax: 1_000 });
  const session = await pipeline.open(sink);
  await pipeline.run(session, [mappedChunk(rows(0, 1))]);
  const hold = disk.hold({ kind: "rename", path: "0000000000000000" });
  await pipeline.clock.advance(1_000);
  equal(hold.waiting, 1);
  const running = pipeline.run(session, [mappedChunk(rows(1, 1))]);
  hold.release();
  await running;
  equal(text(disk, "/out/0000000000000000.jsonl"), '{"id":0}\n');
  equal(text(disk, OPEN), '{"id":1}\n');
  await session.close(signal);
});

test("jsonLines: age counts over restarts, by the wall clock", async () => {
  const { disk, pipeline, sink } = setUp({ partAgeMsMax: 1_000 });
  const first = await pipeline.open(sink);
  await pipeline.run(first, [mappedChunk(rows(0, 1))]);
  await first.close(signal);
  await pipeline.clock.advance(600);
  const second = await pipeline.open(sink);
  deepEqual(parts(disk), [OPEN]);
  await pipeline.clock.advance(400);
  deepEqual(parts(disk), ["/out/0000000000000000.jsonl"]);
  await second.close(signal);
});

test("jsonLines: a batch that was not committed is cut at open and written again", async () => {
  const { disk, pipeline, sink } = setUp();
  const first = await pipeline.open(sink);
  await pipeline.run(first, [mappedChunk(rows(0, 2))]);
  await first.write(pipeline.batch([mappedChunk(rows(2, 2))]), signal);
  equal(text(disk, OPEN).split("\n").length, 5);
  await first.close(signal);
  const second = await pipeline.open(sink);
  equal(text(disk, OPEN), '{"id":0}\n{"id":1}\n');
  await pipeline.run(second, [mappedChunk(rows(2, 2))]);
  equal(text(disk, OPEN), '{"id":0}\n{"id":1}\n{"id":2}\n{"id":3}\n');
  await second.close(signal);
});

test("jsonLines: the same session may write a batch twice before its commit", async () => {
  const { disk, pipeline, sink } = setUp();
  const session = await pipeline.open(sink);
  await session.write(pipeline.batch([mappedChunk(rows(0, 3))]), signal);
  await pipeline.run(session, [mappedChunk(rows(0, 2))]);
  equal(text(disk, OPEN), '{"id":0}\n{"id":1}\n');
  equal(
    (
      await session.write(
        pipeline.batch([], { batchId: 1, ranges: { log: { "0": [0, 2] } } }),
        signal,
      )
    ).kind,
    "already-written",
  );
  await rejects(
    session.write(pipeline.batch([], { batchId: 2, ranges: { log: { "0": [1, 4] } } }), signal),
    { code: "SINK_CONFLICT" },
  );
  await session.close(signal);
});

test("jsonLines: batches without rows make no part and keep the open one", async () => {
  const { disk, pipeline, sink } = setUp();
  const session = await pipeline.open(sink);
  await pipeline.run(session, []);
  deepEqual(parts(disk), []);
  await pipeline.run(session, [mappedChunk(rows(0, 1))]);
  await pipeline.run(session, [mappedChunk([undefined])]);
  await session.close(signal);
  const again = await pipeline.open(sink);
  equal(text(disk, OPEN), '{"id":0}\n');
  equal(pipeline.setAside[0]?.code, "ROW_TYPE");
  await again.close(signal);
});

test("jsonLines: a batch that a stage stops is cut back, and its cause is passed on", async () => {
  const { disk, pipeline, sink } = setUp();
  const session = await pipeline.open(sink);
  await pipeline.run(session, [mappedChunk(rows(0, 1))]);
  const batch = pipeline.batch([mappedChunk(rows(1, 1_000)), mappedChunk(rows(1_001, 1))]);
  const cause = new Error("stopped");
  await rejects(session.write({ ...batch, chunks: stopped(batch.chunks, cause) }, signal), cause);
  equal(text(disk, OPEN), '{"id":0}\n');
  await pipeline.run(session, [mappedChunk(rows(1, 1))]);
  equal(text(disk, OPEN), '{"id":0}\n{"id":1}\n');
  await session.close(signal);
});

test("jsonLines: an aborted write ends with the reason", async () => {
  const { pipeline, sink } = setUp();
  const session = await pipeline.open(sink);
  const reason = new Error("stop");
  await rejects(
    session.write(pipeline.batch([mappedChunk(rows(0, 1))]), AbortSignal.abort(reason)),
    reason,
  );
  await session.close(signal);
});

test("jsonLines: large batches go through the buffer whole", async () => {
  const { disk, pipeline, sink } = setUp();
  const session = await pipeline.open(sink);
  const wide = rows(0, 300).map((row) => ({ ...row, pad: "ä".repeat(5_000) }));
  const huge = { id: 300, pad: "x".repeat(1_500_000) };
  await pipeline.run(session, [
    jsonChunk(wide),
    mappedChunk(wide),
    mappedChunk([huge]),
    jsonChunk([huge]),
  ]);
  const lines = text(disk, OPEN).trimEnd().split("\n");
  deepEqual(
    lines.map((line) => JSON.parse(line)),
    [...wide, ...wide, huge, huge],
  );
  ok(disk.callCount("write") < 12, `${disk.callCount("write")} writes for 9 MiB`);
  equal(disk.callCount("sync"), 2); // the marker, and one for the batch
  await session.close(signal);
});

test("jsonLines: a full disk fails the batch, leaves the committed rows, and heals", async () => {
  const { disk, pipeline, sink } = setUp();
  const session = await pipeline.open(sink);
  await pipeline.run(session, [mappedChunk(rows(0, 1))]);
  disk.capacityBytes = 64 * 1024;
  const wide = rows(1, 100).map((row) => ({ ...row, pad: "x".repeat(5_000) }));
  await rejects(pipeline.run(session, [mappedChunk(wide)]), { code: "SINK_FAILED" });
  equal(text(disk, OPEN), '{"id":0}\n');
  disk.capacityBytes = Infinity;
  await pipeline.run(session, [mappedChunk(wide)]);
  equal(text(disk, OPEN).trimEnd().split("\n").length, 101);
  await session.close(signal);
});

test("jsonLines: a directory that cannot be written says so", async () => {
  const { disk, pipeline, sink } = setUp();
  disk.inject({ what: "error", kind: "makeDirectory", nth: 1, code: "EACCES" });
  await rejects(pipeline.open(sink), { code: "DIRECTORY_UNWRITABLE" });
});

test("jsonLines: a part that cannot be finished by age fails the unit, and the next open finishes it", async () => {
  const { disk, pipeline, sink } = setUp({ partAgeMsMax: 1_000 });
  const session = await pipeline.open(sink);
  await pipeline.run(session, [mappedChunk(rows(0, 1))]);
  disk.inject({ what: "error", kind: "rename", nth: 1, code: "EIO" });
  await pipeline.clock.advance(1_000);
  equal(pipeline.failures.length, 1);
  await rejects(pipeline.run(session, [mappedChunk(rows(1, 1))]), { code: "SINK_FAILED" });
  await session.close(signal);
  await (await pipeline.open(sink)).close(signal);
  deepEqual(parts(disk), ["/out/0000000000000000.jsonl"]);
});

const WRONG: readonly [title: string, options: FileOptions, code: string][] = [
  ["parts of 1 byte", { directory: "d", partBytesMax: 1 }, "CONFIG_OUT_OF_RANGE"],
  ["parts of 1 ms", { directory: "d", partAgeMsMax: 1 }, "CONFIG_OUT_OF_RANGE"],
  ["no directory", Object({}), "CONFIG_KEY_MISSING"],
  ["a misspelt option", Object({ directory: "d", partAgeMs: 1_000 }), "CONFIG_KEY_UNKNOWN"],
];

for (const [title, options, code] of WRONG)
  test(`jsonLines: ${title} is refused`, () =>
    void throws(() => jsonLines("out", options), { code }));

test("jsonLines: settings and exclusive place are absolute and have the defaults", () => {
  const sink = jsonLines("out", { directory: "d" });
  match(String(sink.settings["directory"]), /^\/.*\/d$/);
  deepEqual(
    [sink.settings["partBytesMax"], sink.settings["partAgeMsMax"]],
    [16 * 1024 * 1024, 60_000],
  );
  equal(sink.exclusive, rawLines("other", { directory: "./d/" }).exclusive);
});
