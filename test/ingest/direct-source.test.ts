/** Pipelines over a source that is read directly: partitions, plans, replays, gaps, restarts, without any record in the log. */
import { deepEqual, equal, match, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { AnyEvent } from "../../src/contract/events.ts";
import type { Ingest } from "../../src/contract/ingest.ts";
import type { LogItem, Offsets } from "../../src/contract/log.ts";
import type { DirectSource, Source, SourceContext } from "../../src/contract/source.ts";
import { HoldfastError } from "../../src/errors.ts";
import { realHost } from "../../src/host/real-host.ts";
import {
  availableNow,
  createIngest,
  defineSource,
  from,
  json,
  pipeline,
  schema,
} from "../../src/index.ts";
import { SimulatedDisk } from "../../src/testing/index.ts";
import { storedBlock, receiverNamed } from "../support/blocks.ts";
import { silentLogger } from "../support/logger.ts";
import { manyRuns } from "../support/runs.ts";
import { RecordingSink } from "../support/sinks.ts";

/** Two partitions that keep what they are given; one may lose its beginning, as a broker does. */
class Shelf {
  readonly partitions: Readonly<Record<"a" | "b", string[]>> = { a: [], b: [] };
  readonly oldest: Record<"a" | "b", number> = { a: 0, b: 0 };
  readonly contexts: SourceContext<unknown>[] = [];
  /** Ranges as they were read. */
  readonly reads: string[] = [];
  closeCount = 0;
  /** Thrown by the next read. */
  failNext: Error | undefined;

  readonly define: DirectSource<"shelf"> = defineSource({
    type: "shelf",
    options: schema.object({ note: schema.optional(schema.string()) }),
    open: async (context) => {
      this.contexts.push(context);
      return this.#open();
    },
  })("shelf", {});

  add(partition: "a" | "b", ...texts: readonly string[]): void {
    this.partitions[partition].push(...texts);
  }

  #ends(): Offsets {
    return { a: this.partitions.a.length, b: this.partitions.b.length };
  }

  #open(): Source {
    return {
      name: "shelf",
      latest: async () => this.#ends(),
      oldest: async () => ({ ...this.oldest }),
      bounded: async (start, { recordsMax }) =>
        Object.fromEntries(
          Object.entries(this.#ends()).map(([name, end]) => [
            name,
            Math.min(end, (start[name] ?? 0) + Math.ceil(recordsMax / 2)),
          ]),
        ),
      waitFor: (_, signal) =>
        new Promise((resolve, reject) => {
          setImmediate(resolve);
          signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        }),
      read: (range) => this.#read(range),
      release: async () => undefined,
      lag: (ends) =>
        Object.entries(this.#ends()).reduce((sum, [name, end]) => sum + end - (ends[name] ?? 0), 0),
      close: async () => void this.closeCount++,
    };
  }

  async *#read(range: {
    readonly partition: string;
    readonly from: number;
    readonly to: number;
  }): AsyncGenerator<LogItem> {
    const { partition, to } = range;
    if (partition !== "a" && partition !== "b") throw new Error(`no partition ${partition}`);
    this.reads.push(`${partition} ${range.from} ${to}`);
    const failure = this.failNext;
    this.failNext = undefined;
    const start = Math.max(range.from, this.oldest[partition]);
    if (start > range.from) yield { kind: "gap", from: range.from, to: start, reason: "dropped" };
    for (let offset = start; offset < to; offset++) {
      if (failure !== undefined && offset === to - 1) throw failure;
      const text = this.partitions[partition][offset] ?? "";
      yield {
        kind: "records",
        block: storedBlock([text], { receiver: "shelf", firstOffset: offset }),
      };
    }
  }
}

class World {
  readonly shelf = new Shelf();
  readonly sink = new RecordingSink("out");
  readonly disk = new SimulatedDisk();
  readonly events: AnyEvent[] = [];
  ingest: Ingest | undefined;

  /** One process from start to its end: everything that is there. */
  async run(source: DirectSource | "log" = this.shelf.define): Promise<void> {
    const input = source === "log" ? from(receiverNamed("meters")) : from(source);
    const rows = pipeline("rows", {
      outputs: [input.decode(json()).writeTo(this.sink)],
      trigger: availableNow(),
      batchRecordsMax: 4,
    });
    const { local: _, ...host } = realHost();
    const ingest = createIngest({
      directory: "/data",
      receivers: source === "log" ? [receiverNamed("meters")] : [],
      pipelines: [rows],
      log: { bytesMax: 64 * 2 ** 20, segmentBytes: 4 * 2 ** 20 },
      logger: silentLogger,
      host: {
        ...host,
        files: this.disk,
        process: { ...host.process, lockFile: async () => ({ release: async () => undefined }) },
      },
      listeners: [{ onEvent: (event) => this.events.push(event) }],
    });
    this.ingest = ingest;
    await ingest.start();
    const report = await ingest.stopped;
    equal(ingest.snapshot().log.nextOffset, 0);
    deepEqual(report.notStopped, []);
  }

  of<K extends AnyEvent["kind"]>(kind: K): readonly Extract<AnyEvent, { kind: K }>[] {
    return this.events.filter(
      (event): event is Extract<AnyEvent, { kind: K }> => event.kind === kind,
    );
  }
}

