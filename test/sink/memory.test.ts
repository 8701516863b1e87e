import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import { consoleLines } from "../../src/sink/console.ts";
import { memory } from "../../src/sink/memory.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
import { mappedChunk, SinkPipeline, stopped } from "../support/sink-batch.ts";

const signal: AbortSignal = new AbortController().signal;

test("memory: keeps rows over sessions and takes a batch once", async () => {
  const [sink, pipeline] = [memory("out"), new SinkPipeline(new SimulatedDisk())];
  const first = await pipeline.open(sink);
  equal(first.last, undefined);
  await pipeline.run(first, [mappedChunk([1, 2])]);
  const again = pipeline.batch([mappedChunk([3])]);
  equal((await first.write(again, signal)).kind, "written");
  const second = await pipeline.open(sink);
  deepEqual(second.last, { batchId: 2, epoch: 1, ends: { log: { "0": 3 } } });
  equal((await second.write(pipeline.batch([mappedChunk([3])]), signal)).kind, "already-written");
  await rejects(second.write(pipeline.batch([mappedChunk([3, 4])]), signal), {
    code: "SINK_CONFLICT",
  });
  deepEqual(sink.rows, [1, 2, 3]);
});

test("memory: a stopped batch leaves no row", async () => {
  const [sink, pipeline] = [memory("out"), new SinkPipeline(new SimulatedDisk())];
  const session = await pipeline.open(sink);
  const batch = pipeline.batch([mappedChunk([1])]);
  await rejects(
    session.write({ ...batch, chunks: stopped(batch.chunks, new Error("stop")) }, signal),
    { message: "stop" },
  );
  deepEqual(sink.rows, []);
  await pipeline.run(session, [mappedChunk([1])]);
  deepEqual(sink.rows, [1]);
});

test("memory: complete replaces, rowsMax keeps the newest, writers do not mix", async () => {
  const [sink, pipeline] = [memory("out", { rowsMax: 3 }), new SinkPipeline(new SimulatedDisk())];
  await pipeline.run(await pipeline.open(sink), [mappedChunk([1, 2]), mappedChunk([3, 4])]);
  deepEqual(sink.rows, [2, 3, 4]);
  const other = new SinkPipeline(new SimulatedDisk());
  other.writerId = "another";
  other.mode = "complete";
  equal((await other.run(await other.open(sink), [mappedChunk([9])])).kind, "written");
  deepEqual(sink.rows, [9]);
});

test("memory: a stream without decoder leaves copies of its records", async () => {
  const [sink, pipeline] = [memory("out"), new SinkPipeline(new SimulatedDisk())];
  await pipeline.run(await pipeline.open(sink), [{ texts: ["a", "b"], recordIndexes: [1] }]);
  deepEqual(sink.rows, [new Uint8Array(Buffer.from("b"))]);
});

test("consoleLines: prints rows as JSON lines and sets aside what is none", async () => {
  const pipeline = new SinkPipeline(new SimulatedDisk());
  let printed = "";
  const session = await pipeline.open(
    consoleLines("out", { write: (text) => void (printed += text) }),
  );
  equal(session.guarantee, "at-least-once");
  await pipeline.run(session, [mappedChunk([{ a: 1 }, undefined]), { texts: ['{"b": 2}'] }]);
  equal(printed, '{"a":1}\n{"b": 2}\n');
  deepEqual(
    pipeline.setAside.map(({ offset, code }) => [offset, code]),
    [[1, "ROW_TYPE"]],
  );
});

test("consoleLines: a writer that fails fails the batch", async () => {
  const pipeline = new SinkPipeline(new SimulatedDisk());
  const session = await pipeline.open(
    consoleLines("out", { write: () => Promise.reject(new Error("EPIPE")) }),
  );
  await rejects(pipeline.run(session, [mappedChunk([1])]), { message: "EPIPE" });
});

const WRONG: readonly [title: string, make: () => unknown, code: string][] = [
  ["a name in capitals", () => memory("Out"), "CONFIG_VALUE"],
  ["rowsMax of 0", () => memory("out", { rowsMax: 0 }), "CONFIG_OUT_OF_RANGE"],
  ["rowsMax as text", () => memory("out", { rowsMax: Object("7") }), "CONFIG_TYPE"],
  ["an unknown option", () => memory("out", Object({ rows: 7 })), "CONFIG_KEY_UNKNOWN"],
  ["a writer that is no function", () => consoleLines("out", { write: Object(1) }), "CONFIG_VALUE"],
];

for (const [title, make, code] of WRONG)
  test(`sinks: ${title} is refused`, () => void throws(make, { code }));
