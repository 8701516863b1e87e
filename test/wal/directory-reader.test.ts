import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { valueOf } from "../../src/contract/record.ts";
import {
  type DirectoryItem,
  type DirectoryReader,
  openLogReader,
} from "../../src/wal/directory-reader.ts";
import { sharedDurableEnd } from "../../src/wal/durable-end.ts";
import type { LogOptions } from "../../src/wal/log-options.ts";
import type { OpenedLog } from "../../src/wal/open-log.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { timed } from "../support/timed.ts";
import {
  DIRECTORY,
  newScene,
  numbered,
  open,
  readBack,
  type Scene,
  SEGMENT_BYTES,
  segmentPaths,
  store,
  storeEach,
} from "./log-scene.ts";

const never = new AbortController().signal;

function reading(scene: Scene, durableEnd?: SharedArrayBuffer): Promise<DirectoryReader> {
  return openLogReader({
    files: scene.disk,
    clock: scene.clock,
    directory: DIRECTORY,
    ...(durableEnd === undefined ? {} : { durableEnd }),
  });
}

/** What a reader was given, by offset. Checks that items meet. */
class Given {
  readonly texts = new Map<number, string>();
  readonly others: string[] = [];
  next: number;

  constructor(from: number) {
    this.next = from;
  }

  take(item: DirectoryItem): void {
    const from = item.kind === "records" ? item.block.firstOffset : item.from;
    equal(from, this.next);
    if (item.kind === "records") {
      for (let index = 0; index < item.block.count; index += 1)
        this.texts.set(from + index, Buffer.from(valueOf(item.block, index)).toString());
      this.next += item.block.count;
      return;
    }
    this.others.push(
      item.kind === "gap"
        ? `${item.from}-${item.to} ${item.reason}`
        : `${item.from}-${item.to} expired`,
    );
    this.next = item.to;
  }
}

async function given(reader: DirectoryReader, from = 0): Promise<Given> {
  const all = new Given(from);
  for await (const item of reader.read(from, never)) all.take(item);
  return all;
}

test("directory reader: a record counts when something later proves it, and then at once", async () => {
  const scene = newScene();
  const opened = await open(scene);
  const reader = await reading(scene);
  await storeEach(opened, ["a", "b", "c"]);
  deepEqual([...(await given(reader)).texts.values()], ["a", "b"]);
  await storeEach(opened, ["d"]);
  deepEqual([...(await given(reader, 2)).texts.values()], ["c"]);
  await opened.log.close();
  deepEqual([...(await given(reader, 3)).texts.values()], ["d"]);
  equal(reader.durableEnd, 4);
  await reader.close();
});

test("directory reader: with the shared durable end the last record counts too", async () => {
  const scene = newScene();
  const durableEnd = sharedDurableEnd();
  const opened = await open(scene, { durableEnd });
  const reader = await reading(scene, durableEnd);
  await storeEach(opened, ["a", "b", "c"]);
  deepEqual([...(await given(reader)).texts.values()], ["a", "b", "c"]);
  const hold = scene.disk.hold({ kind: "write" });
  const stored = store(opened, ["d"]);
  await scene.clock.settle();
  // It is in the file, whole, and not durable.
  deepEqual((await given(reader, 3)).texts.size, 0);
  hold.release();
  await stored;
  deepEqual([...(await given(reader, 3)).texts.values()], ["d"]);
  await opened.log.close();
  await reader.close();
});

test("directory reader: a mark of an idle log, a SEAL and the next segment prove the last record", async () => {
  const scene = newScene();
  const opened = await open(scene, { witnessAfterMs: 100, bytesMax: 2 * SEGMENT_BYTES });
  const reader = await reading(scene);
  await store(opened, ["a"]);
  equal((await given(reader)).next, 0);
  await scene.clock.advance(200);
  equal((await given(reader)).next, 1);
  // Both segments fill up, and the log waits for room behind a SEAL.
  const waiting = numbered(40).map((text) => {
    const stored = store(opened, [text]).then(
      () => undefined,
      () => undefined,
    );
    return scene.clock.settle().then(() => stored);
  });
  await scene.clock.settle();
  for (const text of waiting.slice(0, 1)) await text;
  await scene.clock.advance(60_000);
  await Promise.all(waiting);
  equal((await given(reader)).next, opened.log.durableEnd);
  await opened.log.close();
  await reader.close();
});

