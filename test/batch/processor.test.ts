import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asap, availableNow, interval, once } from "../../src/batch/trigger.ts";
import type { Source } from "../../src/contract/source.ts";
import { codeOf, HoldfastError } from "../../src/errors.ts";
import { pipeline } from "../../src/operator/pipeline.ts";
import { from } from "../../src/operator/stream.ts";
import { json } from "../../src/record/decoders.ts";
import { RecordingSink } from "../support/sinks.ts";
import { meters, World } from "../support/processor-world.ts";

test("processor: every record becomes a row once, and the commit knows where it ended", async () => {
  const world = new World({ batchRecordsMax: 2 });
  world.source.append("1", "2", "3");
  await world.runAll();
  deepEqual(world.sink.rows, [1, 2, 3]);
  deepEqual(world.ledger.checkpoint("p")?.committed?.ends, { log: { "0": 3 } });
  deepEqual(world.sink.calls, [
    "open",
    "write 1",
    "committed 1",
    "write 2",
    "committed 2",
    "flush",
    "close",
  ]);
});

test("processor: a new pipeline that starts now skips what is there", async () => {
  const world = new World({ startAt: "now" });
  world.source.append("1", "2");
  await world.runAll();
  world.source.append("3");
  await world.runAll();
  deepEqual(world.sink.rows, [3]);
});

test("processor: a new pipeline that starts now stands at the beginning of a partition without records", async () => {
  const world = new World({ startAt: "now" });
  const source: Source = Object.assign(world.source, {
    latest: () => Promise.resolve({ "0": 2 }),
    oldest: () => Promise.resolve({ "0": 0, "1": 7 }),
  });
  const processor = await world.open({ source });
  await processor.close(new AbortController().signal);
  // What comes to it and is lost before it is read is a gap from there on.
  deepEqual(world.ledger.checkpoint("p")?.start, { log: { "0": 2, "1": 7 } });
});

test("processor: an open plan is run again with the same range, though more has come", async () => {
  const world = new World();
  world.source.append("1", "2");
  world.sink.answers.push(new HoldfastError("SINK_FAILED", "gone"));
  await rejects(world.runAll(), { code: "SINK_FAILED" });
  world.source.append("3");
  await world.runAll();
  deepEqual(
    [...world.sink.batches],
    [
      [1, [1, 2]],
      [2, [3]],
    ],
  );
  deepEqual(
    world.ledger.plans.map(({ ranges }) => ranges),
    [{ log: { "0": [0, 2] } }, { log: { "0": [2, 3] } }],
  );
});

test("processor: the sink gets the token of the last commit when it is opened again", async () => {
  const world = new World();
  world.source.append("1");
  await world.runAll();
  await world.runAll();
  equal(world.sink.contexts[0]?.lastToken, undefined);
  equal(String(world.sink.contexts[1]?.lastToken), "1");
  equal(world.sink.contexts[1]?.lastBatchId, 1);
  deepEqual(world.sink.calls.slice(-3), ["committed 1", "flush", "close"]);
});

test("processor: gaps have no rows and move the cursor", async () => {
  const world = new World();
  world.source.append("1", "2", "3");
  world.source.lost.add(1);
  await world.runAll();
  deepEqual(world.sink.rows, [1, 3]);
  deepEqual(world.ledger.checkpoint("p")?.committed?.ends, { log: { "0": 3 } });
});

test("processor: records that cannot be decoded become letters once, over replays too", async () => {
  const world = new World();
  world.source.append("1", "nonsense", "3");
  world.ledger.failNext = undefined;
  world.sink.inspect = () => Promise.resolve();
  world.sink.answers.push(new HoldfastError("SINK_FAILED", "gone"));
  await rejects(world.runAll());
  await world.runAll();
  deepEqual(world.sink.rows, [1, 3]);
  equal(world.letters.letters.length, 1);
  const [letter] = world.letters.letters;
  deepEqual(
    [letter?.stage, letter?.code, letter?.offset, String(Buffer.from(letter?.bytes ?? []))],
    ["decode", "DECODE_FAILED", 1, "nonsense"],
  );
});

