import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";

import { verifyLog } from "../../src/wal/inspect.ts";
import { type ClosedLog, repairLog } from "../../src/wal/repair.ts";
import { NOTHING_KNOWN } from "../../src/wal/segment-listing.ts";
import {
  DIRECTORY,
  newScene,
  numbered,
  open,
  readBack,
  type Scene,
  segmentPaths,
  storeEach,
  UUID,
} from "./log-scene.ts";

function closed(scene: Scene): ClosedLog {
  const { clock, facts } = scene;
  return { clock, facts, files: scene.files(), directory: DIRECTORY, logUuid: UUID };
}

/** 40 records, an entry each, in three sealed segments and a closed one. */
async function filled(): Promise<Scene> {
  const scene = newScene();
  const opened = await open(scene);
  await storeEach(opened, numbered(40));
  await opened.log.close();
  return scene;
}

/** Position of the first byte of the body that holds `text`. */
function placeOf(scene: Scene, text: string): { readonly path: string; readonly at: number } {
  for (const path of segmentPaths(scene)) {
    const at = Buffer.from(scene.disk.contents(path)).indexOf(`${text}\n`);
    if (at >= 0) return { path, at };
  }
  throw new Error(`${text} is nowhere`);
}

function damage(scene: Scene, text: string): void {
  const { path, at } = placeOf(scene, text);
  scene.disk.flipBit(path, at, 0);
}

function segmentBytes(scene: Scene): readonly string[] {
  return segmentPaths(scene).map((path) =>
    Buffer.from(scene.disk.contents(path)).toString("base64"),
  );
}

test("repair: a whole log is left as it is, and nothing is found", async () => {
  const scene = await filled();
  const before = [scene.disk.paths(), segmentBytes(scene)];
  deepEqual(await repairLog(closed(scene)), { repaired: [], notes: [] });
  deepEqual([scene.disk.paths(), segmentBytes(scene), scene.facts.gaps], [...before, []]);
});

test("repair: damage in a sealed segment is copied aside and becomes a gap; a second run finds nothing", async () => {
  const scene = await filled();
  damage(scene, "record 5");
  damage(scene, "record 6");
  damage(scene, "record 20");
  const before = segmentBytes(scene);
  const { repaired } = await repairLog(closed(scene));
  deepEqual(
    repaired.map(({ gap, copyError, copies }) => [gap, copyError, copies.length]),
    [
      [{ from: 5, to: 7, reason: "damaged" }, undefined, 1],
      [{ from: 20, to: 21, reason: "damaged" }, undefined, 1],
    ],
  );
  const [first] = repaired;
  const copy = scene.disk.contents(first?.copies[0] ?? "");
  const { path, at } = placeOf(scene, "record 7");
  equal(copy.length, 2 * 4096);
  deepEqual(
    Buffer.from(copy),
    Buffer.from(scene.disk.contents(path).slice(at - 72 - 2 * 4096, at - 72)),
  );
  deepEqual(segmentBytes(scene), before);
  deepEqual((await repairLog(closed(scene))).repaired, []);
  const opened = await open(scene);
  deepEqual([opened.recovery.gaps, opened.log.status().state], [[], "running"]);
  deepEqual(await readBack(opened), {
    texts: numbered(40).filter((_, offset) => ![5, 6, 20].includes(offset)),
    gaps: [
      { from: 5, to: 7, reason: "damaged" },
      { from: 20, to: 21, reason: "damaged" },
    ],
  });
  equal(scene.told.gaps.length, 0);
  await opened.log.close();
});

test("repair: the end of a sealed segment, a lost segment and a lost tail become gaps with their reasons", async () => {
  const scene = await filled();
  const [, second = "", third = ""] = segmentPaths(scene);
  const baseOf = (path: string): number => Number.parseInt(path.split("-")[1] ?? "", 16);
  damage(scene, `record ${baseOf(second) - 1}`);
  scene.disk.take(second);
  scene.facts.nextOffsetMin = 45;
  const { repaired } = await repairLog(closed(scene));
  deepEqual(
    repaired.map(({ gap }) => gap),
    [
      { from: baseOf(second) - 1, to: baseOf(second), reason: "damaged" },
      { from: baseOf(second), to: baseOf(third), reason: "missing-segment" },
      { from: 40, to: 45, reason: "lost-tail" },
    ],
  );
  deepEqual((await repairLog(closed(scene))).repaired, []);
  const opened = await open(scene);
  deepEqual([opened.recovery.gaps, opened.recovery.nextOffset], [[], 45]);
  await opened.log.close();
});

