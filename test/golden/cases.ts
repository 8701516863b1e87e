/**
 * How the golden directories were made: one function per situation, on a disk in memory and with a clock that stands
 * still, so that the same program makes the same bytes again. A case that is in the repository is never made again;
 * a new version of the format makes all of them in a folder of its own.
 */
import type { Plan } from "../../src/contract/log.ts";
import type { RecordBlock } from "../../src/contract/record.ts";
import { deadLetterStore } from "../../src/dead-letters.ts";
import { OTHER } from "./meaning.ts";
import { closeWorld, openLetters, openWorld, type World } from "../wal/data-scene.ts";
import {
  DIRECTORY,
  lines,
  newScene,
  type Scene,
  SEGMENT_BYTES,
  segmentPaths,
  store,
} from "../wal/log-scene.ts";

/** Makes a data directory and leaves it as a process or a power cut leaves it. */
export type GoldenCase = () => Promise<Scene>;

const ROUNDS_MAX = 100;
/** So long that the tail of three records is copied. */
const COPIED_SEGMENT_BYTES: number = 256 * 1024;

/** A block with every column, a position and a channel. */
function fullBlock(channel: string, position: number): RecordBlock {
  const keys = { bytes: Buffer.from("k1k2"), ends: Uint32Array.of(2, 4) };
  const headers = { bytes: Buffer.from('{"a":"1"}'), ends: Uint32Array.of(9, 9) };
  const timestampsMs = Float64Array.of(1_700_000_000_123.5, Number.NaN);
  return lines([`${channel} 1`, `${channel} 2`], {
    channel,
    keys,
    headers,
    timestampsMs,
    position: Uint8Array.of(position, 0, 255),
  });
}

async function storeAll(world: World, texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    await store(world.opened, [text]);
    await world.scene.clock.advance(10);
  }
}

function numbered(count: number, from = 0): readonly string[] {
  return Array.from({ length: count }, (_, index) => `r${from + index}`);
}

/** Two receivers, all columns, several blocks in an entry, a reopening behind CLOSE. */
async function cleanClose(): Promise<Scene> {
  const scene = newScene();
  const first = await openWorld(scene);
  const { log } = first.opened;
  const origin = { receiver: "web", epoch: 4 };
  await Promise.all([
    store(first.opened, ["one", "two"]),
    log.append(fullBlock("a", 1), origin),
    log.append(fullBlock("b", 2), origin),
  ]);
  await scene.clock.advance(1_000);
  await log.append(fullBlock("a", 3), origin);
  await closeWorld(first);
  const second = await openWorld(scene);
  await store(second.opened, ["three", ""], { delimiterBytes: 0 });
  await closeWorld(second);
  return scene;
}

/** Killed while an entry of two blocks was being written: its second block never reached the disk. */
async function tornTail(): Promise<Scene> {
  const scene = newScene();
  const world = await openWorld(scene);
  await storeAll(world, numbered(3));
  await store(world.opened, [`begin${"\0".repeat(6_000)}end`]);
  scene.crash("all");
  const path = segmentPaths(scene).at(-1) ?? "";
  const end = scene.disk.contents(path).findLastIndex((byte) => byte !== 0);
  scene.disk.patch(path, end - (end % 4096), new Uint8Array(4096));
  return scene;
}

/** Ids of the entries in a file, in the order of their places. */
function segmentIdsIn(bytes: Uint8Array): readonly number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ids: number[] = [];
  for (let at = 4096; at < bytes.length; at += 4096)
    if (view.getUint32(at, true) === 0x00314648) ids.push(view.getUint32(at + 44, true));
  return ids;
}

/** A freed segment's file became the newest one, and another one the spare: old entries lie behind its end. */
async function recycled(): Promise<Scene> {
  const scene = newScene();
  const world = await openWorld(scene, { bytesMax: 3 * SEGMENT_BYTES });
  const hasOldEntries = (): boolean => {
    const ids = segmentIdsIn(scene.disk.contents(segmentPaths(scene).at(-1) ?? ""));
    return ids.length > 12 && new Set(ids).size > 1;
  };
  for (let index = 0; index < ROUNDS_MAX && !hasOldEntries(); index += 1) {
    await storeAll(world, [`r${index}`]);
    await world.opened.log.release(index - 2);
  }
  if (!hasOldEntries()) throw new Error("nothing was recycled");
  scene.crash("all");
  return scene;
}

/** Killed while a short tail was being copied to another segment: both files are there, and the old one counts. */
async function unfinishedCopy(): Promise<Scene> {
  for (let call = 1; call < ROUNDS_MAX; call += 1) {
    const scene = newScene();
    await storeAll(await openWorld(scene, { segmentBytes: COPIED_SEGMENT_BYTES }), numbered(3));
    scene.crash("all");
    scene.disk.inject({ what: "power-off", kind: "write", path: `${DIRECTORY}/`, nth: call });
    await openWorld(scene, { segmentBytes: COPIED_SEGMENT_BYTES }).catch(() => undefined);
    scene.crash("all");
    const [old = "", copy = ""] = segmentPaths(scene);
    const isBegun = copy !== "" && segmentIdsIn(scene.disk.contents(copy)).length > 4;
    if (isBegun && old !== "") return scene;
  }
  throw new Error("no copy was begun");
}

