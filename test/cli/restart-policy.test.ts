import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FINAL_EXIT_CODES } from "../../src/cli/exit-codes.ts";
import {
  afterEnd,
  type AfterEnd,
  type EndFacts,
  exitCodeOf,
  type RestartPolicy,
  shortestUseUpMs,
} from "../../src/cli/restart-policy.ts";
import type { ChildEnd } from "../../src/host/children.ts";
import { equalJitter } from "../../supervisors/index.ts";
import { manyRuns } from "../support/runs.ts";

const policy: RestartPolicy = {
  limit: { maxRestarts: 3, withinMs: 60_000 },
  backoff: equalJitter({ minMs: 1_000, maxMs: 8_000, resetAfterMs: 0 }),
};
const failed: ChildEnd = { kind: "exited", code: 1 };

function after(more: Partial<EndFacts> = {}, given: RestartPolicy = policy): AfterEnd {
  return afterEnd(given, {
    end: failed,
    ranMs: 4_000,
    isStopping: false,
    restartTimes: [],
    nowMs: 0,
    random: 0,
    ...more,
  });
}

test("restart policy: codes that no restart mends are those whose errors are not retried", () => {
  deepEqual(FINAL_EXIT_CODES, [64, 65, 78]);
});

for (const [end, code, line] of [
  [{ kind: "exited", code: 0 }, 0, undefined],
  [{ kind: "exited", code: 64 }, 64, "ended with code 64 after 4.0s, which no restart mends"],
  [{ kind: "exited", code: 65 }, 65, "ended with code 65 after 4.0s, which no restart mends"],
  [{ kind: "exited", code: 78 }, 78, "ended with code 78 after 4.0s, which no restart mends"],
] as const) {
  test(`restart policy: code ${code} ends it at once, with that code`, () => {
    const said = line === undefined ? undefined : `supervise: run ${line}`;
    deepEqual(after({ end }), { kind: "end", code, line: said });
  });
}

for (const [end, how] of [
  [failed, "ended with code 1"],
  [{ kind: "exited", code: 69 }, "ended with code 69"],
  [{ kind: "exited", code: 13 }, "ended with code 13"],
  [{ kind: "killed", signal: "SIGKILL", number: 9 }, "was ended by SIGKILL"],
  // 65 of a shell's counting is a signal's, no damage: 128 and the number never get there.
  [{ kind: "killed", signal: "SIGTERM", number: 15 }, "was ended by SIGTERM"],
  [{ kind: "not-started", cause: new Error("EAGAIN") }, "could not be started (EAGAIN)"],
] as const) {
  test(`restart policy: what ${how} is started again`, () => {
    deepEqual(after({ end, nowMs: 5 }), {
      kind: "restart",
      delayMs: 500,
      restartTimes: [5],
      line: `supervise: run ${how} after 4.0s; restart 1 of 3 within 1m, in 0.5s`,
    });
  });
}

for (const end of [failed, { kind: "killed", signal: "SIGKILL", number: 9 }] as const) {
  test(`restart policy: a stop is the end, whatever became of it (${end.kind})`, () => {
    const code = end.kind === "exited" ? 1 : 137;
    deepEqual(after({ end, isStopping: true }), { kind: "end", code, line: undefined });
  });
}

test("restart policy: a window that is used up ends with the last code", () => {
  deepEqual(after({ restartTimes: [0, 1, 2], nowMs: 59_999 }), {
    kind: "end",
    code: 1,
    line: "supervise: run ended with code 1 after 4.0s; 3 restarts within 1m are used up",
  });
});

test("restart policy: a run as long as the interval counts as new, for the delay as well", () => {
  const next = after({ restartTimes: [0, 1, 2], nowMs: 60_002, random: 0.5 });
  deepEqual(next.kind === "restart" && [next.restartTimes, next.delayMs], [[60_002], 750]);
});

test("restart policy: the delay doubles up to its limit, its upper half random", () => {
  const unlimited = { ...policy, limit: { maxRestarts: Infinity, withinMs: 60_000 } };
  const delays = [0, 1, 2, 3, 9].map((count) => {
    const restartTimes = Array.from({ length: count }, (_, index) => index);
    const bounds = [0, 1].map((random) => after({ restartTimes, nowMs: 100, random }, unlimited));
    return bounds.map((next) => (next.kind === "restart" ? next.delayMs : next.kind));
  });
  deepEqual(delays, [
    [500, 1_000],
    [1_000, 2_000],
    [2_000, 4_000],
    [4_000, 8_000],
    [4_000, 8_000],
  ]);
});

test("restart policy: without a limit the line names none", () => {
  const unlimited = { ...policy, limit: { maxRestarts: Infinity, withinMs: 60_000 } };
  equal(
    after({}, unlimited).line,
    "supervise: run ended with code 1 after 4.0s; restart 1 within 1m, in 0.5s",
  );
});

test("restart policy: codes as a shell shows them", () => {
  equal(exitCodeOf({ kind: "killed", signal: "SIGSEGV", number: 11 }), 139);
  equal(exitCodeOf({ kind: "not-started", cause: new Error("no") }), 1);
});

/** Ends a program again and again, as fast as the policy lets it. */
function granted(
  given: RestartPolicy,
  runs: readonly { readonly ranMs: number; readonly random: number }[],
): { readonly timesMs: readonly number[]; readonly isUsedUp: boolean } {
  const timesMs: number[] = [];
  let nowMs = 0;
  let restartTimes: readonly number[] = [];
  for (const { ranMs, random } of runs) {
    nowMs += ranMs;
    const next = after({ restartTimes, nowMs, random, ranMs }, given);
    if (next.kind === "end") return { timesMs, isUsedUp: true };
    timesMs.push(nowMs);
    ({ restartTimes } = next);
    nowMs += next.delayMs;
  }
  return { timesMs, isUsedUp: false };
}

const anyPolicy = fc
  .record({
    maxRestarts: fc.integer({ min: 1, max: 6 }),
    withinMs: fc.integer({ min: 1_000, max: 120_000 }),
    minMs: fc.integer({ min: 0, max: 3_000 }),
    moreMs: fc.integer({ min: 0, max: 20_000 }),
  })
  .map(({ maxRestarts, withinMs, minMs, moreMs }) => ({
    limit: { maxRestarts, withinMs },
    backoff: equalJitter({ minMs, maxMs: minMs + moreMs, resetAfterMs: 0 }),
  }));
const anyRuns = fc.array(
  fc.record({
    ranMs: fc.integer({ min: 0, max: 30_000 }),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  }),
  { maxLength: 40 },
);

test("restart policy: in any interval of the window's length at most so many restarts", () => {
  fc.assert(
    fc.property(anyPolicy, anyRuns, (given, runs) => {
      const { maxRestarts, withinMs } = given.limit;
      const { timesMs } = granted(given, runs);
      for (const [index, timeMs] of timesMs.entries()) {
        const next = timesMs[index + maxRestarts];
        ok(next === undefined || next - timeMs >= withinMs);
      }
    }),
    manyRuns,
  );
});

test("restart policy: a window is never used up exactly if its shortest use is as long as itself", () => {
  const atOnce = Array.from({ length: 8 }, () => ({ ranMs: 0, random: 0 }));
  fc.assert(
    fc.property(anyPolicy, (given) => {
      const { isUsedUp } = granted(given, atOnce);
      equal(isUsedUp, shortestUseUpMs(given) < given.limit.withinMs);
    }),
    manyRuns,
  );
});
