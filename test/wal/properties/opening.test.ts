import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FileHandle, Files } from "../../../src/host/files.ts";
import { type DiskFault, SimulatedDisk } from "../../../src/testing/disk.ts";
import { manyRuns } from "../../support/runs.ts";
import { lines, newScene, open, readBack, type Scene } from "../log-scene.ts";
import { commandsOf } from "./commands.ts";
import { LogWorld } from "./log-world.ts";

/** What users see of a log. */
async function seen(scene: Scene): Promise<unknown> {
  const opened = await open(scene);
  const { texts, gaps } = await readBack(opened, 0);
  const channels = ["", "a", "b", "c"].map((channel) =>
    Buffer.from(opened.log.position("meters", channel) ?? []).toString(),
  );
  const lost = gaps.flatMap(({ from, to }) =>
    Array.from({ length: to - from }, (_, index) => from + index),
  );
  return { end: opened.log.durableEnd, texts, lost, channels };
}

function twin({ disk, facts }: Scene): Scene {
  const scene = newScene(disk.clone());
  scene.facts = facts.copy();
  return scene;
}

test("log property: an opening that dies anywhere, any number of times, changes nothing", async () => {
  const commands = commandsOf({ append: 8, idle: 1, release: 1, reopen: 2, damage: 1 }, 20);
  const deaths = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.integer(), commands, deaths, async (seed, list, calls) => {
      const world = new LogWorld({ seed });
      for (const command of list) await world.carryOut(command);
      await world.end("power");
      const expected = await seen(twin(world.scene));
      const scene = twin(world.scene);
      for (const nth of calls) {
        scene.disk.inject({ what: "power-off", nth });
        await world.settled(open(scene).catch(() => undefined));
        scene.crash();
      }
      deepEqual(await seen(scene), expected, scene.disk.explain());
    }),
    manyRuns,
  );
});

/** Files that remember which handles failed, and refuse to let a program rely on them again. */
function watched(files: Files, complain: (what: string) => void): Files {
  const watch = (handle: FileHandle): FileHandle => {
    let hasFailed = false;
    const guard = async <T>(what: string, call: () => Promise<T>): Promise<T> => {
      if (hasFailed) complain(`${what} on ${handle.path} after a failure`);
      try {
        return await call();
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    };
    return {
      ...handle,
      write: (...call) => guard("write", () => handle.write(...call)),
      sync: () => guard("sync", () => handle.sync()),
    };
  };
  return { ...files, open: async (path, mode) => watch(await files.open(path, mode)) };
}

test("log property: after a failed write or sync nothing is written to that file, nor synced again", async () => {
  const fault: fc.Arbitrary<DiskFault> = fc.record({
    what: fc.constant("error" as const),
    code: fc.constantFrom("EIO", "EDQUOT"),
    effect: fc.constantFrom("cache" as const, "any" as const),
    kind: fc.constantFrom("write" as const, "sync" as const),
    nth: fc.integer({ min: 1, max: 60 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.array(fault, { minLength: 1, maxLength: 5 }),
      fc.array(fc.integer({ min: 0, max: 9_000 }), { minLength: 1, maxLength: 40 }),
      async (seed, faults, sizes) => {
        const disk = new SimulatedDisk({ seed });
        const scene = newScene(disk);
        const complaints: string[] = [];
        const files = watched(scene.files(), (what) => complaints.push(what));
        const acknowledged: string[] = [];
        const opened = await open(scene, { files });
        for (const each of faults) disk.inject(each);
        for (const [index, size] of sizes.entries()) {
          const text = `${index} ${"x".repeat(size)}`;
          const stored = opened.log.append(lines([text]), { receiver: "meters", epoch: 1 });
          void stored.then(
            () => acknowledged.push(text),
            () => undefined,
          );
          if (index % 3 === 0) await scene.clock.advance(10);
        }
        deepEqual(complaints, [], disk.explain());
        // The pages of a failed write are clean and may be gone: what was acknowledged is elsewhere.
        scene.crash("none");
        const { texts } = await readBack(await open(scene));
        for (const text of acknowledged) ok(texts.includes(text), disk.explain());
      },
    ),
    manyRuns,
  );
});
