import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { delayMs, equalJitter, withoutJitter } from "../../supervisors/backoff.ts";
import { when } from "../../supervisors/directive.ts";
import { grantRestart, type RestartTimes } from "../../supervisors/restart-window.ts";
import { oneForOne, STRATEGY_DEFAULTS } from "../../supervisors/strategy.ts";
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
