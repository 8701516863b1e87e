import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  asap,
  createIngest,
  from,
  type Ingest,
  type IngestOptions,
  json,
  oneForOne,
  pipeline,
} from "../../src/index.ts";
import { availableNow } from "../../src/batch/trigger.ts";
import type { AnyEvent } from "../../src/contract/events.ts";
import { HoldfastError } from "../../src/errors.ts";
import { silentLogger } from "../support/logger.ts";
import { PushReceiver } from "../support/push-receiver.ts";
import { RecordingSink } from "../support/sinks.ts";

async function temporaryDirectory(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-ingest-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** One receiver, one pipeline, one recording sink, and the events of both. */
class World {
  readonly receiver = new PushReceiver("meters");
  readonly sink = new RecordingSink("out");
  readonly events: AnyEvent[] = [];
  readonly options: IngestOptions<"meters">;
  #waiting: (() => void)[] = [];

  constructor(directory: string, more: Partial<IngestOptions<"meters">> = {}) {
    const output = from(this.receiver).decode(json()).writeTo(this.sink);
    this.options = {
      directory,
      receivers: [this.receiver],
      pipelines: [pipeline("rows", { outputs: [output], trigger: asap() })],
      log: { bytesMax: 64 * 1024 * 1024, segmentBytes: 4 * 1024 * 1024 },
      logger: silentLogger,
      listeners: [{ onEvent: (event) => this.#note(event) }],
      ...more,
    };
  }

  async start(): Promise<Ingest> {
    const ingest = createIngest(this.options);
    await ingest.start();
    return ingest;
  }

  /** Resolves when an event of this kind has come since the test began and the condition holds. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #note(event: AnyEvent): void {
    this.events.push(event);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

test("ingest: a stored record is a row, and the next start goes on behind it", async (context) => {
  const world = new World(await temporaryDirectory(context));
  const first = await world.start();
  const stored = await world.receiver.context.store([{ value: "1" }, { value: "2" }]);
  deepEqual(stored, { firstOffset: 0, recordCount: 2 });
  await world.until(() => world.sink.rows.length === 2);
  const report = await first.stop();
  equal(report.nextOffset, 2);
  deepEqual(report.notStopped, []);
  const second = await world.start();
  await world.receiver.context.store({ value: "3" });
  await second.stop();
  deepEqual(world.sink.rows, [1, 2, 3]);
});

test("ingest: a second one on the same directory is refused while the first runs", async (context) => {
  const directory = await temporaryDirectory(context);
  const first = await new World(directory).start();
  await rejects(new World(directory).start(), { code: "DATA_LOCKED" });
  await first.stop();
  const third = await new World(directory).start();
  await third.stop();
});

test("ingest: a directory that cannot be written is one clear error", async (context) => {
  if (process.getuid?.() === 0)
    return context.skip("this Node runs as root, who may write everywhere");
  const directory = await temporaryDirectory(context);
  await chmod(directory, 0o500);
  await rejects(new World(join(directory, "data")).start(), { code: "DIRECTORY_UNWRITABLE" });
});

test("ingest: a directory that is a file is one clear error", async () => {
  await rejects(new World("/dev/null/data").start(), { code: "DIRECTORY_UNWRITABLE" });
});

test("ingest: a failing receiver is restarted, and its old context is fenced", async (context) => {
  const world = new World(await temporaryDirectory(context));
  const ingest = await world.start();
  const old = world.receiver.context;
  await old.store({ value: "1" });
  old.fail(new Error("unplugged"));
  const renewed = await world.receiver.opened(2);
  ok(renewed.epoch > old.epoch);
  await rejects(old.store({ value: "2" }), { code: "STORE_FENCED" });
  await renewed.store({ value: "3" });
  await world.until(() => world.sink.rows.length === 2);
  deepEqual(world.sink.rows, [1, 3]);
  ok(
    world.events.some(
      (event) => event.kind === "receiver-failed" && event.error.message === "unplugged",
    ),
  );
  await ingest.stop();
});

test("ingest: a throw in a guarded callback fails the unit, not the process", async (context) => {
  const world = new World(await temporaryDirectory(context));
  const ingest = await world.start();
  const { guard } = world.receiver.context;
  guard(() => {
    throw new RangeError("in a socket callback");
  })();
  await world.receiver.opened(2);
  guard(() => Promise.reject(new Error("late, of an old epoch")))();
  await ingest.stop();
  equal(world.receiver.contexts.length, 2);
});

test("ingest: a restart while a block of the old epoch is being committed stores nothing twice", async (context) => {
  const world = new World(await temporaryDirectory(context));
  const ingest = await world.start();
  const old = world.receiver.context;
  const storing = Promise.allSettled([old.store({ value: "1" }), old.store({ value: "2" })]);
  old.fail(new Error("unplugged"));
  const renewed = await world.receiver.opened(2);
  const settled = await storing;
  const kept = settled.filter(({ status }) => status === "fulfilled").length;
  await renewed.store({ value: "3" });
  await world.until(() => world.sink.rows.length === kept + 1);
  equal(world.sink.rows.at(-1), 3);
  await ingest.stop();
});

test("ingest: a receiver whose port is taken fails the start", async (context) => {
  const world = new World(await temporaryDirectory(context));
  world.receiver.failures.push(new HoldfastError("PORT_IN_USE", "meters: 127.0.0.1:9000 is taken"));
  await rejects(world.start(), { code: "PORT_IN_USE" });
});

test("ingest: a receiver that cannot connect yet does not fail the start", async (context) => {
  const world = new World(await temporaryDirectory(context));
  world.receiver.failures.push(new HoldfastError("CONNECTION_FAILED", "meters: refused"));
  const ingest = await world.start();
  await world.receiver.opened(1);
  await ingest.stop();
});

test("ingest: a sink that is down does not fail the start, and gets the records when it is back", async (context) => {
  const world = new World(await temporaryDirectory(context));
  world.sink.answers.push(
    new HoldfastError("SINK_FAILED", "down"),
    new HoldfastError("SINK_FAILED", "down"),
  );
  const ingest = await world.start();
  await world.receiver.context.store({ value: "1" });
  await world.until(() => world.events.some(({ kind }) => kind === "batch-completed"));
  deepEqual(world.sink.rows, [1]);
  await ingest.stop();
});

test("ingest: more than may be in flight is refused with BUSY", async (context) => {
  const world = new World(await temporaryDirectory(context));
  const ingest = await world.start();
  const { store } = world.receiver.context;
  const value = new Uint8Array(3 * 1024 * 1024).fill(0x20);
  const stores = await Promise.allSettled([store({ value }), store({ value }), store({ value })]);
  deepEqual(
    stores.map(({ status }) => status),
    ["fulfilled", "fulfilled", "rejected"],
  );
  await rejects(Promise.reject(stores[2]?.status === "rejected" ? stores[2].reason : undefined), {
    code: "BUSY",
  });
  await ingest.stop();
});

test("ingest: a receiver that no pipeline reads is told, and makes it no less ready", async (context) => {
  const lines: string[] = [];
  const logger = { ...silentLogger, warn: (line: string) => void lines.push(line) };
  const world = new World(await temporaryDirectory(context), { logger });
  const forgotten = new PushReceiver("forgotten");
  const ingest = createIngest<string>({
    ...world.options,
    receivers: [world.receiver, forgotten],
  });
  await ingest.start();
  const { kind, warnings } = ingest.health();
  deepEqual(
    [kind, warnings?.map(({ unit, code }) => `${unit} ${code}`), lines.length],
    ["ready", ["receivers/forgotten RECEIVER_UNREAD"], 1],
  );
  await ingest.stop();
});

test("ingest: a finite run opens no receiver, processes what is there and ends by itself", async (context) => {
  const directory = await temporaryDirectory(context);
  const live = new World(directory, { pipelines: [] });
  const ingest = await live.start();
  await live.receiver.context.store([{ value: "1" }, { value: "2" }]);
  await ingest.stop();
  const world = new World(directory);
  const output = from(world.receiver).decode(json()).writeTo(world.sink);
  await createIngest({
    ...world.options,
    pipelines: [pipeline("rows", { outputs: [output], trigger: availableNow() })],
  }).run();
  deepEqual(world.sink.rows, [1, 2]);
  equal(world.receiver.contexts.length, 0);
});

test("ingest: drain closes receivers and processes what is stored", async (context) => {
  const world = new World(await temporaryDirectory(context));
  const ingest = await world.start();
  await world.receiver.context.store({ value: "1" });
  deepEqual(await ingest.drain({ timeoutMs: 60_000 }), { kind: "drained" });
  deepEqual(world.sink.rows, [1]);
  ok(world.receiver.calls.includes("close 1"));
  await ingest.stop();
});

test("ingest: health, snapshot and metrics say what runs", async (context) => {
  const world = new World(await temporaryDirectory(context));
  const ingest = await world.start();
  await world.receiver.context.store({ value: "1" });
  await world.until(() => world.sink.rows.length === 1);
  deepEqual(ingest.health(), { kind: "ready" });
  throws(() => ingest.address(world.receiver), { code: "UNIT_UNKNOWN" });
  const units = ingest.snapshot().units.map(({ unit, status }) => `${unit} ${status}`);
  ok(
    units.includes("receivers/meters running") &&
      units.includes("pipelines/rows running") &&
      units.includes("log running"),
    units.join(", "),
  );
  const text = ingest.metricsText();
  ok(/^holdfast_receiver_records_total\{receiver="meters"\} 1$/m.test(text), text);
  await ingest.stop();
  equal(ingest.health().kind, "not-ready");
});

test("ingest: wrong combinations are refused before anything opens", () => {
  const receiver = new PushReceiver("meters");
  const output = (name: string) => from(receiver).decode(json()).writeTo(new RecordingSink(name));
  const a = pipeline("a", { outputs: [output("same")] });
  const b = pipeline("b", { outputs: [output("same")] });
  throws(() => createIngest({ directory: "d", receivers: [receiver], pipelines: [a, b] }), {
    code: "CONFIG_CONFLICT",
  });
  throws(() => createIngest({ directory: "d", receivers: [receiver, receiver], pipelines: [] }), {
    code: "CONFIG_CONFLICT",
  });
  throws(
    () =>
      createIngest({ directory: "d", receivers: [receiver], pipelines: [], log: { bytesMax: 1 } }),
    { code: "CONFIG_OUT_OF_RANGE" },
  );
  throws(() => createIngest({ directory: "d", receivers: [], pipelines: [a] as never }), {
    code: "CONFIG_REFERENCE",
  });
});

test("ingest: a stop while it starts ends the start", async (context) => {
  const world = new World(await temporaryDirectory(context));
  let opened: () => void = () => undefined;
  const opening = new Promise<void>((resolve) => (opened = resolve));
  world.sink.open = () => {
    opened();
    return new Promise(() => undefined);
  };
  const ingest = createIngest(world.options);
  const starting = ingest.start();
  starting.catch(() => undefined);
  await opening;
  const stopping = ingest.stop();
  await Promise.allSettled([starting]);
  await stopping;
  equal(ingest.health().kind, "not-ready");
});

test("ingest: a resumed receiver goes on, and what it failed on is a dead letter", async (context) => {
  const receivers = oneForOne({ maxRestarts: 0, withinMs: 60_000, decide: () => "resume" });
  const directory = await temporaryDirectory(context);
  const world = new World(directory, { supervision: { receivers } });
  const ingest = await world.start();
  const { guard, store } = world.receiver.context;
  guard<[Uint8Array]>(() => {
    throw new RangeError("in a socket callback");
  })(Buffer.from("broken"));
  await world.until(() => world.events.some(({ kind }) => kind === "dead-letter"));
  await store({ value: "1" });
  world.receiver.context.dropped(3, "pressure");
  ok(world.events.some((event) => event.kind === "receiver-dropped" && event.recordCount === 3));
  const text = ingest.metricsText();
  const name = "holdfast_receiver_dropped_records_total";
  ok(text.includes(`${name}{receiver="meters",reason="pressure"} 3\n`), text);
  ok(text.includes('holdfast_dead_letters_total{pipeline="meters",reason="INTERNAL"} 1\n'), text);
  await ingest.stop();
  deepEqual(world.receiver.calls, ["open 1", "close 1"]);
});