test("processor: letters are durable before a sink hears the end of its rows", async () => {
  const world = new World();
  const sink = world.sink;
  let lettersAtEnd = -1;
  const open = sink.open.bind(sink);
  sink.open = async (context) => {
    const session = await open(context);
    return {
      ...session,
      write: async (batch, signal) => {
        const result = await session.write(batch, signal);
        lettersAtEnd = world.letters.letters.length;
        return result;
      },
    };
  };
  world.source.append("nonsense");
  await world.runAll();
  equal(lettersAtEnd, 1);
});

test("processor: rows that a sink rejects become letters of its stage", async () => {
  const world = new World();
  world.source.append("1", "2");
  world.sink.inspect = (chunk, context) =>
    context.reject([
      { block: chunk.block, recordIndex: 1, cause: new HoldfastError("ROW_TYPE", "two") },
    ]);
  await world.runAll();
  deepEqual(
    world.letters.letters.map(({ stage, code, offset }) => [stage, code, offset]),
    [["sink:out", "ROW_TYPE", 1]],
  );
});

test("processor: a sink that backs off gets the batch again, the others do not", async () => {
  const busy = new RecordingSink("busy");
  const calm = new RecordingSink("calm");
  const rows = from(meters).decode(json());
  const world = new World({ outputs: [rows.writeTo(busy), rows.writeTo(calm)] });
  busy.answers.push({ kind: "back-off", delayMs: 500, cause: new Error("locked") });
  world.source.append("1", "nonsense");
  const processor = await world.open();
  const running = processor.run();
  await world.clock.advance(499);
  deepEqual(busy.calls, ["open", "write 1"]);
  await world.clock.advance(2);
  await processor.close(new AbortController().signal);
  await running;
  deepEqual([busy.rows, calm.rows], [[1], [1]]);
  deepEqual(
    calm.calls.filter((call) => call.startsWith("write")),
    ["write 1"],
  );
  equal(world.letters.letters.length, 1);
});

test("processor: a sink that is busy for ever fails the pipeline with SINK_BUSY", async () => {
  const world = new World();
  for (let attempt = 0; attempt < 20; attempt++)
    world.sink.answers.push({ kind: "back-off", delayMs: 0, cause: new Error("locked") });
  world.source.append("1");
  const processor = await world.open();
  const running = processor.run();
  const failed = rejects(running, { code: "SINK_BUSY" });
  await world.clock.advance(1_000);
  await failed;
  await processor.close(new AbortController().signal);
});

test("processor: more than half of a hundred records set aside parks the pipeline", async () => {
  const world = new World({ batchRecordsMax: 20 });
  world.source.append(...Array.from({ length: 200 }, () => "nonsense"));
  await rejects(world.runAll(), { code: "DEAD_LETTER_RATIO", message: /100 of 100/ });
  equal(world.letters.letters.length, 80);
});

test("processor: what the strategy does not resume stops the batch with its cause", async () => {
  const world = new World();
  world.source.append("1", "nonsense");
  const processor = await world.open({ decide: () => "restart" });
  await rejects(processor.run(), { code: "DECODE_FAILED" });
  await processor.close(new AbortController().signal);
  equal(world.letters.letters.length, 0);
});

test("processor: an open plan of another graph is run with the new one, and said (PIPELINE_CHANGED)", async () => {
  const world = new World();
  world.source.append("1");
  world.sink.answers.push(new HoldfastError("SINK_FAILED", "gone"));
  await rejects(world.runAll());
  const processor = await world.open({ graphHash: "other" });
  const running = processor.run();
  await processor.drain(new AbortController().signal);
  await processor.close(new AbortController().signal);
  await running;
  ok(world.events.includes("pipeline-changed"));
  deepEqual(world.sink.rows, [1]);
});

test("processor: a sink behind its own commit, or ahead of the ledger, is refused", async () => {
  const world = new World();
  world.source.append("1");
  await world.runAll();
  world.sink.last = "none";
  await rejects(world.open(), { code: "SINK_BEHIND" });
  world.sink.last = { batchId: 0, epoch: 1, ends: {} };
  await rejects(world.open(), { code: "SINK_BEHIND" });
  world.sink.last = { batchId: 2, epoch: 1, ends: {} };
  await rejects(world.open(), { code: "SINK_CONFLICT" });
  ok(world.events.includes("sink-conflict"));
});

