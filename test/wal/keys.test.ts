import { deepEqual, equal, rejects } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { RecordBlock } from "../../src/contract/record.ts";
import type { OpenedLog } from "../../src/wal/open-log.ts";
import { KEY_AGE_MS_MAX, KEYS_MAX, KeyTable } from "../../src/wal/keys.ts";
import { manyRuns } from "../support/runs.ts";
import { lines, newScene, numbered, open, type Scene, storeEach } from "./log-scene.ts";

const origin = { receiver: "web", epoch: 1 };

function hashOf(number: number): Uint8Array {
  const hash = new Uint8Array(16);
  new DataView(hash.buffer).setUint32(0, number);
  return hash;
}

function keyed(texts: readonly string[], key: number): RecordBlock {
  const idempotency = { keyHash: hashOf(key), bodyHash: hashOf(texts.length) };
  return { ...lines(texts, { channel: "" }), idempotency };
}

/** Where the records of a key are, or undefined when nothing is known of it. */
function placeOf({ log }: OpenedLog, key: number): readonly number[] | undefined {
  const known = log.keyed(hashOf(key));
  return known && [known.firstOffset, known.recordCount];
}

test("keys: what is stored under one is known at once, after a clean end, a crash, and when its records are gone", async () => {
  for (const keep of ["none", "all"] as const) {
    const scene = newScene();
    const first = await open(scene);
    await first.log.append(keyed(["a", "b"], 1), origin);
    deepEqual([placeOf(first, 1), placeOf(first, 2)], [[0, 2], undefined]);
    await first.log.close();
    const second = await open(scene);
    deepEqual(placeOf(second, 1), [0, 2]);
    await second.log.append(keyed(["c"], 2), origin);
    scene.crash(keep);
    const third = await open(scene);
    deepEqual(
      [placeOf(third, 1), placeOf(third, 2)],
      [
        [0, 2],
        [2, 1],
      ],
    );
    await storeEach(third, numbered(40));
    await third.log.release(third.log.durableEnd);
    scene.crash(keep);
    for (let round = 0; round < 3; round += 1) {
      const opened = await open(scene);
      deepEqual(
        [placeOf(opened, 1), placeOf(opened, 2)],
        [
          [0, 2],
          [2, 1],
        ],
        `${keep}, ${round}`,
      );
      await opened.log.release(opened.log.durableEnd);
      scene.crash(keep);
    }
  }
});

test("keys: one whose write failed is known with the place where its records went", async () => {
  const scene = newScene();
  const opened = await open(scene);
  await opened.log.append(lines(["a"], { channel: "" }), origin);
  scene.disk.inject({ what: "error", kind: "write", nth: 1, code: "EIO", effect: "disk" });
  await opened.log.append(keyed(["b"], 7), origin);
  deepEqual(placeOf(opened, 7), [1, 1]);
  scene.crash("none");
  deepEqual(placeOf(await open(scene), 7), [1, 1]);
});

test("keys: the oldest goes beyond the limit, and each after a day", () => {
  const table = new KeyTable();
  const row = (key: number, wallMs: number) => ({
    keyHash: hashOf(key),
    bodyHash: hashOf(0),
    firstOffset: key,
    recordCount: 1,
    wallMs,
  });
  for (let key = 0; key <= KEYS_MAX; key += 1) table.add(row(key, 1_000));
  deepEqual(
    [table.find(hashOf(0), 1_000), table.find(hashOf(1), 1_000)?.firstOffset],
    [undefined, 1],
  );
  equal(table.rows(1_000, 1e9).length, KEYS_MAX);
  equal(table.find(hashOf(1), 1_000 + KEY_AGE_MS_MAX)?.firstOffset, 1);
  equal(table.find(hashOf(1), 1_001 + KEY_AGE_MS_MAX), undefined);
  deepEqual(table.rows(1_001 + KEY_AGE_MS_MAX, 1e9), []);
  // A small segment has room for the newest only.
  deepEqual(
    table.rows(1_000, 8 + 2 * 56).map(({ firstOffset }) => firstOffset),
    [KEYS_MAX - 1, KEYS_MAX],
  );
});

