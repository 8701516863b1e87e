import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { delayMs, equalJitter, withoutJitter } from "../../supervisors/backoff.ts";
import { when } from "../../supervisors/directive.ts";
import {
  grantRestart,
  type RestartTimes,
  UNLIMITED_REMEMBERED_MAX,
} from "../../supervisors/restart-window.ts";
import { oneForOne, STRATEGY_DEFAULTS } from "../../supervisors/strategy.ts";
import { type Case, judge } from "../../supervisors/verdict.ts";
import type { Decider, Directive, OnExhausted, StrategyOptions } from "../../src/contract/unit.ts";
import { HoldfastError } from "../../src/errors.ts";

/** Times of the restarts that a window grants for failures at these times. */
function granted(
  failuresMs: readonly number[],
  limit: { readonly maxRestarts: number; readonly withinMs: number },
): readonly number[] {
  let times: RestartTimes = [];
  return failuresMs.filter((nowMs) => {
    const next = grantRestart(times, nowMs, limit);
    if (next !== undefined) times = next;
    return next !== undefined;
  });
}

test("restart window: at most N in any half-open interval, and never fewer than it could", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 60 }),
      fc.integer({ min: 0, max: 5 }),
      fc.integer({ min: 1, max: 50 }),
      (gaps, maxRestarts, withinMs) => {
        let nowMs = 0;
        const failuresMs = gaps.map((gap) => (nowMs += gap));
        const grantedMs = granted(failuresMs, { maxRestarts, withinMs });
        const inside = (endMs: number): number =>
          grantedMs.filter((timeMs) => timeMs <= endMs && endMs - timeMs < withinMs).length;
        for (const timeMs of failuresMs) ok(inside(timeMs) <= maxRestarts);
        const refusedMs = failuresMs.filter((timeMs) => !grantedMs.includes(timeMs));
        for (const timeMs of refusedMs) equal(inside(timeMs), maxRestarts);
      },
    ),
  );
});

test("restart window: the schedule that gets 19 of 10 through a tumbling window gets 10", () => {
  // One failure opens a tumbling window, nine come at its end, ten right behind it.
  const schedule = [
    0,
    ...Array.from({ length: 9 }, () => 999),
    ...Array.from({ length: 10 }, () => 1_001),
  ];
  const grantedMs = granted(schedule, { maxRestarts: 10, withinMs: 1_000 });
  equal(grantedMs.filter((timeMs) => timeMs > 1).length, 10);
});

test("restart window: none of 0, all of Infinity", () => {
  deepEqual(granted([1, 2, 3], { maxRestarts: 0, withinMs: 1_000 }), []);
  deepEqual(granted([1, 1, 1], { maxRestarts: Infinity, withinMs: 1_000 }), [1, 1, 1]);
});

test("backoff: equal jitter lies between half and all of the doubling delay, which never exceeds its limit", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1_000 }),
      fc.integer({ min: 0, max: 60_000 }),
      fc.integer({ min: 0, max: 100 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (minMs, moreMs, attempt, random) => {
        const maxMs = minMs + moreMs;
        const options = { minMs, maxMs, resetAfterMs: 0 };
        const full = delayMs(withoutJitter(options), attempt, random);
        const jittered = delayMs(equalJitter(options), attempt, random);
        equal(full, Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30)));
        ok(jittered >= full / 2 && jittered <= full);
        ok(delayMs(withoutJitter(options), attempt + 1, random) >= full);
      },
    ),
  );
});

test("backoff: wrong ranges and combinations are refused with both numbers", () => {
  throws(() => equalJitter({ minMs: -1, maxMs: 5, resetAfterMs: 0 }), {
    code: "CONFIG_OUT_OF_RANGE",
    message: /-1, allowed are 0/,
  });
  throws(() => equalJitter({ minMs: 6, maxMs: 5, resetAfterMs: 0 }), {
    code: "CONFIG_CONFLICT",
    message: /6, maxMs is 5/,
  });
});

test("decider: class, code and predicate, the first that matches", () => {
  const decide = when(RangeError, "resume")
    .when("VALUE_MISSING", "restart")
    .when((error) => error.message.startsWith("bad argument"), "stop")
    .otherwise("escalate");
  const missing = Object.assign(new Error("x"), { code: "VALUE_MISSING" });
  deepEqual(
    [new RangeError("1/0"), missing, new Error("bad argument: x"), new TypeError("?")].map(decide),
    ["resume", "restart", "stop", "escalate"],
  );
  equal(when(HoldfastError, "stop").otherwise("resume")(new HoldfastError("BUSY", "x")), "stop");
  equal(when(Error, "stop").otherwise("resume")(new TypeError("x")), "stop");
});

