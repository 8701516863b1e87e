import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";

import type { Files } from "../../src/host/files.ts";
import type { Keep } from "../../src/testing/disk.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import {
  lines,
  MemoryFacts,
  newScene,
  open,
  readBack,
  type Scene,
  SEGMENT_BYTES,
} from "./log-scene.ts";

/** Large enough that the tail of a dead log is moved at the next opening. */
const LARGE = { segmentBytes: 2 * SEGMENT_BYTES, bytesMax: 64 * SEGMENT_BYTES };

/** What was asked of the log, and what it promised. */
class Witness {
  /** Every text in the order it was handed over; a text is handed over once. */
  readonly sent: string[] = [];
  /** Offset -> text, as acknowledged. */
  readonly acked = new Map<number, string>();
  released = 0;
}

/** Blocks of one to three records, sometimes several in one go, with releases in between. */
async function work(scene: Scene, witness: Witness, rounds: number): Promise<void> {
  const opened = await open(scene, LARGE);
  const storeBlock = async (texts: readonly string[], channel: string): Promise<void> => {
    witness.sent.push(...texts);
    const position = Buffer.from(texts.at(-1) ?? "");
    const { firstOffset } = await opened.log.append(lines(texts, { channel, position }), {
      receiver: "meters",
      epoch: 1,
    });
    for (const [index, text] of texts.entries()) witness.acked.set(firstOffset + index, text);
  };
  const next = (): string => `${witness.sent.length}`;
  for (let round = 0; round < rounds; round += 1) {
    if (round % 3 === 0) await Promise.all([storeBlock([next()], "a"), storeBlock([next()], "b")]);
    else await storeBlock([next(), `${witness.sent.length + 1}`], `c${round % 7}`);
    if (round % 10 === 9) {
      const upTo = opened.log.durableEnd - 12;
      await opened.log.release(upTo);
      witness.released = Math.max(witness.released, upTo);
    }
  }
  if (rounds % 2 === 0) await opened.log.close();
}

/** Runs until the power goes; what the dead process would have gone on with never settles. */
async function workUntilDark(scene: Scene, witness: Witness, rounds: number): Promise<boolean> {
  let isDone = false;
  const running = work(scene, witness, rounds).then(
    () => (isDone = true),
    () => undefined,
  );
  await Promise.race([running, scene.clock.settle().then(() => scene.clock.settle())]);
  return isDone;
}

/**
 * Every acknowledged record at its offset, and behind them only records that were sent, each at
 * most once.
 */
async function check(scene: Scene, witness: Witness, why: string): Promise<void> {
  const opened = await open(scene, LARGE);
  const { oldestOffset } = opened.log.status();
  ok(
    oldestOffset <= witness.released,
    `${why}: oldest ${oldestOffset}, released ${witness.released}`,
  );
  const { gaps, texts } = await readBack(opened);
  deepEqual(gaps, [], why);
  for (const [offset, text] of witness.acked)
    if (offset >= oldestOffset)
      equal(texts[offset - oldestOffset], text, `${why}: offset ${offset}`);
  equal(new Set(texts).size, texts.length, `${why}: a record twice`);
  ok(
    texts.every((text) => witness.sent.includes(text)),
    why,
  );
  for (const channel of ["a", "b"]) {
    const position = opened.log.position("meters", channel);
    const newest = texts.findLast((text) => text === Buffer.from(position ?? []).toString());
    ok(
      position === undefined || newest !== undefined || oldestOffset > 0,
      `${why}: position of ${channel} is of no record`,
    );
  }
  const { firstOffset } = await opened.log.append(lines([`after ${why}`]), {
    receiver: "meters",
    epoch: 2,
  });
  equal(firstOffset, oldestOffset + texts.length, why);
  equal((await readBack(opened)).texts.at(-1), `after ${why}`);
  scene.crash("none");
  const again = await open(scene, LARGE);
  equal(again.log.durableEnd, firstOffset + 1, why);
  deepEqual(
    (await readBack(again)).texts.slice(0, -1),
    texts.slice(again.log.status().oldestOffset - oldestOffset),
    why,
  );
  await again.log.close();
}

const keeps: readonly (readonly [string, (seed: number) => Keep])[] = [
  ["all", () => "all"],
  ["none", () => "none"],
  [
    "some",
    (seed) => {
      const random = createSeededRandom(seed);
      return () => random.chance(0.5);
    },
  ],
];

