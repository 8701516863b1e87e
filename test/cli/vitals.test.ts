import { equal } from "node:assert/strict";
import { test } from "node:test";
import { illness, STALL_MS_MAX, takeVitals, type Vitals } from "../../src/cli/vitals.ts";
import type { LogStatus } from "../../src/contract/log.ts";
import type { UnitStatus } from "../../src/contract/unit.ts";
import { CLOSED_LOG } from "../../src/live-log.ts";

/** Moments of a log, and what is said of the last. */
function sick(
  moments: readonly (Partial<LogStatus> & { readonly atMs: number; readonly unit?: UnitStatus })[],
): string | undefined {
  let vitals: Vitals | undefined;
  for (const { atMs, unit = "running", ...log } of moments) {
    const state = {
      unit: "log",
      status: unit,
      epoch: 1,
      restarts: 0,
      maxRestarts: 3,
      sinceMs: 0,
      nextAttemptMs: undefined,
      lastError: undefined,
    };
    const snapshot = { units: [state], log: { ...CLOSED_LOG, ...log }, pools: [], pipelines: [] };
    vitals = takeVitals(snapshot, atMs, vitals);
  }
  return vitals === undefined ? undefined : illness(vitals);
}

const waiting = { state: "running", unacknowledgedBytes: 5, durableEnd: 7 } as const;
const late = STALL_MS_MAX;

test("vitals: a log that has nothing to do is well, however long", () => {
  equal(sick([{ atMs: 0 }, { atMs: 10 * late }]), undefined);
});

test("vitals: bytes that wait while others become durable are well", () => {
  const moments = [0, 1, 2, 3].map((step) => ({ ...waiting, atMs: step * late, durableEnd: step }));
  equal(sick(moments), undefined);
});

test("vitals: bytes that wait and nothing that becomes durable are no life", () => {
  const stuck = (atMs: number): object & { atMs: number } => ({ ...waiting, atMs });
  equal(sick([stuck(0), stuck(late - 1)]), undefined);
  equal(
    sick([stuck(0), stuck(late - 1), stuck(late)]),
    "nothing has become durable for 30 s, and the log has accepted more",
  );
  equal(sick([stuck(0), { atMs: late - 1 }, stuck(late)]), undefined);
});

test("vitals: the time counts from when bytes began to wait, not from the last progress", () => {
  const idle = { ...waiting, unacknowledgedBytes: 0 };
  equal(
    sick([
      { ...idle, atMs: 0 },
      { ...waiting, atMs: 10 * late },
    ]),
    undefined,
  );
});

test("vitals: a full log waits for room, which a restart does not make", () => {
  const full = { ...waiting, state: "full" } as const;
  equal(
    sick([
      { ...full, atMs: 0 },
      { ...full, atMs: 10 * late },
    ]),
    undefined,
  );
});

for (const unit of ["starting", "backing-off"] as const) {
  test(`vitals: a log that is ${unit} is in its supervisor's hands`, () => {
    equal(sick([{ atMs: 0, unit }]), undefined);
  });
}

for (const unit of ["parked", "stopped"] as const) {
  test(`vitals: a log that is ${unit} is no life`, () => {
    equal(sick([{ atMs: 0, unit }]), "the log is set aside");
  });
}