test("direct source: every partition is read by planned ranges, in bounded batches, and the next process goes on", async () => {
  const world = new World();
  world.shelf.add("a", "1", "2", "3");
  world.shelf.add("b", "4");
  await world.run();
  deepEqual(world.sink.rows, [1, 2, 4, 3]);
  deepEqual(world.shelf.reads, ["a 0 2", "b 0 1", "a 2 3"]);
  world.shelf.add("b", "5");
  await world.run();
  deepEqual(world.sink.rows, [1, 2, 4, 3, 5]);
  deepEqual([world.shelf.contexts.length, world.shelf.closeCount], [2, 2]);
  equal(world.shelf.contexts[0]?.pipeline, "rows");
});

test("direct source: a batch that failed runs again over the same ranges, whatever came meanwhile", async () => {
  const world = new World();
  world.shelf.add("a", "1", "2");
  world.shelf.failNext = new HoldfastError("CONNECTION_FAILED", "the shelf is away");
  const running = world.run();
  while (world.of("batch-failed").length === 0)
    await new Promise((resolve) => setImmediate(resolve));
  world.shelf.add("a", "3");
  await running;
  deepEqual(world.shelf.reads, ["a 0 2", "a 0 2", "a 2 3"]);
  deepEqual(world.sink.rows, [1, 2, 3]);
  // A fresh session for the next incarnation, and each is closed.
  deepEqual([world.shelf.contexts.length, world.shelf.closeCount], [2, 2]);
});

test("direct source: what it does not have any more is an exact gap, told and counted", async () => {
  const world = new World();
  world.shelf.add("a", "1");
  await world.run();
  world.shelf.add("a", "2", "3", "4");
  world.shelf.oldest.a = 3;
  await world.run();
  deepEqual(world.sink.rows, [1, 4]);
  const gaps = world
    .of("source-gap")
    .map(({ partition, from: start, to, reason }) => [partition, start, to, reason]);
  deepEqual(gaps, [["a", 1, 3, "dropped"]]);
});

test("direct source: a record that cannot be decoded is a dead letter, and the rest goes on", async () => {
  const world = new World();
  world.shelf.add("b", "1", "no json", "2");
  await world.run();
  deepEqual(world.sink.rows, [1, 2]);
  deepEqual(
    world.of("dead-letter").map(({ stage }) => stage),
    ["decode"],
  );
});

test("direct source: a pipeline with an open batch of something else parks and says what to do", async () => {
  const world = new World();
  world.shelf.add("a", "1");
  world.sink.answers.push(new HoldfastError("SINK_CONFLICT", "parks, says the test"));
  const ended = [world.run()];
  while (world.of("unit-parked").length === 0)
    await new Promise((resolve) => setImmediate(resolve));
  const copy = Object.assign(new World(), { disk: world.disk.clone() });
  ended.push(copy.run("log"));
  while (copy.of("unit-parked").length === 0) await new Promise((resolve) => setImmediate(resolve));
  const [{ error } = { error: new Error("none") }] = copy.of("unit-parked");
  equal(Reflect.get(error, "code"), "SOURCE_CHANGED");
  match(error.message, /rows reads log, and its open batch 1 is of shelf/);
  for (const each of [world, copy]) await each.ingest?.stop({ timeoutMs: 0 });
  await Promise.all(ended);
});

test("direct source: a pipeline reads the log or one source, and a source has a name of its own", () => {
  const shelf = new Shelf().define;
  const meters = receiverNamed("meters");
  const outputs = [
    from(shelf).decode(json()).writeTo(new RecordingSink("one")),
    from(meters).decode(json()).writeTo(new RecordingSink("two")),
  ] as const;
  throws(() => pipeline("both", { outputs: [outputs[0], outputs[1]] }), {
    code: "CONFIG_CONFLICT",
    message: /reads source shelf and the log/,
  });
  const untyped: (...inputs: unknown[]) => unknown = Object(from);
  throws(() => untyped(shelf, meters), { code: "CONFIG_CONFLICT" });
  const define = defineSource({
    type: "shelf",
    options: schema.object({}),
    open: () => Promise.reject(new Error("never opened")),
  });
  throws(() => define("log", {}), { code: "CONFIG_VALUE" });
  throws(() => define("Shelf", {}), { code: "CONFIG_VALUE" });
  throws(() => define("shelf", { ["x" as never]: 1 }), { code: "CONFIG_KEY_UNKNOWN" });
});

test("direct source: whatever fails, every record is a row once, and replays read what was planned", async () => {
  const step = fc.record({
    a: fc.nat(5),
    b: fc.nat(5),
    fails: fc.constantFrom("no", "source", "sink"),
  });
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 1, maxLength: 5 }),
    async (steps) => {
      const world = new World();
      let count = 0;
      for (const { a, b, fails } of steps) {
        world.shelf.add("a", ...Array.from({ length: a }, () => `${count++}`));
        world.shelf.add("b", ...Array.from({ length: b }, () => `${count++}`));
        const cause = new HoldfastError("CONNECTION_FAILED", "says the test");
        if (fails === "source") world.shelf.failNext = cause;
        if (fails === "sink") world.sink.answers.push(cause);
        if (a + b > 0) await world.run();
      }
      deepEqual(
        world.sink.rows.map(Number).toSorted((left, right) => left - right),
        Array.from({ length: count }, (_, number) => number),
      );
    },
  );
  await fc.assert(property, { ...manyRuns, numRuns: Math.min(manyRuns.numRuns, 30) });
});
