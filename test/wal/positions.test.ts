import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { OpenedLog } from "../../src/wal/open-log.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { timed } from "../support/timed.ts";
import { newScene, numbered, open, SEGMENT_BYTES, store, storeEach } from "./log-scene.ts";

function positionOf({ log }: OpenedLog, channel: string): string | undefined {
  const position = log.position("meters", channel);
  return position && Buffer.from(position).toString();
}

function at(channel: string, position: string): { channel: string; position: Uint8Array } {
  return { channel, position: Buffer.from(position) };
}

test("positions: they stay when all records of their channels are gone, over crashes in a row", async () => {
  for (const keep of ["none", "all"] as const) {
    const scene = newScene();
    const first = await open(scene);
    await store(first, ["a"], at("orders", "p"));
    await storeEach(first, numbered(40));
    await first.log.release(first.log.durableEnd);
    scene.crash(keep);
    for (let round = 0; round < 4; round += 1) {
      const opened = await open(scene);
      equal(positionOf(opened, "orders"), "p", `${keep}, round ${round}`);
      // The new segment has only its tables; nothing before it is needed.
      await opened.log.release(opened.log.durableEnd);
      equal(positionOf(opened, "orders"), "p");
      scene.crash(keep);
    }
  }
});

test("positions: they outlast a segment that has only its tables, whatever cut it off", async () => {
  for (const effect of ["none", "cache", "disk"] as const) {
    const scene = newScene();
    const first = await open(scene);
    await store(first, ["a"], at("orders", "p"));
    scene.crash("all");
    const second = await open(scene);
    await second.log.release(1);
    // The first record fails, and the segment is cut behind its tables; the next one has tables only too.
    scene.disk.inject({ what: "error", kind: "write", nth: 1, code: "EIO", effect });
    await store(second, ["b"]).catch(() => undefined);
    await second.log.release(second.log.durableEnd);
    scene.crash("none");
    const third = await open(scene);
    equal(positionOf(third, "orders"), "p", effect);
    equal(third.log.durableEnd, second.log.durableEnd);
    await third.log.close();
    // Closed in order with tables only: it goes on in the same segment.
    const fourth = await open(scene);
    equal(positionOf(fourth, "orders"), "p", effect);
    deepEqual(scene.told.gaps, []);
    await fourth.log.close();
  }
});

test("positions: without a ledger too, and offsets go on where they were", async () => {
  const scene = newScene();
  const first = await open(scene);
  await store(first, ["a"], at("orders", "p"));
  await storeEach(first, numbered(30));
  scene.crash("all");
  const second = await open(scene);
  await second.log.release(31);
  scene.crash("none");
  scene.facts.floor = undefined;
  scene.facts.cuts = [];
  scene.facts.gaps = [];
  const third = await open(scene);
  deepEqual([positionOf(third, "orders"), third.log.durableEnd], ["p", 31]);
  await third.log.close();
});

test("positions: a series of openings that store nothing keeps one segment", async () => {
  const scene = newScene();
  const first = await open(scene);
  await store(first, ["a"], at("orders", "p"));
  for (let round = 0; round < 8; round += 1) {
    scene.crash(round % 2 === 0 ? "all" : "none");
    const opened = await open(scene, { bytesMax: 4 * SEGMENT_BYTES });
    await opened.log.release(1);
    ok(opened.log.status().bytes <= 4 * SEGMENT_BYTES);
    equal(opened.log.status().state, "running");
  }
});

type Crash = "none" | "all" | "some" | "kill";
type Step = Crash | "position" | "fill" | "release" | "close" | "fault" | "idle";

const CHANNELS = ["a", "b", "c"] as const;

/** A log through its lives, and what it owes its receivers. */
class Lives {
  readonly #scene = newScene(new SimulatedDisk());
  readonly #random: ReturnType<typeof createSeededRandom>;
  readonly #whenFull: "block" | "drop-oldest";
  readonly #acknowledged = new Map<string, number>();
  #attempted = 0;
  #opened: OpenedLog | undefined;

  constructor(seed: number, whenFull: "block" | "drop-oldest") {
    this.#random = createSeededRandom(seed);
    this.#whenFull = whenFull;
  }

  /** Opens it unless it is open, and asks for every position that it has acknowledged. */
  async opened(): Promise<OpenedLog> {
    if (this.#opened !== undefined) return this.#opened;
    const options = {
      bytesMax: 4 * SEGMENT_BYTES,
      whenFull: this.#whenFull,
      witnessAfterMs: 50,
    };
    const opened = await timed(this.#scene.clock, open(this.#scene, options));
    for (const [channel, least] of this.#acknowledged) {
      const found = Number(positionOf(opened, channel));
      ok(found >= least && found <= this.#attempted, `${channel}: ${found}, stored ${least}`);
    }
    this.#opened = opened;
    return opened;
  }

  crash(crash: Crash): void {
    this.#opened = undefined;
    if (crash === "kill") this.#scene.kill();
    else this.#scene.crash(crash === "some" ? () => this.#random.next() < 0.5 : crash);
  }

  async step(step: Exclude<Step, Crash>): Promise<void> {
    const { clock, disk } = this.#scene;
    const opened = await this.opened();
    if (step === "fault")
      disk.inject({ what: "error", kind: "write", nth: 1, code: "EIO", effect: "cache" });
    if (step === "position" || step === "fault") this.#append(opened);
    if (step === "fill")
      for (let index = 0; index < 4; index += 1) {
        store(opened, ["y"]).catch(() => undefined);
        await clock.settle();
      }
    // Everything: what is left are tables.
    if (step === "release") await opened.log.release(opened.log.durableEnd);
    if (step === "idle") await clock.advance(100);
    await clock.settle();
    if (step !== "close") return;
    await timed(clock, opened.log.close());
    this.#opened = undefined;
  }

  #append(opened: OpenedLog): void {
    const channel = CHANNELS[Math.floor(this.#random.next() * CHANNELS.length)] ?? "a";
    this.#attempted += 1;
    const position = this.#attempted;
    store(opened, ["x"], at(channel, String(position))).then(
      () => this.#acknowledged.set(channel, position),
      () => undefined,
    );
  }
}

function isCrash(step: Step): step is Crash {
  return step === "none" || step === "all" || step === "some" || step === "kill";
}

test("positions: the last acknowledged one or a later one, after any crash and any release", async () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom<Step>("position", "fill", "release", "release") },
      {
        weight: 2,
        arbitrary: fc.constantFrom<Step>("none", "all", "some", "kill", "close", "fault", "idle"),
      },
    ),
    { maxLength: 40, size: "max" },
  );
  const property = fc.asyncProperty(
    steps,
    fc.integer({ min: 1, max: 2 ** 30 }),
    fc.constantFrom("block" as const, "drop-oldest" as const),
    async (list, seed, whenFull) => {
      const lives = new Lives(seed, whenFull);
      for (const step of list) {
        if (isCrash(step)) lives.crash(step);
        else await lives.step(step);
      }
      lives.crash("kill");
      await lives.opened();
    },
  );
  await fc.assert(property, { numRuns: 150 });
});