test("positions: one without records is durable, also alone, and takes no offset", async () => {
  const scene = newScene();
  const first = await open(scene);
  const empty = { ...lines(["x"], { channel: "orders" }), count: 0, values: new Uint8Array() };
  const at = (text: string): RecordBlock => ({ ...empty, position: Buffer.from(text) });
  deepEqual(await first.log.append(at("p"), origin), { firstOffset: 0, recordCount: 0 });
  await first.log.append(lines(["a"], { channel: "" }), origin);
  await first.log.append(at("q"), origin);
  scene.crash("none");
  const second = await open(scene);
  equal(Buffer.from(second.log.position("web", "orders") ?? []).toString(), "q");
  equal(second.log.durableEnd, 1);
  await rejects(second.log.append({ ...empty }, origin), { code: "BLOCK_INVALID" });
  const withKey = { ...keyed(["a"], 1), ...at("r") };
  await rejects(second.log.append(withKey, origin), { code: "BLOCK_INVALID" });
  await second.log.close();
});

for (const end of ["close", "crash"] as const)
  test(`positions: a segment that is full of them and holds no record keeps them over a ${end}`, async () => {
    const empty = { ...lines(["x"], { channel: "orders" }), count: 0, values: new Uint8Array() };
    for (let count = 1; count <= 32; count += 1) {
      const scene = newScene();
      let opened = await open(scene);
      for (let number = 0; number < count; number += 1) {
        await opened.log.append({ ...empty, position: Buffer.from(String(number)) }, origin);
        if (number % 3 === 2) opened = await openAgain(scene, opened);
      }
      if (end === "close") await opened.log.close();
      scene.crash("none");
      const again = await open(scene);
      const position = again.log.position("web", "orders");
      equal(Buffer.from(position ?? []).toString(), String(count - 1), `${count} positions`);
      await again.log.close();
    }
  });

async function openAgain(scene: Scene, { log }: OpenedLog): Promise<OpenedLog> {
  await log.close();
  return await open(scene);
}

type Step =
  | "kill"
  | "close"
  | "fail-write"
  | "release"
  | { readonly records: number }
  | { readonly key: number }
  | { readonly position: number };

/** What was acknowledged: the model. */
interface Acknowledged {
  readonly keys: Map<number, readonly number[]>;
  position: number | undefined;
}

async function take(
  step: Step,
  scene: Scene,
  opened: OpenedLog,
  model: Acknowledged,
): Promise<OpenedLog> {
  if (step === "kill" || step === "close") {
    if (step === "close") await opened.log.close();
    scene.crash("none");
    return await open(scene);
  }
  if (step === "release") await opened.log.release(opened.log.durableEnd);
  else if (step === "fail-write")
    scene.disk.inject({ what: "error", kind: "write", nth: 1, code: "EIO", effect: "cache" });
  else if ("records" in step) await storeEach(opened, numbered(step.records));
  else if ("key" in step) {
    const { firstOffset, recordCount } = await opened.log.append(
      keyed(["a", "b"], step.key),
      origin,
    );
    model.keys.set(step.key, [firstOffset, recordCount]);
  } else {
    const position = hashOf(step.position);
    const block = { ...lines(["x"], { channel: "orders" }), count: 0, values: new Uint8Array() };
    await opened.log.append({ ...block, position }, origin);
    model.position = step.position;
  }
  return opened;
}

test("keys and positions: whatever was acknowledged is known, over crashes, failed writes and releases", async () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: fc.nat(20).map((key) => ({ key })) },
    { weight: 5, arbitrary: fc.nat(99).map((position) => ({ position })) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 20 }).map((records) => ({ records })) },
    { weight: 1, arbitrary: fc.constant("release" as const) },
    { weight: 2, arbitrary: fc.constantFrom("kill" as const, "close" as const) },
    { weight: 1, arbitrary: fc.constant("fail-write" as const) },
  );
  const property = fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
    const scene = newScene();
    const model: Acknowledged = { keys: new Map(), position: undefined };
    let opened = await open(scene);
    for (const each of steps) {
      opened = await take(each, scene, opened, model);
      for (const [key, place] of model.keys) deepEqual(placeOf(opened, key), place);
      const position = opened.log.position("web", "orders");
      deepEqual(
        position && new Uint8Array(position),
        model.position === undefined ? undefined : hashOf(model.position),
      );
    }
    await opened.log.close();
  });
  await fc.assert(property, manyRuns);
});
