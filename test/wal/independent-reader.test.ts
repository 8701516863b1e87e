/**
 * docs/format.md is enough to write a reader: one that was written from it gets what the log itself reads.
 */
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";

import type { RecordBlock } from "../../src/contract/record.ts";
import { readLedger } from "../support/independent-ledger.ts";
import { type Directory, readLog, type ReadLog } from "../support/independent-reader.ts";
import { closeWorld, LEDGER_DIRECTORY, openWorld, readByLog, type World } from "./data-scene.ts";
import { DIRECTORY, newScene, type Scene, segmentPaths, store } from "./log-scene.ts";

const RUNS = 60;

/** One record before it is packed. */
interface Drawn {
  readonly value: Uint8Array;
  readonly key: string;
  readonly timestampMs: number;
  readonly headers: string;
}

interface DrawnBlock {
  readonly records: readonly Drawn[];
  readonly delimiterBytes: number;
  readonly channel: string;
  readonly receiver: string;
  readonly position: Uint8Array | undefined;
  readonly columns: number;
  /** One of few, so that keys come again. */
  readonly key: number;
}

const drawnRecord: fc.Arbitrary<Drawn> = fc.record({
  value: fc.uint8Array({ maxLength: 60 }),
  key: fc.string({ unit: "grapheme", maxLength: 5 }),
  timestampMs: fc.oneof(fc.constant(Number.NaN), fc.double({ noNaN: true })),
  headers: fc.constantFrom("", '{"a":"1"}', '{"unit":"°C"}'),
});

const drawnRecords: fc.Arbitrary<DrawnBlock> = fc.record({
  records: fc.array(drawnRecord, { minLength: 1, maxLength: 6 }),
  delimiterBytes: fc.nat(3),
  channel: fc.constantFrom("", "a", "kanal-ä"),
  receiver: fc.constantFrom("meters", "web"),
  position: fc.option(fc.uint8Array({ minLength: 1, maxLength: 20 }), { nil: undefined }),
  columns: fc.nat(15),
  key: fc.nat(5),
});

/** Some have a position and nothing else. */
const drawnBlock: fc.Arbitrary<DrawnBlock> = fc.oneof(
  { weight: 4, arbitrary: drawnRecords },
  {
    weight: 1,
    arbitrary: fc
      .tuple(drawnRecords, fc.uint8Array({ minLength: 1, maxLength: 20 }))
      .map(([block, position]) => ({ ...block, position, records: [], columns: 0 })),
  },
);

/** What happens to a log: blocks, time, an orderly end or a kill with a new opening behind it. */
type Step =
  | { readonly kind: "append"; readonly block: DrawnBlock }
  | { readonly kind: "advance"; readonly ms: number }
  | { readonly kind: "release" }
  | { readonly kind: "close" }
  | { readonly kind: "kill" }
  | { readonly kind: "fail-write" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: drawnBlock.map((block) => ({ kind: "append", block }) as const) },
  { weight: 2, arbitrary: fc.nat(2_000).map((ms) => ({ kind: "advance", ms }) as const) },
  { weight: 1, arbitrary: fc.constant({ kind: "release" } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: "close" } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: "kill" } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: "fail-write" } as const) },
);

function columnOf(texts: readonly string[]): { bytes: Uint8Array; ends: Uint32Array } {
  let end = 0;
  const ends = Uint32Array.from(texts, (text) => (end += Buffer.byteLength(text)));
  return { bytes: Buffer.from(texts.join("")), ends };
}

function packed({ records, ...drawn }: DrawnBlock): RecordBlock {
  const { channel, columns, delimiterBytes, key, position } = drawn;
  const delimiter = Buffer.alloc(delimiterBytes, ";");
  const values = records.map(({ value }) => Buffer.concat([value, delimiter]));
  let end = 0;
  const has = (bit: number): boolean => (columns & bit) !== 0;
  return {
    count: records.length,
    values: Buffer.concat(values),
    valuesStart: 0,
    valueEnds: Uint32Array.from(values, (value) => (end += value.length)),
    delimiterBytes,
    channel,
    ...(position === undefined ? {} : { position }),
    ...(has(1) ? { keys: columnOf(records.map(({ key }) => key)) } : {}),
    ...(has(2)
      ? { timestampsMs: Float64Array.from(records, ({ timestampMs }) => timestampMs) }
      : {}),
    ...(has(8)
      ? { idempotency: { keyHash: hashOf(key), bodyHash: hashOf(100 + records.length) } }
      : {}),
    ...(has(4) ? { headers: columnOf(records.map(({ headers }) => headers)) } : {}),
  };
}

function hashOf(number: number): Uint8Array {
  return new Uint8Array(16).fill(number);
}

/** Segments of the size of 16 and of 64 blocks: short tails of long ones are copied at an opening. */
const segmentBytes = fc.constantFrom(64 * 1024, 256 * 1024);

