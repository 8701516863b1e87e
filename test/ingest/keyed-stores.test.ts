import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyedStore } from "../../src/contract/log.ts";
import type { RecordBlock, RecordInput, Stored } from "../../src/contract/record.ts";
import { HoldfastError } from "../../src/errors.ts";
import { KeyedStores } from "../../src/keyed-stores.ts";
import { buildBlock } from "../../src/record/block-builder.ts";
import { deferred, type Deferred } from "../support/deferred.ts";

/** A log that is committed by hand. */
class HandLog {
  readonly known = new Map<string, KeyedStore>();
  readonly waiting: { readonly block: RecordBlock; readonly end: Deferred<Stored> }[] = [];
  #nextOffset = 0;

  keyed(keyHash: Uint8Array): KeyedStore | undefined {
    return this.known.get(Buffer.from(keyHash).toString("hex"));
  }

  readonly store = (block: RecordBlock): Promise<Stored> => {
    const end = deferred<Stored>();
    this.waiting.push({ block, end });
    return end.promise;
  };

  commit(): void {
    for (const { block, end } of this.waiting.splice(0)) {
      const { count: recordCount, idempotency } = block;
      const stored = { firstOffset: this.#nextOffset, recordCount };
      this.#nextOffset += recordCount;
      assert.ok(idempotency);
      this.known.set(Buffer.from(idempotency.keyHash).toString("hex"), {
        ...idempotency,
        ...stored,
      });
      end.resolve(stored);
    }
  }
}

const block = (...records: readonly RecordInput[]): RecordBlock => buildBlock(records);

test("keyed stores: a second one in flight waits for the first, and a later one is answered from the log", async () => {
  const log = new HandLog();
  const stores = new KeyedStores("web", log);
  const first = stores.store("k", block({ value: "a" }, { value: "b" }), log.store);
  const second = stores.store("k", block({ value: "a" }, { value: "b" }), log.store);
  assert.equal(log.waiting.length, 1);
  log.commit();
  assert.deepEqual(await first, { firstOffset: 0, recordCount: 2 });
  const repeated = { firstOffset: 0, recordCount: 2, isRepeat: true };
  assert.deepEqual(await second, repeated);
  assert.deepEqual(
    await stores.store("k", block({ value: "a" }, { value: "b" }), log.store),
    repeated,
  );
  // Another process, and another receiver of this one.
  const again = new KeyedStores("web", log);
  assert.deepEqual(
    await again.store("k", block({ value: "a" }, { value: "b" }), log.store),
    repeated,
  );
  const other = new KeyedStores("other", log).store("k", block({ value: "a" }), log.store);
  log.commit();
  assert.deepEqual(await other, { firstOffset: 2, recordCount: 1 });
});

test("keyed stores: another body under the same key is refused, in flight and later", async () => {
  const bodies: readonly (readonly RecordInput[])[] = [
    [{ value: "ab" }, { value: "c" }],
    [{ value: "a" }, { value: "bc" }],
    [{ value: "abc" }],
    [{ value: "ab", key: "x" }, { value: "c" }],
    [{ value: "ab", headers: { x: "1" } }, { value: "c" }],
    [{ value: "ab", timestampMs: 1 }, { value: "c" }],
  ];
  for (const [known, body] of bodies.entries()) {
    const log = new HandLog();
    const stores = new KeyedStores("web", log);
    const stored = stores.store("k", block(...body), log.store);
    const others = bodies.filter((_, index) => index !== known);
    const refusal = { code: "IDEMPOTENCY_MISMATCH", message: /2 different bodies .* "k"/ };
    for (const other of others)
      await assert.rejects(stores.store("k", block(...other), log.store), refusal);
    log.commit();
    await stored;
    for (const other of others)
      await assert.rejects(stores.store("k", block(...other), log.store), refusal);
    assert.equal(log.waiting.length, 0);
  }
});

test("keyed stores: when the first fails, who waited hears of it and the next one stores", async () => {
  const log = new HandLog();
  const stores = new KeyedStores("web", log);
  const pair = ["k", "k"].map((key) => stores.store(key, block({ value: "a" }), log.store));
  log.waiting.splice(0)[0]?.end.reject(new HoldfastError("LOG_FULL", "no room"));
  for (const each of pair) await assert.rejects(each, { code: "LOG_FULL" });
  const next = stores.store("k", block({ value: "a" }), log.store);
  log.commit();
  assert.deepEqual(await next, { firstOffset: 0, recordCount: 1 });
});
