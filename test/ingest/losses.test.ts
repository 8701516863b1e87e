import { deepEqual, rejects } from "node:assert/strict";
import { test } from "node:test";
import type { DeadLetter } from "../../src/contract/dead-letters.ts";
import { HoldfastError } from "../../src/errors.ts";
import { DROP_REASONS_MAX, Losses, OTHER_REASONS } from "../../src/losses.ts";
import { buildBlock } from "../../src/record/block-builder.ts";
import { settle } from "../support/receiver-harness.ts";

const FULL = new HoldfastError("LOG_FULL", "no room for 30000 ms");

function scene(refuse?: Error) {
  const letters: DeadLetter[] = [];
  const events: unknown[] = [];
  const losses = new Losses({
    receiver: "meters",
    emit: (kind, event) => void events.push([kind, event]),
    deadLetters: {
      nextOffset: 0,
      add: async (added) => {
        if (refuse !== undefined) throw refuse;
        letters.push(...added);
      },
      keysFrom: () => Promise.resolve(new Set()),
    },
  });
  const kept = (): readonly (readonly string[])[] =>
    letters.map(({ unit, stage, code, bytes }) => [
      unit,
      stage,
      code,
      Buffer.from(bytes).toString(),
    ]);
  return { losses, events, kept };
}

test("losses: records that are given up are a letter each, as they were when it was called", async () => {
  const { losses, events, kept } = scene();
  const block = buildBlock([{ value: "one" }, { value: "two" }]);
  losses.giveUp(block, FULL);
  block.values.fill(0);
  await settle();
  deepEqual(kept(), [
    ["meters", "store", "LOG_FULL", "one"],
    ["meters", "store", "LOG_FULL", "two"],
  ]);
  deepEqual(events.length, 2);
  deepEqual([...losses.dropped], []);
});

test("losses: what cannot be set aside is counted with the reason why it was not stored", async () => {
  const { losses, events } = scene(new HoldfastError("LOG_CLOSED", "closed"));
  losses.giveUp(buildBlock([{ value: "one" }, { value: "two" }]), FULL);
  losses.setAsideOffending(Buffer.from("bytes"), new RangeError("a bug"));
  await settle();
  deepEqual(
    [...losses.dropped],
    [
      ["LOG_FULL", 2],
      ["INTERNAL", 1],
    ],
  );
  deepEqual(events, [
    ["receiver-dropped", { receiver: "meters", recordCount: 2, reason: "LOG_FULL" }],
    ["receiver-dropped", { receiver: "meters", recordCount: 1, reason: "INTERNAL" }],
  ]);
  // Here the caller decides: it may know somebody who sends it again.
  await rejects(losses.setAside(Buffer.from("half"), FULL), { code: "LOG_CLOSED" });
});

test("losses: reasons are labels, so only so many are told apart", () => {
  const { losses } = scene();
  for (let i = 0; i < DROP_REASONS_MAX + 10; i++) losses.drop(2, `reason ${i}`);
  losses.drop(1, "reason 0");
  deepEqual(losses.dropped.size, DROP_REASONS_MAX + 1);
  deepEqual([losses.dropped.get("reason 0"), losses.dropped.get(OTHER_REASONS)], [3, 20]);
});