test("strategy: defaults are as documented, ranges are checked", () => {
  const strategy = oneForOne({ maxRestarts: 1, withinMs: 1 });
  equal(strategy.onExhausted, "park");
  equal(strategy.decide(new Error("x")), "restart");
  deepEqual(strategy.backoff, {
    kind: "backoff",
    jitter: "equal",
    minMs: 250,
    maxMs: 5_000,
    resetAfterMs: 30_000,
  });
  equal(strategy.backoff, STRATEGY_DEFAULTS.backoff);
  throws(() => oneForOne({ maxRestarts: -1, withinMs: 1 }), { code: "CONFIG_OUT_OF_RANGE" });
  throws(() => oneForOne({ maxRestarts: 1.5, withinMs: 1 }), { code: "CONFIG_OUT_OF_RANGE" });
  throws(() => oneForOne({ maxRestarts: 1, withinMs: 0 }), { code: "CONFIG_OUT_OF_RANGE" });
});

test("restart window: without a limit as many restarts are remembered as are worth showing", () => {
  let times: RestartTimes = [];
  for (let nowMs = 0; nowMs < 2 * UNLIMITED_REMEMBERED_MAX; nowMs++)
    times = grantRestart(times, nowMs, { maxRestarts: Infinity, withinMs: Infinity }) ?? [];
  equal(times.length, UNLIMITED_REMEMBERED_MAX);
  equal(times.at(-1), 2 * UNLIMITED_REMEMBERED_MAX - 1);
});

test("strategy: what a file or plain JavaScript may get wrong is refused with words", () => {
  const base = { maxRestarts: 1, withinMs: 1 };
  for (const [wrong, code] of [
    [{ maxRestarts: Number.NaN }, "CONFIG_OUT_OF_RANGE"],
    [{ maxRestarts: 10_001 }, "CONFIG_OUT_OF_RANGE"],
    [{ withinMs: Number.NaN }, "CONFIG_OUT_OF_RANGE"],
    [{ decide: JSON.parse("{}") as Decider }, "CONFIG_VALUE"],
    [{ onExhausted: JSON.parse('"retry"') as OnExhausted }, "CONFIG_VALUE"],
  ] as const)
    throws(() => oneForOne({ ...base, ...wrong }), { code });
  equal(oneForOne({ maxRestarts: 10_000, withinMs: Infinity }).withinMs, Infinity);
});

test("verdict: directive, window and what is left decide together", () => {
  const calm = { isResumable: true, isOnSlowLane: false };
  const full = { restartTimes: [0], nowMs: 1 };
  const empty = { restartTimes: [], nowMs: 1 };
  const damaged = new HoldfastError("LOG_DAMAGED", "x");
  const error = new Error("x");
  const answer = (directive: string): Decider =>
    when(Error, directive as Directive).otherwise("stop");
  const table: readonly (readonly [Partial<StrategyOptions>, Partial<Case>, string, number])[] = [
    [{}, empty, "restart", 1],
    [{}, full, "park", 1],
    [{ onExhausted: "escalate" }, full, "escalate", 1],
    [{ onExhausted: "stop" }, full, "stop", 1],
    [{}, { ...empty, error: damaged }, "park", 0],
    [{ onExhausted: "escalate" }, { ...empty, error: damaged }, "escalate", 0],
    [{ decide: answer("restart") }, { ...empty, error: damaged }, "restart", 1],
    [{ decide: answer("resume") }, { ...full, isResumable: true }, "resume", 1],
    [{ decide: answer("resume") }, { ...empty, isResumable: false }, "restart", 1],
    [{ decide: answer("resume") }, { ...full, isResumable: false }, "park", 1],
    [{ decide: answer("stop") }, empty, "stop", 0],
    [{ decide: answer("escalate") }, full, "escalate", 1],
    [{ decide: answer("retry") }, empty, "escalate", 0],
  ];
  for (const [options, given, action, restarts] of table) {
    const strategy = oneForOne({ maxRestarts: 1, withinMs: 1_000, ...options });
    const verdict = judge(strategy, { ...calm, error, ...empty, ...given });
    deepEqual([verdict.action, verdict.restartTimes.length], [action, restarts]);
  }
});

test("verdict: any decider gets an answer, and a restart is never more than the window allows", () => {
  const directives = ["resume", "restart", "stop", "escalate"] as const;
  const decided = fc.constantFrom<Directive | "throw">(...directives, "throw");
  fc.assert(
    fc.property(
      fc.array(fc.tuple(decided, fc.integer({ min: 0, max: 300 }), fc.boolean()), {
        maxLength: 50,
      }),
      fc.integer({ min: 0, max: 4 }),
      (failures, maxRestarts) => {
        let restartTimes: RestartTimes = [];
        let nowMs = 0;
        for (const [directive, gapMs, isResumable] of failures) {
          nowMs += gapMs;
          const decide = (): Directive => {
            if (directive === "throw") throw new Error("decider");
            return directive;
          };
          const strategy = oneForOne({ maxRestarts, withinMs: 1_000, decide });
          const verdict = judge(strategy, {
            error: new Error("x"),
            isResumable,
            isOnSlowLane: false,
            restartTimes,
            nowMs,
          });
          equal(verdict.deciderError !== undefined, directive === "throw");
          const grown = verdict.restartTimes.at(-1) === nowMs && verdict.action === "restart";
          equal(grown, verdict.action === "restart");
          ok(verdict.restartTimes.filter((timeMs) => nowMs - timeMs < 1_000).length <= maxRestarts);
          restartTimes = verdict.restartTimes;
        }
      },
    ),
  );
});
