import { deepEqual, equal, rejects } from "node:assert/strict";
import { test } from "node:test";

import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "./virtual-clock.ts";

test("virtual clock: timers fire in order of their time, then of their creation", async () => {
  const clock = new VirtualClock();
  const fired: string[] = [];
  for (const [name, ms] of [
    ["late", 20],
    ["first", 10],
    ["second", 10],
    ["never", 31],
  ] as const) {
    clock.after(ms, () => fired.push(`${name}@${clock.monotonicMs()}`));
  }
  await clock.advance(30);
  deepEqual(fired, ["first@10", "second@10", "late@20"]);
  equal(clock.monotonicMs(), 30);
  equal(clock.timerCount, 1);
});

test("virtual clock: a timer that a timer's promise sets fires in the same advance", async () => {
  const clock = new VirtualClock();
  const at: number[] = [];
  const loop = async (): Promise<void> => {
    for (let round = 0; round < 3; round += 1) {
      await clock.sleep(10, new AbortController().signal);
      await clock.yield();
      at.push(clock.monotonicMs());
    }
  };
  const done = loop();
  await clock.advance(100);
  await done;
  deepEqual(at, [10, 20, 30]);
});

test("virtual clock: an aborted sleep rejects and leaves no timer", async () => {
  const clock = new VirtualClock();
  const controller = new AbortController();
  const sleeping = clock.sleep(10, controller.signal);
  controller.abort(new Error("enough"));
  await rejects(sleeping, /enough/);
  equal(clock.timerCount, 0);
});

test("virtual clock: the wall clock may jump, the monotonic one does not", async () => {
  const clock = new VirtualClock({ wallStartMs: 1_000 });
  await clock.advance(5);
  clock.jumpWall(-500);
  deepEqual([clock.wallMs(), clock.monotonicMs()], [505, 5]);
});

test("seeded random: a seed repeats its values, another one gives others", () => {
  const draw = (seed: number): readonly number[] => {
    const random = createSeededRandom(seed);
    return Array.from({ length: 8 }, () => random.integer(0, 1_000_000));
  };
  deepEqual(draw(7), draw(7));
  equal(new Set([...draw(7), ...draw(8)]).size, 16);
});

test("seeded random: integers reach both bounds and stay inside", () => {
  const random = createSeededRandom(1);
  const seen = new Set(Array.from({ length: 200 }, () => random.integer(3, 6)));
  deepEqual(
    [3, 4, 5, 6].map((value) => seen.delete(value)),
    [true, true, true, true],
  );
  equal(seen.size, 0);
});
