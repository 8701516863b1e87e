import { equal } from "node:assert/strict";
import { test } from "node:test";
import type { Strategy } from "../../src/contract/unit.ts";
import { type Code, HoldfastError } from "../../src/errors.ts";
import { realHost } from "../../src/host/real-host.ts";
import { createTree } from "../../src/tree.ts";
import { oneForOne } from "../../supervisors/index.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const HOUR_MS = 3_600_000;

/** What becomes of a receiver that cannot open for an hour, and how often it was tried. */
async function anHourOf(
  code: Code,
  { dials, receivers }: { readonly dials: boolean; readonly receivers?: Strategy },
): Promise<{ readonly status: string; readonly tries: number }> {
  const clock = new VirtualClock();
  const tree = createTree({
    host: { ...realHost(), clock },
    emit: () => undefined,
    supervision: { receivers, pipelines: undefined },
    gaveUp: () => undefined,
  });
  let tries = 0;
  const open = (): Promise<never> => {
    tries += 1;
    return Promise.reject(new HoldfastError(code, "broker:1883 does not answer"));
  };
  const unit = tree.startReceiver({ name: "field", open }, { dials });
  await clock.advance(HOUR_MS);
  const { status } = unit.state();
  await tree.root.stop();
  return { status, tries };
}

test("tree: a receiver that dials is tried for ever, at most every 10 s; one that listens is parked", async () => {
  const dialling = await anHourOf("CONNECTION_FAILED", { dials: true });
  equal(dialling.status, "backing-off");
  equal(dialling.tries > 300 && dialling.tries < 900, true, `${dialling.tries} tries`);
  const listening = await anHourOf("CONNECTION_FAILED", { dials: false });
  equal(listening.status, "parked");
});

test("tree: a receiver that dials is parked by what only a person can change, and by a strategy for all", async () => {
  equal((await anHourOf("CONNECTION_UNTRUSTED", { dials: true })).status, "parked");
  const receivers = oneForOne({ maxRestarts: 2, withinMs: HOUR_MS });
  equal((await anHourOf("CONNECTION_FAILED", { dials: true, receivers })).status, "parked");
});