test("directory reader: what was recycled has expired and is no damage, also under a reader", async () => {
  const scene = newScene();
  const opened = await open(scene);
  const reader = await reading(scene);
  await storeEach(opened, numbered(60));
  const all = new Given(0);
  const items = reader.read(0, never);
  const first = await items.next();
  if (!first.done) all.take(first.value);
  await opened.log.release(60);
  // The freed file is used again before the reader goes on.
  await storeEach(opened, numbered(60, 60));
  for await (const item of items) all.take(item);
  const { oldestOffset } = opened.log.status();
  equal(all.others.length, 1, all.others.join());
  ok(all.others[0]?.endsWith(`-${oldestOffset} expired`), all.others.join());
  for (const [offset, text] of all.texts) equal(text, `record ${offset}`);
  await opened.log.close();
  const rest = await given(reader);
  deepEqual(rest.others, [`0-${oldestOffset} expired`]);
  equal(rest.next, 120);
  await reader.close();
});

test("directory reader: damage is a gap of exactly what is lost, with a live writer too", async () => {
  for (const byte of [70, 90]) {
    const scene = newScene();
    const opened = await open(scene);
    await storeEach(opened, numbered(8));
    const [path = ""] = segmentPaths(scene);
    // Names, positions twice each, names twice in front of the first record; then one block each.
    const blocks = (scene.disk.contents(path).length - 8192) / 4096;
    ok(blocks > 8);
    const third = [...Array(blocks).keys()]
      .map((index) => 4096 * (index + 1))
      .filter((at) => scene.disk.contents(path)[at + 4] === 1)[2];
    scene.disk.flipBit(path, (third ?? 0) + byte, 3);
    const reader = await reading(scene);
    const all = await given(reader);
    deepEqual([all.others, all.next], [["2-3 damaged"], 7], `byte ${byte}`);
    await opened.log.close();
    await reader.close();
  }
});

test("directory reader: damage that comes while it tails does not hold it up for ever", async () => {
  const scene = newScene();
  const opened = await open(scene);
  const reader = await reading(scene);
  await storeEach(opened, numbered(3));
  equal((await given(reader)).next, 2);
  const [path = ""] = segmentPaths(scene);
  await storeEach(opened, numbered(3, 3));
  const at = [...Array(14).keys()]
    .map((index) => 4096 * (index + 1))
    .filter((position) => scene.disk.contents(path)[position + 4] === 1)[3];
  scene.disk.flipBit(path, (at ?? 0) + 10, 1);
  const all = new Given(2);
  for (let poll = 0; poll < 40 && all.next < 5; poll += 1)
    for await (const item of reader.read(all.next, never)) all.take(item);
  deepEqual([all.others, all.next], [["3-4 damaged"], 5]);
  await opened.log.close();
  await reader.close();
});

test("directory reader: an empty directory is waited for, none is an error", async () => {
  const scene = newScene();
  await rejects(reading(scene), { code: "ENOENT" });
  await rejects(
    openLogReader({ files: scene.disk, clock: scene.clock, directory: "/", pollMs: 0 }),
    {
      code: "CONFIG_OUT_OF_RANGE",
    },
  );
  scene.disk.putDirectory(DIRECTORY);
  const reader = await reading(scene);
  const stop = new AbortController();
  const all = new Given(0);
  const tailing = (async (): Promise<void> => {
    for await (const item of reader.tail(0, stop.signal)) all.take(item);
  })();
  await scene.clock.advance(500);
  const opened = await open(scene);
  await storeEach(opened, numbered(30));
  await scene.clock.advance(200);
  equal(all.next, 29);
  await opened.log.close();
  await scene.clock.advance(200);
  equal(all.next, 30);
  stop.abort(new Error("enough"));
  await rejects(tailing, /enough/);
  await reader.close();
  equal(scene.clock.timerCount, 0);
});

type Step =
  | "append"
  | "large"
  | "several"
  | "flying"
  | "idle"
  | "release"
  | "crash"
  | "kill"
  | "close"
  | "fault"
  | "read";

/** Runs a log with crashes, faults and recycling, while two readers follow it. */
class Life {
  readonly scene = newScene();
  readonly durableEnd: SharedArrayBuffer = sharedDurableEnd();
  /** Records that are in the log for certain, by offset. */
  readonly truth = new Map<number, string>();
  readonly readers: { readonly reader: DirectoryReader; readonly given: Given }[] = [];
  readonly #options: Partial<LogOptions>;
  readonly #random: ReturnType<typeof createSeededRandom>;
  #opened: OpenedLog | undefined;
  #count = 0;

