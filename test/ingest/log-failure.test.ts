/**
 * The log fails and is opened again: pipelines go on by themselves, whatever they were doing meanwhile.
 */
import { deepEqual, equal, rejects } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { AnyEvent } from "../../src/contract/events.ts";
import type { Files } from "../../src/host/files.ts";
import { realHost } from "../../src/host/real-host.ts";
import { asap, createIngest, from, json, pipeline } from "../../src/index.ts";
import { deferred } from "../support/deferred.ts";
import { silentLogger } from "../support/logger.ts";
import { PushReceiver } from "../support/push-receiver.ts";
import { RecordingSink } from "../support/sinks.ts";

/** The machine's files; writes fail whose path `isBroken` says so of. */
function breakable(isBroken: (path: string) => boolean): Files {
  const { files } = realHost();
  return {
    ...files,
    open: async (path, mode) => {
      const handle = await files.open(path, mode);
      return {
        path,
        read: (...call) => handle.read(...call),
        write: (...call) =>
          isBroken(path)
            ? Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" }))
            : handle.write(...call),
        sync: () => handle.sync(),
        truncate: (bytes) => handle.truncate(bytes),
        size: () => handle.size(),
        close: () => handle.close(),
      };
    },
  };
}

class World {
  readonly receiver = new PushReceiver("meters");
  readonly sink = new RecordingSink("out");
  readonly events: AnyEvent[] = [];
  /** Part of the paths of files that cannot be written. */
  broken: string | undefined;
  readonly #waiting: (() => void)[] = [];

  async start(context: TestContext): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), "holdfast-ingest-"));
    context.after(() => rm(directory, { recursive: true, force: true }));
    const output = from(this.receiver).decode(json()).writeTo(this.sink);
    const ingest = createIngest({
      directory,
      receivers: [this.receiver],
      pipelines: [pipeline("rows", { outputs: [output], trigger: asap() })],
      log: { bytesMax: 64 * 1024 * 1024, segmentBytes: 4 * 1024 * 1024 },
      logger: silentLogger,
      host: {
        ...realHost(),
        files: breakable((path) => this.broken !== undefined && path.includes(this.broken)),
      },
      listeners: [{ onEvent: (event) => this.#note(event) }],
    });
    await ingest.start();
    context.after(() => ingest.stop());
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  count(kind: AnyEvent["kind"], unit?: string): number {
    const isMeant = (event: AnyEvent): boolean =>
      event.kind === kind && (unit === undefined || ("unit" in event && event.unit === unit));
    return this.events.filter(isMeant).length;
  }

  /** Makes the log fail once and waits until it is open again. */
  async failLog(): Promise<void> {
    this.broken = "/log/";
    await rejects(this.receiver.context.store({ value: "0" }));
    await this.until(() => this.count("log-failed") === 1);
    this.broken = undefined;
    await this.until(() => this.count("unit-restarted", "log") === 1);
  }

  #note(event: AnyEvent): void {
    this.events.push(event);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

test("log failure: a pipeline that waited for input goes on when the log is open again", async (context) => {
  const world = new World();
  await world.start(context);
  await world.receiver.context.store({ value: "1" });
  await world.until(() => world.sink.rows.length === 1);
  await world.failLog();
  await world.receiver.context.store({ value: "2" });
  await world.until(() => world.sink.rows.length === 2);
  deepEqual(world.sink.rows, [1, 2]);
  equal(world.count("unit-parked"), 0);
});

test("log failure: a batch that outlasts the restart is committed, not parked", async (context) => {
  const world = new World();
  await world.start(context);
  const held = deferred<void>();
  world.sink.inspect = () => held.promise;
  await world.receiver.context.store({ value: "1" });
  await world.until(() => world.count("batch-started") === 1);
  await world.failLog();
  held.resolve();
  await world.receiver.context.store({ value: "2" });
  await world.until(() => world.sink.rows.length === 2);
  deepEqual(world.sink.rows, [1, 2]);
  equal(world.count("unit-parked"), 0);
});

test("log failure: a ledger that cannot be written is opened again, also when the log needs nothing of it", async (context) => {
  const world = new World();
  await world.start(context);
  await world.receiver.context.store({ value: "1" });
  await world.until(() => world.sink.rows.length === 1);
  world.broken = "/ledger/";
  await world.receiver.context.store({ value: "2" });
  await world.until(() => world.count("unit-failed", "log") === 1);
  world.broken = undefined;
  await world.until(() => world.count("unit-restarted", "log") === 1);
  await world.until(() => world.sink.rows.length === 2);
  deepEqual(world.sink.rows, [1, 2]);
  equal(world.count("unit-parked"), 0);
});
