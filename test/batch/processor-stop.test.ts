/**
 * Stops of a pipeline while its source does not answer.
 */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { asap, availableNow } from "../../src/batch/trigger.ts";
import type { Offsets } from "../../src/contract/log.ts";
import type { Source } from "../../src/contract/source.ts";
import { deferred } from "../support/deferred.ts";
import { World } from "../support/processor-world.ts";

test("processor: a stop does not wait for a source that does not answer", async () => {
  for (const trigger of [asap(), availableNow()]) {
    const world = new World({ trigger });
    const asked = deferred<string>();
    const hang = (what: string, signal: AbortSignal): Promise<never> => {
      asked.resolve(what);
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
      );
    };
    world.source.append("1");
    const source: Source = Object.assign(world.source, {
      latest: (signal: AbortSignal) => hang("latest", signal),
      bounded: (_: Offsets, __: object, signal: AbortSignal) => hang("bounded", signal),
    });
    const processor = await world.open({ source });
    const running = processor.run();
    equal(await asked.promise, trigger.kind === "asap" ? "bounded" : "latest");
    await processor.close(new AbortController().signal);
    await running;
    deepEqual(world.ledger.plans, []);
  }
});