for (const [word, keepOf] of keeps) {
  for (const hasLedger of [true, false]) {
    test(`crash: power cut at any call, ${word} of the unsynced kept, ${hasLedger ? "with" : "without"} a ledger`, async () => {
      const base = new SimulatedDisk();
      const first = new Witness();
      const before = newScene(base);
      await work(before, first, 29);
      before.crash("none");
      let nth = 1;
      for (let isDone = false; !isDone; nth += 1 + (nth % 4)) {
        const scene = newScene(base.clone());
        if (hasLedger) scene.facts = before.facts.copy();
        const witness = new Witness();
        witness.sent.push(...first.sent);
        for (const [offset, text] of first.acked) witness.acked.set(offset, text);
        witness.released = first.released;
        scene.disk.inject({ what: "power-off", nth });
        isDone = await workUntilDark(scene, witness, 36);
        scene.crash(keepOf(nth));
        if (!hasLedger) scene.facts = new MemoryFacts();
        await check(scene, witness, `call ${nth}`);
      }
      ok(nth > 60, `${nth} calls`);
    });
  }
}

for (const kind of [
  "open",
  "create",
  "read",
  "write",
  "sync",
  "close",
  "list",
  "rename",
  "remove",
  "syncDirectory",
  "stat",
  "fileSystem",
  "makeDirectory",
] as const) {
  for (const effect of ["none", "disk"] as const) {
    test(`crash: each ${kind} fails once (${effect === "none" ? "without" : "after its"} effect), then the process dies`, async () => {
      for (let nth = 1; ; nth += 1) {
        const scene = newScene();
        const witness = new Witness();
        await work(scene, witness, 3);
        scene.crash("none");
        scene.disk.inject({ what: "error", kind, nth, code: "EIO", effect });
        let failed: unknown;
        await work(scene, witness, 33).catch((cause: unknown) => (failed = cause));
        const wasHit = scene.disk.callCount(kind) >= nth;
        if (failed === undefined) ok(witness.acked.size > 40, `${witness.acked.size}`);
        scene.crash("none");
        await check(scene, witness, `${kind} ${nth}`);
        if (!wasHit || nth > 30) break;
      }
    });
  }
}

test("crash: a log that failed is opened again beside what it left, many times", async () => {
  const scene = newScene();
  const witness = new Witness();
  for (let round = 1; round <= 30; round += 1) {
    scene.disk.inject({
      what: "error",
      kind: "write",
      nth: round,
      code: "EIO",
      effect: round % 2 === 0 ? "disk" : "none",
    });
    scene.disk.inject({
      what: "error",
      kind: "write",
      nth: round + 1,
      code: "EIO",
      effect: "none",
    });
    await work(scene, witness, 7).catch(() => undefined);
    scene.crash(round % 3 === 0 ? "all" : "none");
  }
  await check(scene, witness, "after 30 failures");
});

/**
 * Files whose durable writes, or whose directories, stay in the system's memory: the last moment
 * before a kill.
 */
function unsyncedFiles(files: Files, what: "writes" | "names"): Files {
  if (what === "names") return { ...files, syncDirectory: () => Promise.resolve() };
  return {
    ...files,
    open: (path, mode) => files.open(path, mode === "write-durable" ? "write" : mode),
  };
}

for (const what of ["writes", "names"] as const) {
  test(`crash: unsynced ${what} of a killed process are made durable before anything is built on them`, async () => {
    const scene = newScene();
    const size = { segmentBytes: 4 * SEGMENT_BYTES, bytesMax: 16 * SEGMENT_BYTES };
    const origin = { receiver: "meters", epoch: 1 };
    const first = await open(scene, size);
    await first.log.append(lines(["a"]), origin);
    await scene.clock.settle();
    scene.kill();
    const second = await open(scene, { ...size, files: unsyncedFiles(scene.files(), what) });
    await second.log.append(lines(["b"]), origin);
    await second.log.close();
    const third = await open(scene, size);
    deepEqual((await readBack(third)).texts, ["a", "b"]);
    equal(third.recovery.isClean, true);
    await third.log.append(lines(["c"]), origin);
    scene.crash("none");
    const fourth = await open(scene, size);
    deepEqual(await readBack(fourth), { texts: ["a", "b", "c"], gaps: [] });
    await fourth.log.close();
  });
}
