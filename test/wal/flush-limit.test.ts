import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { FileHandle, Files } from "../../src/host/files.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { FlushLimit, limitFlushes } from "../../src/wal/flush-limit.ts";
import { openLog } from "../../src/wal/open-log.ts";
import { openTestLedger, planOf } from "../support/ledgers.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { timed } from "../support/timed.ts";
import { DIRECTORY, lines, Told } from "./log-scene.ts";

interface Flush {
  readonly startMs: number;
  readonly endMs: number;
}

/** A disk whose flushes take time, and what it was asked. */
class SlowCard {
  readonly disk = new SimulatedDisk();
  readonly flushes: Flush[] = [];
  readonly #clock: VirtualClock;
  readonly #latencyMs: () => number;

  constructor(clock: VirtualClock, latencyMs: () => number) {
    this.#clock = clock;
    this.#latencyMs = latencyMs;
  }

  files(): Files {
    const { disk } = this;
    return {
      open: async (path, mode) => {
        const handle = await disk.open(path, mode);
        return this.#handle(handle, mode.endsWith("-durable"));
      },
      makeDirectory: (path) => disk.makeDirectory(path),
      list: (path) => disk.list(path),
      rename: (from, to) => disk.rename(from, to),
      remove: (path) => disk.remove(path),
      syncDirectory: (path) => this.#flush(() => disk.syncDirectory(path)),
      readFile: (path) => disk.readFile(path),
      stat: (path) => disk.stat(path),
      fileSystem: (path) => disk.fileSystem(path),
    };
  }

  #handle(handle: FileHandle, isDurable: boolean): FileHandle {
    return {
      path: handle.path,
      read: (...call) => handle.read(...call),
      write: (...call) =>
        isDurable ? this.#flush(() => handle.write(...call)) : handle.write(...call),
      sync: () => this.#flush(() => handle.sync()),
      truncate: (bytes) => handle.truncate(bytes),
      size: () => handle.size(),
      close: () => handle.close(),
    };
  }

  async #flush<Result>(call: () => Promise<Result>): Promise<Result> {
    const startMs = this.#clock.monotonicMs();
    await new Promise<void>((resolve) => this.#clock.after(this.#latencyMs(), resolve));
    try {
      return await call();
    } finally {
      this.flushes.push({ startMs, endMs: this.#clock.monotonicMs() });
    }
  }
}

/** The most flushes that any second touches: one begins with the end of some flush, so those are all. */
function busiestSecond(flushes: readonly Flush[]): number {
  return Math.max(
    0,
    ...flushes.map(
      ({ endMs: fromMs }) =>
        flushes.filter(({ endMs, startMs }) => endMs >= fromMs && startMs < fromMs + 1_000).length,
    ),
  );
}

test("flush limit: log, ledger, fences, large groups and marks together stay below it", async () => {
  const schedules = fc.asyncProperty(
    fc.integer({ min: 4, max: 20 }),
    fc.integer({ min: 1, max: 2 ** 30 }),
    fc.array(fc.constantFrom("append", "large", "burst", "fence", "batch", "idle"), {
      maxLength: 40,
      size: "max",
    }),
    async (countMax, seed, steps) => {
      const clock = new VirtualClock();
      const random = createSeededRandom(seed);
      const card = new SlowCard(clock, () => Math.floor(random.next() * 120));
      const files = limitFlushes(card.files(), new FlushLimit(clock, countMax));
      const ledger = await timed(clock, openTestLedger(card.disk, { files, clock }));
      const { log } = await timed(
        clock,
        openLog({
          directory: DIRECTORY,
          clock,
          random,
          files,
          listener: new Told(),
          facts: ledger.facts("log"),
          logUuid: ledger.logUuid,
          segmentBytes: 4 * 1024 * 1024,
          bytesMax: 64 * 1024 * 1024,
          witnessAfterMs: 200,
        }),
      );
      await timed(clock, ledger.register("p", { writerId: "w", start: { log: { "0": 0 } } }));
      const waiting: Promise<unknown>[] = [];
      let epoch = 1;
      let batchId = 0;
      const append = (text: string): void =>
        void waiting.push(log.append(lines([text]), { receiver: "meters", epoch }));
      const batch = async (id: number): Promise<void> => {
        await ledger.plan(planOf(id));
        await ledger.commit({ pipeline: "p", batchId: id, epoch: ledger.epoch, tokens: {} });
      };
      let batches = Promise.resolve();
      for (const step of steps) {
        if (step === "append") append("a");
        if (step === "large") append("x".repeat(1024 * 1024));
        if (step === "burst") for (let index = 0; index < 20; index += 1) append(`b${index}`);
        if (step === "fence") waiting.push(log.fence("meters", (epoch += 1)));
        if (step === "batch") {
          const id = (batchId += 1);
          batches = batches.then(() => batch(id));
        }
        await clock.advance(step === "idle" ? 700 : 10);
      }
      await timed(clock, Promise.all([...waiting, batches]));
      await timed(clock, log.close());
      await timed(clock, ledger.close());
      ok(busiestSecond(card.flushes) <= countMax, `${busiestSecond(card.flushes)} > ${countMax}`);
    },
  );
  await fc.assert(schedules, { numRuns: 25 });
});

test("flush limit: the smallest interval between commits is no such bound", async () => {
  const clock = new VirtualClock();
  const card = new SlowCard(clock, () => 1);
  const { log } = await timed(
    clock,
    openLog({
      directory: DIRECTORY,
      clock,
      random: createSeededRandom(1),
      files: card.files(),
      listener: new Told(),
      minCommitIntervalMs: 1_000,
    }),
  );
  const stored = [];
  for (let index = 0; index < 10; index += 1) {
    stored.push(log.append(lines(["x".repeat(1024 * 1024)]), { receiver: `r${index}`, epoch: 1 }));
    await clock.advance(5);
  }
  await timed(clock, Promise.all(stored));
  await timed(clock, log.close());
  ok(busiestSecond(card.flushes) > 10);
});

test("flush limit: flushes begin in order, failed ones count, and nothing waits without need", async () => {
  const clock = new VirtualClock();
  const limit = new FlushLimit(clock, 2);
  const begun: [string, number][] = [];
  const flush = (name: string, cause?: Error): Promise<void> =>
    limit.run(() => {
      begun.push([name, clock.monotonicMs()]);
      return cause === undefined ? Promise.resolve() : Promise.reject(cause);
    });
  const failed = rejects(flush("a", new Error("EIO")), /EIO/);
  const rest = ["b", "c", "d", "e"].map((name) => flush(name));
  await clock.advance(2_000);
  await Promise.all([failed, ...rest]);
  deepEqual(begun, [
    ["a", 0],
    ["b", 0],
    ["c", 1_000],
    ["d", 1_000],
    ["e", 2_000],
  ]);
  await clock.advance(5_000);
  equal(clock.timerCount, 0);
  await flush("f");
  deepEqual(begun.at(-1), ["f", 7_000]);
});
