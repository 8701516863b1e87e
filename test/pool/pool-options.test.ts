import { equal, throws } from "node:assert/strict";
import { test } from "node:test";
import type { PoolOptions } from "../../src/contract/pool.ts";
import { POOL_DEFAULTS } from "../../src/pool/options.ts";
import { readText, repositoryRoot } from "../support/repository.ts";
import { type PeerConnection, pooled } from "../support/scripted-peer.ts";

type Options = Partial<PoolOptions<PeerConnection>>;

const OUT_OF_RANGE: readonly Options[] = [
  { addresses: [] },
  { addresses: Array.from({ length: 17 }, (_, index) => `a${index}`) },
  { connectionsMax: 0 },
  { connectionsMax: 1.5 },
  { connectionsMax: 1_001 },
  { connectionsMin: 11 },
  { waitersMax: 0 },
  { acquireDeadlineMs: Infinity },
  { connectDeadlineMs: -1 },
  { checkDeadlineMs: 2 ** 31 },
  { closeDeadlineMs: Number.NaN },
  { aliveWindowMs: -1 },
  { progressDeadlineMs: 2 ** 31 },
];

test("pool options: what is out of range is refused with both ends", () => {
  for (const options of OUT_OF_RANGE)
    throws(() => pooled(options), {
      code: "CONFIG_OUT_OF_RANGE",
      message: /^readings: .*allowed are/,
    });
});

test("pool options: what cannot be together is refused", () => {
  const conflicts: readonly Options[] = [
    { addresses: ["a", "a"] },
    { addresses: ["a", "b"], connectionsMax: 1 },
    { connectionsMin: 10 },
  ];
  for (const options of conflicts) throws(() => pooled(options), { code: "CONFIG_CONFLICT" });
  throws(() => pooled({ name: "No" }), { code: "CONFIG_VALUE" });
});

test("pool options: no limit at all is a choice where waiting is not concerned", async () => {
  const { pool, clock } = pooled({
    connectionsMax: 1,
    connectionsMin: 1,
    aliveWindowMs: Infinity,
    lifetimeMs: Infinity,
    idleTimeoutMs: Infinity,
    progressDeadlineMs: Infinity,
    leakAfterMs: Infinity,
  });
  const lease = await pool.acquire();
  lease.pending()();
  equal(clock.timerCount, 0);
  lease.release();
  equal(clock.timerCount, 0);
  await pool.close();
});

test("pool options: the documented defaults hold", () => {
  const text = readText(repositoryRoot(), "src/contract/pool.ts");
  const documented = Array.from(
    text.matchAll(/@defaultValue ([\d,]+) \*\/\s+readonly (\w+)\?/g),
    ([, value = "", name = ""]) => [name, Number(value.replaceAll(",", ""))] as const,
  );
  const defaults = Object.entries(POOL_DEFAULTS).filter(([, value]) => typeof value === "number");
  equal(documented.length, defaults.length);
  for (const [name, value] of documented)
    equal(defaults.find(([key]) => key === name)?.[1], value, name);
});
