import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { TurnClock } from "../../src/wal/turn-clock.ts";

test("turn clock: the time stands still within a turn and is asked again in the next", async () => {
  let nowMs = 0;
  const turn = new TurnClock({ wallMs: () => (nowMs += 1) });
  const times = [turn.wallMs(), turn.wallMs()];
  await Promise.resolve();
  times.push(turn.wallMs(), turn.wallMs());
  deepEqual(times, [1, 1, 2, 2]);
});