test("processor: an interval starts batches that far apart", async () => {
  const world = new World({ trigger: interval({ everyMs: 1_000 }) });
  world.source.append("1");
  const processor = await world.open();
  const running = processor.run();
  await world.clock.advance(0);
  world.source.append("2");
  await world.clock.advance(999);
  deepEqual(world.sink.rows, [1]);
  await world.clock.advance(1);
  deepEqual(world.sink.rows, [1, 2]);
  await processor.close(new AbortController().signal);
  await running;
});

test("processor: a minimum interval gathers what comes meanwhile into one batch", async () => {
  const world = new World({ trigger: asap({ minIntervalMs: 100 }) });
  world.source.append("1");
  const processor = await world.open();
  const running = processor.run();
  await world.clock.advance(0);
  for (const text of ["2", "3", "4"]) {
    world.source.append(text);
    await world.clock.advance(20);
  }
  await world.clock.advance(100);
  deepEqual([...world.sink.batches.values()], [[1], [2, 3, 4]]);
  await processor.close(new AbortController().signal);
  await running;
});

test("processor: available-now ends with what was there at the start, once after one batch", async () => {
  for (const [trigger, expected] of [
    [availableNow(), [1, 2, 3]],
    [once(), [1, 2]],
  ] as const) {
    const world = new World({ trigger, batchRecordsMax: 2 });
    world.source.append("1", "2", "3");
    const processor = await world.open();
    await processor.run();
    await processor.close(new AbortController().signal);
    deepEqual(world.sink.rows, expected);
  }
});

test("processor: its source is closed also when a sink does not close", async () => {
  const world = new World();
  let closeCount = 0;
  const source: Source = Object.assign(world.source, { close: async () => void closeCount++ });
  world.sink.closeError = new HoldfastError("SINK_FAILED", "it does not close");
  const processor = await world.open({ source });
  const running = processor.run();
  await rejects(processor.close(new AbortController().signal), AggregateError);
  await running;
  equal(closeCount, 1);
  // Another does not open, too: what the supervisor hears of is the reason, not the way out.
  const broken = new RecordingSink("broken");
  broken.open = () => Promise.reject(new HoldfastError("SINK_CONFLICT", "somebody else"));
  const rows = from(meters).decode(json());
  const definition = pipeline("p", { outputs: [rows.writeTo(world.sink), rows.writeTo(broken)] });
  await rejects(world.open({ source, pipeline: definition }), { code: "SINK_CONFLICT" });
  equal(closeCount, 2);
});

test("processor: exactly once, whatever fails and however often it is restarted", async () => {
  type Fault = "none" | "sink" | "ledger-before" | "ledger-after";
  const fault = fc.constantFrom<Fault>("none", "none", "sink", "ledger-before", "ledger-after");
  const rounds = fc.array(fc.record({ records: fc.integer({ min: 0, max: 7 }), fault }), {
    minLength: 1,
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(rounds, fc.integer({ min: 1, max: 5 }), async (plan, batchRecordsMax) => {
      const world = new World({ batchRecordsMax });
      for (const round of plan) {
        for (let count = 0; count < round.records; count++) {
          const next = world.source.texts.length;
          world.source.append(next % 5 === 4 ? `bad ${next}` : String(next));
        }
        if (round.fault === "sink")
          world.sink.answers.push(new HoldfastError("SINK_FAILED", "gone"));
        if (round.fault === "ledger-before") world.ledger.failNext = "before";
        if (round.fault === "ledger-after") world.ledger.failNext = "after";
        await world
          .runAll()
          .catch((cause: unknown) =>
            ok(["SINK_FAILED", "LOG_FAILED"].includes(codeOf(cause)), String(cause)),
          );
      }
      world.sink.answers.length = 0;
      world.ledger.failNext = undefined;
      await world.runAll();
      const all = world.source.texts.map((text, offset) => ({ text, offset }));
      deepEqual(
        world.sink.rows,
        all.filter(({ text }) => !text.startsWith("bad")).map(({ offset }) => offset),
      );
      deepEqual(
        world.letters.letters.map(({ offset }) => offset),
        all.filter(({ text }) => text.startsWith("bad")).map(({ offset }) => offset),
      );
    }),
    { numRuns: 150 },
  );
});