  constructor(seed: number) {
    this.#random = createSeededRandom(seed);
    this.#options = {
      bytesMax: 5 * SEGMENT_BYTES,
      whenFull: "drop-oldest",
      durableEnd: this.durableEnd,
      witnessAfterMs: 50,
    };
  }

  async begin(): Promise<void> {
    await this.opened();
    for (const shared of [undefined, this.durableEnd])
      this.readers.push({ reader: await reading(this.scene, shared), given: new Given(0) });
  }

  async opened(): Promise<OpenedLog> {
    if (this.#opened !== undefined) return this.#opened;
    const opened = await timed(this.scene.clock, open(this.scene, this.#options));
    this.#opened = opened;
    // Found is in the log, acknowledged or not.
    const { oldestOffset } = opened.log.status();
    const { texts } = await readBack(opened);
    for (const [index, text] of texts.entries()) this.truth.set(oldestOffset + index, text);
    return opened;
  }

  async step(step: Step): Promise<void> {
    const { scene } = this;
    if (step === "read") return await this.read();
    if (step === "crash" || step === "kill") {
      this.#opened = undefined;
      // Readers see the system's memory, as another process does: a power cut would end them too.
      if (step === "kill") scene.kill();
      else scene.crash("all");
      return;
    }
    const { log } = await this.opened();
    if (step === "idle") return await scene.clock.advance(200);
    if (step === "release")
      return await log.release(Math.floor(log.durableEnd * this.#random.next()));
    if (step !== "close") return await this.#appendAs(step);
    await timed(scene.clock, log.close());
    this.#opened = undefined;
  }

  async #appendAs(step: "append" | "large" | "several" | "flying" | "fault"): Promise<void> {
    const { clock, disk } = this.scene;
    if (step === "fault")
      disk.inject({ what: "error", kind: "write", nth: 1, code: "EIO", effect: "cache" });
    // Read while the entry is in the file and not on the disk.
    const hold = step === "flying" ? disk.hold({ kind: "write" }) : undefined;
    const bytes = step === "large" ? Math.floor(this.#random.next() * SEGMENT_BYTES) : 1;
    for (let index = 0; index < (step === "several" ? 5 : 1); index += 1)
      this.#append(`${(this.#count += 1)} ${"x".repeat(bytes)}`);
    await clock.settle();
    if (hold === undefined) return;
    await this.read();
    hold.release();
    await clock.settle();
  }

  #append(text: string): void {
    const opened = this.#opened;
    if (opened === undefined) return;
    store(opened, [text]).then(
      ({ firstOffset }) => this.truth.set(firstOffset, text),
      () => undefined,
    );
  }

  async read(): Promise<void> {
    for (const each of this.readers) {
      try {
        await this.#readOn(each);
      } catch (cause) {
        // The simulated power went under it: its files are opened anew.
        if (!(cause instanceof Error && "code" in cause && cause.code === "EPOWEROFF")) throw cause;
        await this.#readOn(each);
      }
    }
  }

  async #readOn({ given: all, reader }: Life["readers"][number]): Promise<void> {
    for await (const item of reader.read(all.next, never)) {
      all.take(item);
      const end = this.#opened?.log.durableEnd ?? Infinity;
      ok(item.kind !== "records" || all.next <= end, `${all.next} of ${end}`);
    }
  }

  async end(): Promise<void> {
    const opened = await this.opened();
    await this.scene.clock.settle();
    if (opened.log.status().state === "failed") {
      await opened.log.close();
      this.#opened = undefined;
    }
    const { log } = await this.opened();
    await timed(this.scene.clock, log.close());
    await this.read();
    for (const { given: all, reader } of this.readers) {
      equal(all.next, log.durableEnd);
      for (const [offset, text] of all.texts) equal(text, this.truth.get(offset), `${offset}`);
      deepEqual(
        all.others.filter((other) => !other.endsWith(" expired")),
        [],
      );
      await reader.close();
    }
  }
}

test("directory reader: never a record that is not durable, all that are, whatever the writer meets", async () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom<Step>("append", "several", "flying", "read") },
      {
        weight: 3,
        arbitrary: fc.constantFrom<Step>(
          "large",
          "release",
          "idle",
          "fault",
          "close",
          "kill",
          "crash",
        ),
      },
    ),
    { maxLength: 80, size: "max" },
  );
  const property = fc.asyncProperty(
    steps,
    fc.integer({ min: 1, max: 2 ** 30 }),
    async (list, seed) => {
      const life = new Life(seed);
      await life.begin();
      for (const step of list) await life.step(step);
      await life.end();
    },
  );
  await fc.assert(property, { numRuns: 100 });
});
