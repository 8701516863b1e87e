import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import type { Stored } from "../../src/contract/record.ts";
import type { OpenedLog } from "../../src/wal/open-log.ts";
import { createSeededRandom, type SeededRandom } from "../../src/testing/seeded-random.ts";
import {
  lines,
  MemoryFacts,
  newScene,
  open,
  readBack,
  type Scene,
  SEGMENT_BYTES,
} from "./log-scene.ts";

const SEEDS = 60;
const LIVES = 8;
const FAULT_KINDS = [
  "write",
  "write",
  "write",
  "sync",
  "rename",
  "open",
  "create",
  "remove",
  "read",
  "syncDirectory",
  "stat",
  "close",
] as const;

/**
 * One run: a disk that is crashed, filled and failed at random, and what was promised over all its
 * lives.
 */
class Run {
  readonly random: SeededRandom;
  readonly scene: Scene;
  readonly hasLedger: boolean;
  readonly segmentBytes: number;
  readonly acked = new Map<number, string>();
  readonly sent = new Set<string>();
  released = 0;

  constructor(seed: number) {
    this.random = createSeededRandom(seed);
    this.scene = newScene();
    this.hasLedger = this.random.chance(0.5);
    this.segmentBytes = this.random.pick([SEGMENT_BYTES, 3 * SEGMENT_BYTES]);
  }

  /** One life: opens, stores and releases until a fault, a power cut or an orderly end. */
  async live(): Promise<void> {
    const { random, scene } = this;
    if (!this.hasLedger) scene.facts = new MemoryFacts();
    scene.disk.capacityBytes = random.chance(0.3)
      ? random.integer(6, 30) * SEGMENT_BYTES
      : Infinity;
    const hasFault = random.chance(0.5);
    if (hasFault) this.#addFault();
    const opened = await this.#tryOpen();
    if (opened !== undefined) {
      const steps = random.integer(1, 25);
      for (let step = 0; step < steps; step += 1) await this.#step(opened);
      if (random.chance(0.3)) await this.#settled(opened.log.close());
    }
    if (!hasFault && random.chance(0.4)) scene.kill();
    else scene.crash(random.pick(["all", "none", () => random.chance(0.5)] as const));
  }

  #addFault(): void {
    const { random, scene } = this;
    const nth = random.integer(1, 60);
    const kind = random.pick(FAULT_KINDS);
    if (random.chance(0.4)) scene.disk.inject({ what: "power-off", nth });
    else
      scene.disk.inject({
        what: "error",
        kind,
        nth,
        code: random.pick(["EIO", "ENOSPC"]),
        effect: random.pick(["none", "disk"] as const),
      });
    if (random.chance(0.3)) scene.disk.inject({ what: "error", kind, nth: nth + 1, code: "EIO" });
  }

  async #tryOpen(): Promise<OpenedLog | undefined> {
    const opening = open(this.scene, {
      segmentBytes: this.segmentBytes,
      bytesMax: this.random.integer(4, 12) * this.segmentBytes,
      witnessAfterMs: this.random.pick([0, 50]),
      storeTimeoutMs: 500,
    });
    return await this.#settled(opening);
  }

  /** What a promise came to, or undefined when it failed or its process is dead. */
  async #settled<Value>(promise: Promise<Value>): Promise<Value | undefined> {
    const values: Value[] = [];
    promise.then(
      (value) => values.push(value),
      () => undefined,
    );
    for (let turn = 0; turn < 8 && values.length === 0; turn += 1) await this.scene.clock.settle();
    return values[0];
  }

  async #step(opened: OpenedLog): Promise<void> {
    const { clock } = this.scene;
    const action = this.random.integer(1, 10);
    if (action <= 7) await this.#storeSome(opened);
    else if (action === 8) await this.#releaseSome(opened);
    else if (action === 9) await clock.advance(this.random.integer(1, 2_000));
    else void this.#settled(readBack(opened));
  }

  async #storeSome(opened: OpenedLog): Promise<void> {
    const results: Promise<Stored | undefined>[] = [];
    for (let count = this.random.integer(1, 4); count > 0; count -= 1) {
      const texts = Array.from(
        { length: this.random.integer(1, 3) },
        (_, index) =>
          `${this.sent.size}-${index}-${"x".repeat(this.random.chance(0.1) ? 9_000 : 5)}`,
      );
      for (const text of texts) this.sent.add(text);
      const stored = opened.log.append(
        lines(texts, { channel: this.random.pick(["", "a", "b"]), position: Buffer.from("p") }),
        { receiver: this.random.pick(["meters", "gates"]), epoch: 1 },
      );
      stored.then(
        ({ firstOffset }) =>
          texts.forEach((text, index) => this.acked.set(firstOffset + index, text)),
        () => undefined,
      );
      results.push(stored.catch(() => undefined));
    }
    await this.#settled(Promise.all(results));
  }

  async #releaseSome(opened: OpenedLog): Promise<void> {
    const upTo = this.random.integer(0, opened.log.durableEnd);
    this.released = Math.max(this.released, upTo);
    await this.#settled(opened.log.release(upTo));
  }

  /**
   * On a healthy disk: every acknowledged record that was not released, at its offset; nothing
   * twice, nothing made up.
   */
  async check(why: string): Promise<void> {
    const { scene } = this;
    scene.disk.capacityBytes = Infinity;
    if (!this.hasLedger) scene.facts = new MemoryFacts();
    const opened = await open(scene, {
      segmentBytes: this.segmentBytes,
      bytesMax: 64 * this.segmentBytes,
    });
    const { oldestOffset } = opened.log.status();
    const { gaps, texts } = await readBack(opened);
    deepEqual(gaps, [], why);
    ok(oldestOffset <= this.released, `${why}: oldest ${oldestOffset}, released ${this.released}`);
    for (const [offset, text] of this.acked)
      if (offset >= oldestOffset)
        equal(texts[offset - oldestOffset], text, `${why}: offset ${offset}`);
    equal(new Set(texts).size, texts.length, `${why}: a record twice`);
    ok(
      texts.every((text) => this.sent.has(text)),
      `${why}: a record that was never sent`,
    );
    scene.crash("none");
  }
}

for (let seed = 1; seed <= SEEDS; seed += 20) {
  test(`random: lives with faults, power cuts and full disks, seeds ${seed} to ${seed + 19}`, async () => {
    for (let each = seed; each < seed + 20; each += 1) {
      const run = new Run(each);
      for (let life = 1; life <= LIVES; life += 1) {
        await run.live();
        await run.check(`seed ${each}, life ${life}`);
      }
    }
  });
}
