import { deepEqual, equal, ok } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";

import { realClock } from "../../src/host/clock.ts";
import { realRandom } from "../../src/host/random.ts";
import { realFiles } from "../../src/host/real-files.ts";
import { sharedDurableEnd } from "../../src/wal/durable-end.ts";
import type { LogOptions } from "../../src/wal/log-options.ts";
import { openLog, type OpenedLog } from "../../src/wal/open-log.ts";
import { lines, SEGMENT_BYTES, Told } from "./log-scene.ts";
import type { ReaderThreadOptions, ReaderThreadReport } from "./reader-thread.ts";

const THREAD = new URL("./reader-thread.js", import.meta.url);

/** A thread that follows a directory. */
class ReaderThread {
  readonly report: Promise<ReaderThreadReport>;
  /** Where it is. */
  next = 0;
  #arrived: (() => void) | undefined;
  #wanted = 0;

  constructor(context: TestContext, options: ReaderThreadOptions) {
    const worker = new Worker(THREAD, { workerData: options });
    context.after(() => worker.terminate());
    this.report = new Promise((resolve, reject) => {
      worker.once("error", reject);
      worker.on("message", (message: { next?: number; report?: ReaderThreadReport }) => {
        this.next = message.next ?? this.next;
        if (message.report !== undefined) resolve(message.report);
        if (this.next >= this.#wanted) this.#arrived?.();
      });
    });
  }

  /** Resolves when it has everything below. */
  reached(offset: number): Promise<void> {
    if (this.next >= offset) return Promise.resolve();
    this.#wanted = offset;
    return new Promise((resolve) => {
      this.#arrived = resolve;
    });
  }
}

async function opened(
  context: TestContext,
  more: Partial<LogOptions>,
): Promise<OpenedLog & { readonly directory: string }> {
  const parent = await mkdtemp(join(tmpdir(), "holdfast-reader-"));
  context.after(() => rm(parent, { recursive: true, force: true }));
  const directory = join(parent, "log");
  const log = await openLog({
    directory,
    clock: realClock,
    random: realRandom,
    files: realFiles,
    listener: new Told(),
    segmentBytes: SEGMENT_BYTES,
    bytesMax: 8 * SEGMENT_BYTES,
    ...more,
  });
  return { ...log, directory };
}

async function append({ log }: OpenedLog, from: number, count: number): Promise<void> {
  for (let offset = from; offset < from + count; offset += 1)
    await log.append(lines([`record ${offset}`]), { receiver: "meters", epoch: 1 });
}

test("reader thread: two threads follow a writer, whose files are recycled behind them", async (context) => {
  const total = 600;
  const durableEnd = sharedDurableEnd();
  const writing = await opened(context, { durableEnd });
  const told = new ReaderThread(context, { directory: writing.directory, to: total, durableEnd });
  const alone = new ReaderThread(context, {
    directory: writing.directory,
    to: total,
    durableEnd: undefined,
  });
  for (let from = 0; from < total; from += 40) {
    await append(writing, from, 40);
    // The one that is told has all at once; what the other has, but for the newest, is on the disk alone.
    await Promise.all([told.reached(from + 40), alone.reached(from + 39)]);
    await writing.log.release(from + 30);
  }
  ok(writing.log.status().oldestOffset > 0);
  await writing.log.close();
  const whole = { recordCount: total, expiredCount: 0, wrong: [] };
  deepEqual(await told.report, whole);
  deepEqual(await alone.report, whole);
});

test("reader thread: one that is too slow is told what has expired, and nothing is damage", async (context) => {
  const total = 2_000;
  const writing = await opened(context, {});
  const thread = new ReaderThread(context, {
    directory: writing.directory,
    to: total,
    durableEnd: undefined,
  });
  for (let from = 0; from < total; from += 20) {
    await append(writing, from, 20);
    await writing.log.release(from + 20);
  }
  await writing.log.close();
  const { expiredCount, recordCount, wrong } = await thread.report;
  deepEqual(wrong, []);
  equal(recordCount + expiredCount, total);
});