test("repair: a damaged table and a damaged header cost no records, and are copied once", async () => {
  const scene = await filled();
  const [first = "", second = ""] = segmentPaths(scene);
  scene.disk.flipBit(first, 4096 + 73, 1);
  scene.disk.flipBit(second, 20, 1);
  const { repaired } = await repairLog(closed(scene));
  deepEqual(
    repaired.map(({ gap, positions, copies }) => [gap, positions, copies.length]),
    [
      [undefined, [4096, 8192], 1],
      [undefined, [0, 4096], 1],
    ],
  );
  deepEqual([(await repairLog(closed(scene))).repaired, scene.facts.gaps], [[], []]);
});

test("repair: without room for the copy the gap is recorded all the same", async () => {
  const scene = await filled();
  damage(scene, "record 9");
  scene.disk.inject({ what: "error", kind: "write", path: "quarantine", nth: 1, code: "ENOSPC" });
  const { repaired } = await repairLog(closed(scene));
  deepEqual(
    repaired.map(({ gap, copies, copyError }) => [gap, copies, copyError]),
    [[{ from: 9, to: 10, reason: "damaged" }, [], "ENOSPC"]],
  );
});

test("repair: killed before the gap is a fact, the next run does it again", async () => {
  const scene = await filled();
  damage(scene, "record 9");
  scene.facts.failures.push(new Error("killed"));
  await repairLog(closed(scene)).catch(() => undefined);
  scene.crash("none");
  const { repaired } = await repairLog(closed(scene));
  deepEqual([repaired.length, scene.facts.gaps], [1, [{ from: 9, to: 10, reason: "damaged" }]]);
});

test("repair: whatever is flipped or wiped, what is left is unchanged and the rest is a known gap", async () => {
  const whole = await filled();
  const paths = segmentPaths(whole);
  const flips = fc.array(
    fc.record({
      file: fc.nat(paths.length - 1),
      block: fc.integer({ min: 0, max: 15 }),
      byte: fc.nat(4095),
      wipes: fc.boolean(),
    }),
    { minLength: 1, maxLength: 6 },
  );
  await fc.assert(
    fc.asyncProperty(flips, async (all) => {
      const scene = await filled();
      for (const { file, block, byte, wipes } of all) {
        const path = paths[file] ?? "";
        const size = scene.disk.contents(path).length;
        if ((block + 1) * 4096 > size) continue;
        if (wipes) scene.disk.patch(path, block * 4096, new Uint8Array(4096));
        else scene.disk.flipBit(path, block * 4096 + byte, byte % 8);
      }
      const before = segmentBytes(scene);
      await repairLog(closed(scene));
      deepEqual(segmentBytes(scene), before);
      deepEqual((await repairLog(closed(scene))).repaired, []);
      const known = async () => ({ ...NOTHING_KNOWN, logUuid: UUID, gaps: scene.facts.gaps });
      ok((await verifyLog(scene.disk, DIRECTORY, known)).isWhole);
      const told = scene.told.gaps.length;
      const opened = await open(scene);
      deepEqual(opened.recovery.gaps, []);
      const { texts } = await readBack(opened, 0);
      equal(scene.told.gaps.length, told);
      const lost = new Set<number>();
      for (const { from, to } of scene.facts.gaps)
        for (let offset = from; offset < to; offset += 1) lost.add(offset);
      const end = opened.recovery.nextOffset;
      deepEqual(
        texts,
        numbered(end).filter((_, offset) => !lost.has(offset)),
      );
      await opened.log.close();
    }),
    { numRuns: 100 },
  );
});
