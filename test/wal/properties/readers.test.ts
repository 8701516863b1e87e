import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { valueOf } from "../../../src/contract/record.ts";
import { SimulatedDisk } from "../../../src/testing/disk.ts";
import type { OpenedLog } from "../../../src/wal/open-log.ts";
import { manyRuns } from "../../support/runs.ts";
import { lines, newScene, open, type Scene, SEGMENT_BYTES } from "../log-scene.ts";
import { entriesOnDisk, isIn, recordsOf } from "./entries-on-disk.ts";

/** Reads on whenever it is asked to, and notes what it got. */
class TailingReader {
  readonly start: number;
  readonly texts: string[] = [];
  readonly #scene: Scene;
  readonly #items: AsyncIterator<string>;

  constructor(scene: Scene, opened: OpenedLog) {
    this.start = opened.log.durableEnd;
    this.#scene = scene;
    this.#items = this.#tail(opened)[Symbol.asyncIterator]();
  }

  /** The offset that it needs next. */
  get next(): number {
    return this.start + this.texts.length;
  }

  /** Takes the next record when there is one. */
  async step(): Promise<void> {
    const { value } = await this.#items.next();
    if (value !== undefined) this.texts.push(value);
  }

  async *#tail({ log }: OpenedLog): AsyncGenerator<string> {
    const { signal } = new AbortController();
    for (let from = this.start; ; ) {
      await log.waitFor(from, signal);
      const to = log.durableEnd;
      for await (const item of log.read({ from, to }, signal)) {
        ok(item.kind === "records", JSON.stringify(item));
        for (let index = 0; index < item.block.count; index += 1) {
          const text = Buffer.from(valueOf(item.block, index)).toString();
          this.#checkDurable(item.block.firstOffset + index);
          yield text;
        }
      }
      from = to;
    }
  }

  /** A power cut now would not take it. */
  #checkDurable(offset: number): void {
    const after = this.#scene.disk.clone();
    after.crash({ keep: "none" });
    ok(isIn(offset, recordsOf(entriesOnDisk(after))), `${offset} is read and not durable`);
  }
}

type Step =
  | { readonly kind: "append"; readonly sizes: readonly number[] }
  | { readonly kind: "new-reader" }
  | { readonly kind: "step"; readonly reader: number; readonly records: number }
  /** What all readers have read may go. */
  | { readonly kind: "release" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      sizes: fc.array(fc.integer({ min: 0, max: 9_000 }), { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("new-reader" as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("step" as const),
      reader: fc.nat(5),
      records: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("release" as const) }) },
);

test("log property: tailing readers get everything, in order, and nothing that is not durable", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.array(step, { minLength: 5, maxLength: 40, size: "max" }),
      async (seed, steps) => {
        const scene = newScene(new SimulatedDisk({ seed }));
        const opened = await open(scene, { bytesMax: 8 * SEGMENT_BYTES, storeTimeoutMs: 0 });
        const stored: string[] = [];
        const readers = [new TailingReader(scene, opened)];
        const carryOut = async (each: Step): Promise<void> => {
          if (each.kind === "new-reader") readers.push(new TailingReader(scene, opened));
          if (each.kind === "release")
            await opened.log.release(Math.min(...readers.map(({ next }) => next)));
          if (each.kind === "append") {
            const texts = each.sizes.map(
              (size, index) => `${stored.length + index} ${"x".repeat(size)}`,
            );
            // Refused when the readers are too far behind: that is the budget's work.
            const result = await opened.log
              .append(lines(texts), { receiver: "meters", epoch: 1 })
              .catch(() => undefined);
            if (result !== undefined) stored.push(...texts);
          }
          if (each.kind !== "step") return;
          const reader = readers[each.reader % readers.length];
          for (let left = each.records; left > 0; left -= 1)
            if (reader !== undefined && reader.next < stored.length) await reader.step();
        };
        for (const each of steps) await carryOut(each);
        for (const reader of readers) {
          while (reader.next < stored.length) await reader.step();
          deepEqual(reader.texts, stored.slice(reader.start), scene.disk.explain());
        }
      },
    ),
    manyRuns,
  );
});
