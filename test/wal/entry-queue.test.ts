import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RecordBlock } from "../../src/contract/record.ts";
import type { Channel } from "../../src/wal/channels.ts";
import { blockBytes } from "../../src/wal/block-shape.ts";
import { EntryQueue } from "../../src/wal/entry-queue.ts";

function channel(id: number): Channel {
  return {
    id,
    receiver: "meters",
    name: `c${id}`,
    announcedIn: 0,
    usedIn: 0,
    nameBytes: 16,
    position: undefined,
  };
}

/** `isBroken`: the ends point behind the bytes, which an append refuses. */
function block(sizes: readonly number[], isBroken: boolean): RecordBlock {
  let end = 0;
  const valueEnds = Uint32Array.from(sizes, (size) => (end += size));
  return {
    count: sizes.length,
    values: new Uint8Array(isBroken ? Math.max(0, end - 1) : end),
    valuesStart: 0,
    valueEnds,
    delimiterBytes: 0,
    channel: "",
  };
}

type Step =
  | { readonly kind: "add"; readonly sizes: readonly number[]; readonly isBroken: boolean }
  | { readonly kind: "take" | "resolve" | "reject" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("add" as const),
      sizes: fc.array(fc.integer({ min: 1, max: 2_000_000 }), { minLength: 1, maxLength: 4 }),
      isBroken: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("take", "resolve", "reject") }) },
);

test("entry queue: what is accepted is never below 0, and 0 when everything is settled", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const queue = new EntryQueue({ monotonicMs: () => 0 });
      for (const each of steps) {
        if (each.kind === "add") {
          try {
            const added = block(each.sizes, each.isBroken);
            const stamp = { epoch: 1, wallMs: 1_000, bytes: blockBytes(added) };
            queue.add(added, channel(1), stamp).catch(() => undefined);
          } catch {
            // Refused: nothing has changed.
          }
        }
        if (each.kind === "take") queue.take();
        if (each.kind === "resolve") queue.resolveFlight(0);
        if (each.kind === "reject") queue.rejectHead(new Error("not stored"));
        ok(queue.acceptedBytes >= 0, `${queue.acceptedBytes} bytes`);
        equal(queue.acceptedBytes > 0, queue.head !== undefined);
      }
      queue.rejectAll(new Error("the end"));
      equal(queue.acceptedBytes, 0);
    }),
  );
});