/** A byte of a sealed segment and one of the newest are not what was written. */
async function damagedMiddle(): Promise<Scene> {
  const scene = newScene();
  const world = await openWorld(scene);
  await storeAll(world, numbered(16));
  scene.crash("all");
  for (const path of segmentPaths(scene)) {
    const bytes = Buffer.from(scene.disk.contents(path));
    const at = bytes.indexOf(path === segmentPaths(scene)[0] ? "r3\n" : "r10\n");
    scene.disk.flipBit(path, at, 5);
  }
  return scene;
}

/** Channels with positions that the head of a second segment repeats; the first copy of its NAMES is damaged. */
async function tables(): Promise<Scene> {
  const scene = newScene();
  const world = await openWorld(scene);
  for (let channel = 0; channel < 6; channel += 1) {
    const position = Uint8Array.of(channel, 1);
    await store(world.opened, [`c${channel}`], { channel: `ch-${channel}-ä`, position });
  }
  scene.crash("all");
  const path = segmentPaths(scene).at(-1) ?? "";
  const at = Buffer.from(scene.disk.contents(path)).indexOf("meters");
  scene.disk.flipBit(path, at, 0);
  return scene;
}

/** A write that failed although it reached the disk: its records are in two segments, and count once. */
async function rescued(): Promise<Scene> {
  const scene = newScene();
  const world = await openWorld(scene);
  await storeAll(world, numbered(3));
  const path = `${DIRECTORY}/`;
  scene.disk.inject({ what: "error", kind: "write", path, nth: 1, code: "EIO", effect: "disk" });
  await storeAll(world, numbered(3, 3));
  scene.crash("all");
  return scene;
}

function planOf(pipeline: string, batchId: number, range: readonly [number, number]): Plan {
  return {
    pipeline,
    batchId,
    epoch: 1,
    batchTimeMs: 1_700_000_000_000 + batchId,
    graphHash: "g1",
    deadLettersFrom: 0,
    ranges: { [OTHER]: { "0": range } },
  };
}

/**
 * Every fact there is, over several files: plans, commits, an open plan, orphans, gaps, cuts, floors. About a log
 * that has no segments here, so that nothing else is to be said about it.
 */
async function ledger(): Promise<Scene> {
  const scene = newScene();
  const world = await openWorld(scene);
  const facts = world.ledger.facts(OTHER);
  const start = { [OTHER]: { "0": 0 } };
  for (const [index, name] of ["open", "orphaned", "forgotten"].entries()) {
    await world.ledger.register(name, { writerId: `${index}`.repeat(32), start });
  }
  for (let batchId = 1; batchId <= 9; batchId += 1) {
    await world.ledger.plan({
      ...planOf("open", batchId, [2 * batchId - 2, 2 * batchId]),
      ...(batchId % 2 === 0 ? { watermarkMs: 1_700_000_000_000.5 } : {}),
    });
    const tokens = { store: Uint8Array.of(batchId, 0, 255), files: Buffer.from("{}") };
    await world.ledger.commit({ pipeline: "open", batchId, epoch: 1, tokens });
  }
  await world.ledger.orphan("orphaned", 1_700_000_000_777);
  await world.ledger.forget("forgotten");
  await facts.addCut({ segmentId: 1, endPosition: 8192, endOffset: 4, lastHeaderCrc: 77 });
  await facts.addCut({ segmentId: 3, endPosition: 12288, endOffset: 9, lastHeaderCrc: 78 });
  await facts.addGap({ from: 2, to: 5, reason: "damaged" });
  await facts.addGap({ from: 4, to: 7, reason: "unreadable" });
  await facts.addGap({ from: 9, to: 11, reason: "lost-tail" });
  await facts.moveFloor({ segmentId: 2, offset: 3 });
  await world.ledger.plan(planOf("open", 10, [18, 25]));
  scene.crash("all");
  return scene;
}

/** Letters of two stages, one of framing, and one that is longer than a block of the disk. */
async function deadLetters(): Promise<Scene> {
  const scene = newScene();
  const world = await openWorld(scene);
  const { log } = await openLetters(world);
  const letters = deadLetterStore(log, scene.clock);
  const letter = {
    unit: "readings",
    code: "DECODE_FAILED",
    message: "no JSON",
    receiver: "meters",
  };
  const bytes = Uint8Array.of(0, 1, 255);
  await letters.add([
    { ...letter, key: "w/1/decode/0", stage: "decode", offset: 7, bytes },
    { ...letter, key: "w/1/map/0", stage: "map", offset: 8, bytes: Buffer.from("{}") },
  ]);
  await scene.clock.advance(5_000);
  await letters.add([
    { ...letter, key: "", stage: "framing", offset: undefined, bytes: new Uint8Array(5_000) },
  ]);
  await log.close();
  await closeWorld(world);
  return scene;
}

/** All of them, by the name of their folder. */
export const CASES: Readonly<Record<string, GoldenCase>> = {
  "clean-close": cleanClose,
  "torn-tail": tornTail,
  recycled,
  "unfinished-copy": unfinishedCopy,
  "damaged-middle": damagedMiddle,
  tables,
  rescued,
  ledger,
  "dead-letters": deadLetters,
};
