import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SimulatedDisk } from "../../../src/testing/disk.ts";
import { manyRuns } from "../../support/runs.ts";
import { newScene, open, readBack, SEGMENT_BYTES, store } from "../log-scene.ts";
import { commandsOf } from "./commands.ts";
import { LogWorld } from "./log-world.ts";

/** Longer than any run waits for room. */
const FOR_EVER_MS = 2 ** 31 - 1;

test("log property: on a full disk appends wait, nothing is refused, and it goes on by itself", async () => {
  const commands = commandsOf({ append: 6, idle: 2, release: 1, read: 1, full: 2, room: 1 });
  await fc.assert(
    fc.asyncProperty(fc.integer(), commands, async (seed, list) => {
      const world = new LogWorld({ seed, log: { storeTimeoutMs: FOR_EVER_MS } });
      for (const command of list) await world.carryOut(command);
      const { log } = await world.opened();
      await world.carryOut({ kind: "room" });
      // Nobody tells the log that there is room: it looks.
      await world.carryOut({ kind: "idle", ms: 60_000 });
      const sent = world.sent.reduce((sum, { texts }) => sum + texts.length, 0);
      deepEqual(world.refused, [], world.explain());
      equal(log.durableEnd, sent, world.explain());
      await world.reopen("power");
    }),
    manyRuns,
  );
});

test("log property: a small budget holds back appends, never what was not released", async () => {
  const commands = commandsOf({ append: 10, idle: 1, release: 2, read: 1, reopen: 1 });
  const options = fc.record({
    segments: fc.integer({ min: 3, max: 6 }),
    keepBytes: fc.constantFrom(0, 3 * SEGMENT_BYTES),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      options,
      commands,
      async (seed, { segments, keepBytes }, list) => {
        const bytesMax = segments * SEGMENT_BYTES;
        const world = new LogWorld({ seed, log: { bytesMax, keepBytes, storeTimeoutMs: 500 } });
        for (const command of list) {
          await world.carryOut(command);
          const { bytes } = (await world.opened()).log.status();
          ok(bytes <= bytesMax, `${bytes} bytes of ${bytesMax}\n${world.explain()}`);
        }
        await world.carryOut({ kind: "release", share: 1 });
        await world.carryOut({ kind: "idle", ms: 1_000 });
        const before = world.promised.size;
        await world.append([{ channel: "", sizes: [10] }]);
        equal(world.promised.size, before + 1, "released space is used again");
        await world.reopen("power");
      },
    ),
    manyRuns,
  );
});

test("log property: what a ring drops is counted and told, the rest is whole", async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 12_000 }), { minLength: 1, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(fc.integer(), sizes, async (seed, list) => {
      const scene = newScene(new SimulatedDisk({ seed }));
      const ring = { bytesMax: 4 * SEGMENT_BYTES, whenFull: "drop-oldest" as const };
      const opened = await open(scene, ring);
      const texts = list.map((size, index) => `${index} ${"x".repeat(size)}`);
      for (const text of texts) await store(opened, [text]);
      const { gapRecords, oldestOffset } = opened.log.status();
      equal(gapRecords, oldestOffset);
      const dropped = scene.told.gaps.filter(({ reason }) => reason === "dropped");
      equal(dropped.length, scene.told.gaps.length);
      equal(
        dropped.reduce((sum, { from, to }) => sum + to - from, 0),
        oldestOffset,
      );
      deepEqual(await readBack(opened), { texts: texts.slice(oldestOffset), gaps: [] });
      scene.crash();
      const again = await open(scene, ring);
      deepEqual((await readBack(again)).texts, texts.slice(again.log.status().oldestOffset));
    }),
    manyRuns,
  );
});