async function take(world: World, step: Step, segmentBytes: number): Promise<World> {
  const { log } = world.opened;
  switch (step.kind) {
    case "append": {
      const { receiver } = step.block;
      await log.append(packed(step.block), { receiver, epoch: 1 });
      return world;
    }
    case "advance":
      await world.scene.clock.advance(step.ms);
      return world;
    case "release":
      await log.release(Math.floor(log.durableEnd / 2));
      return world;
    case "close":
      await closeWorld(world);
      return await openWorld(world.scene, { segmentBytes });
    case "kill":
      world.scene.kill();
      return await openWorld(world.scene, { segmentBytes });
    case "fail-write":
      // The entry is on the disk, and its writer was told that it is not: the rescue writes it again elsewhere.
      world.scene.disk.inject({
        what: "error",
        kind: "write",
        path: `${DIRECTORY}/`,
        nth: 1,
        code: "EIO",
        effect: "disk",
      });
      await store(world.opened, ["rescued"]);
      return world;
  }
}

function filesIn(scene: Scene, directory: string): Directory {
  const paths = scene.disk.paths().filter((path) => path.startsWith(`${directory}/`));
  return new Map(
    paths.map((path) => [path.slice(directory.length + 1), scene.disk.contents(path)]),
  );
}

/** Both ledgers and logs as they lie there. `withFacts`: what the ledger knows is used. */
function readIndependently(scene: Scene, withFacts = true): ReadLog {
  const found = readLedger(filesIn(scene, LEDGER_DIRECTORY), "log");
  ok(found !== undefined);
  const facts = withFacts ? found.facts : { ...found.facts, cuts: new Map() };
  return readLog(filesIn(scene, DIRECTORY), found.uuid, facts);
}

/** The size of segments, and what happens. */
interface Life {
  readonly bytes: number;
  readonly taken: readonly Step[];
}

async function live(scene: Scene, { bytes, taken }: Life): Promise<World> {
  let world = await openWorld(scene, { segmentBytes: bytes });
  for (const each of taken) world = await take(world, each, bytes);
  return world;
}

const life: fc.Arbitrary<Life> = fc.record({
  bytes: segmentBytes,
  taken: fc.array(step, { minLength: 1, maxLength: 60 }),
});

test("independent reader: written from the page, it reads what the log reads", async () => {
  const property = fc.asyncProperty(life, async (drawn) => {
    const scene = newScene();
    const world = await live(scene, drawn);
    const expected = await readByLog(world);
    // As it is while the log is open: what it has acknowledged is there for everybody.
    const { positions, keys, ...read } = readIndependently(scene);
    deepEqual(read, expected);
    deepEqual(readIndependently(scene, false).records, expected.records);
    for (const [name, position] of positions) {
      const [receiver = "", channel = ""] = name.split("/");
      const own = world.opened.log.position(receiver, channel);
      deepEqual(own && Buffer.from(own).toString("hex"), position, name);
    }
    for (let key = 0; key <= 5; key += 1) {
      const { bodyHash, firstOffset, recordCount } = world.opened.log.keyed(hashOf(key)) ?? {};
      const known = keys.get(Buffer.from(hashOf(key)).toString("hex"));
      deepEqual(
        bodyHash && {
          body: Buffer.from(bodyHash).toString("hex"),
          first: firstOffset,
          count: recordCount,
        },
        known,
      );
    }
    await closeWorld(world);
    deepEqual(readIndependently(scene).records, expected.records);
  });
  await fc.assert(property, { numRuns: RUNS });
});

test("independent reader: after a power cut during an opening it reads what the next opening reads", async () => {
  const keep = fc.constantFrom("all" as const, "none" as const);
  const property = fc.asyncProperty(life, fc.nat(70), keep, async (drawn, call, kept) => {
    const scene = newScene();
    await live(scene, drawn);
    scene.crash("all");
    scene.disk.inject({ what: "power-off", nth: call + 1 });
    await openWorld(scene, { segmentBytes: drawn.bytes }).catch(() => undefined);
    scene.crash(kept);
    const { records } = readIndependently(scene);
    const world = await openWorld(scene, { segmentBytes: drawn.bytes });
    deepEqual({ records }, { records: (await readByLog(world)).records });
    await closeWorld(world);
  });
  await fc.assert(property, { numRuns: RUNS });
});

test("independent reader: with a damaged byte or a lost file it finds the same records and gaps", async () => {
  const place = fc.record({ file: fc.nat(), at: fc.nat(), isLost: fc.boolean() });
  const property = fc.asyncProperty(life, place, async (drawn, { at, file, isLost }) => {
    const scene = newScene();
    await closeWorld(await live(scene, drawn));
    const paths = segmentPaths(scene);
    const path = paths[file % paths.length] ?? "";
    // Zeros behind the last entry say nothing.
    const used = scene.disk.contents(path).findLastIndex((byte) => byte !== 0) + 1;
    if (isLost) scene.disk.take(path);
    else scene.disk.flipBit(path, at % used, at % 8);
    const { positions: _, keys: __, ...read } = readIndependently(scene);
    const world = await openWorld(scene, { segmentBytes: drawn.bytes });
    deepEqual(read, await readByLog(world));
    await closeWorld(world);
  });
  await fc.assert(property, { numRuns: RUNS });
});
