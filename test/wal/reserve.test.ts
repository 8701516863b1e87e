import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { ReserveProgress } from "../../src/contract/log.ts";
import type { FileHandle, Files } from "../../src/host/files.ts";
import type { LogOptions } from "../../src/wal/log-options.ts";
import { LOG_DEFAULTS } from "../../src/wal/log-options.ts";
import type { OpenedLog } from "../../src/wal/open-log.ts";
import { RESERVE_RETRY_MS } from "../../src/wal/segment-pool.ts";
import { SimulatedDisk } from "../../src/testing/disk.ts";
import {
  DIRECTORY,
  newScene,
  numbered,
  open,
  readBack,
  type Scene,
  SEGMENT_BYTES,
  store,
  storeEach,
  Told,
} from "./log-scene.ts";

const BUDGET = 12 * SEGMENT_BYTES;
const RESERVED: Partial<LogOptions> = { reserve: "full", bytesMax: BUDGET };

class ToldReserve extends Told {
  readonly progress: ReserveProgress[] = [];

  reserved(progress: ReserveProgress): void {
    this.progress.push(progress);
  }
}

function isComplete({ log }: OpenedLog): boolean {
  const { reserve } = log.status();
  return reserve !== undefined && reserve.bytes === reserve.bytesTarget;
}

async function openReserved(scene: Scene, more: Partial<LogOptions> = {}): Promise<OpenedLog> {
  const opened = await open(scene, { ...RESERVED, ...more });
  await scene.clock.advance(1_000);
  ok(isComplete(opened), JSON.stringify(opened.log.status().reserve));
  return opened;
}

/** Another program takes every block that is left. */
function fillDisk({ disk }: Scene): void {
  disk.capacityBytes = fileBytes(disk);
}

function fileBytes(disk: SimulatedDisk): number {
  return disk.paths().reduce((sum, path) => sum + disk.contents(path).length, 0);
}

/** Appends until the log says that it is full, and says how many records it took. */
async function appendUntilFull(scene: Scene, opened: OpenedLog): Promise<number> {
  for (let count = 0; ; count += 1) {
    const stored = store(opened, [`fill ${count}`]).then(
      () => "stored",
      (cause: { code?: string }) => cause.code,
    );
    await scene.clock.settle();
    if (opened.log.status().state !== "full") {
      equal(await stored, "stored");
      continue;
    }
    await scene.clock.advance(LOG_DEFAULTS.storeTimeoutMs);
    equal(await stored, "LOG_FULL");
    return count;
  }
}

test("reserve: the whole budget is allocated after the opening, and told in steps", async () => {
  const scene = newScene();
  const told = new ToldReserve();
  const opened = await open(scene, { ...RESERVED, listener: told });
  ok(!isComplete(opened));
  await scene.clock.advance(1_000);
  deepEqual(opened.log.status().reserve, {
    bytes: BUDGET,
    bytesTarget: BUDGET,
    spareBytes: BUDGET - SEGMENT_BYTES,
  });
  equal(opened.log.status().bytes, BUDGET);
  equal(fileBytes(scene.disk), BUDGET);
  equal(told.progress.at(-1)?.bytes, BUDGET);
  ok(told.progress.length > 2 && told.progress.length <= 11, `${told.progress.length}`);
  await opened.log.close();
  equal(scene.clock.timerCount, 0);
});

test("reserve: once complete a full disk does not stop appends before the budget is used, again and again", async () => {
  const scene = newScene();
  const opened = await openReserved(scene);
  fillDisk(scene);
  let total = 0;
  for (let round = 0; round < 3; round += 1) {
    const count = await appendUntilFull(scene, opened);
    // All segments but for their tables: 10 of 16 blocks each; from the second round on the last one stays.
    ok(count >= 11 * 10 - 2, `round ${round}: ${count}`);
    total += count;
    equal(opened.log.durableEnd, total);
    await opened.log.release(total);
    await scene.clock.advance(1_000);
    ok(isComplete(opened));
  }
  equal(fileBytes(scene.disk), BUDGET);
  await opened.log.close();
});

test("reserve: it outlasts reopenings, orderly and not, on a disk that stays full", async () => {
  const scene = newScene();
  await (await openReserved(scene)).log.close();
  fillDisk(scene);
  for (const end of ["close", "none", "all"] as const) {
    const opened = await openReserved(scene);
    await storeEach(opened, numbered(20));
    if (end === "close") await opened.log.close();
    else scene.crash(end);
  }
  const opened = await openReserved(scene);
  equal((await readBack(opened)).texts.length, 60);
  ok((await appendUntilFull(scene, opened)) > 0);
  await opened.log.close();
});

test("reserve: a crash at any call while space is reserved loses nothing, and the next opening goes on", async () => {
  const start = newScene();
  await openReserved(start);
  const calls = start.disk.callCount();
  ok(calls > 50, `${calls}`);
  const anyCrash = fc.asyncProperty(
    fc.integer({ min: 1, max: calls + 40 }),
    fc.constantFrom("none" as const, "all" as const),
    async (nth, keep) => {
      const scene = newScene();
      scene.disk.inject({ what: "power-off", nth });
      const acknowledged: string[] = [];
      const live = async (): Promise<void> => {
        const opened = await open(scene, RESERVED);
        for (const text of numbered(30)) {
          await store(opened, [text]);
          acknowledged.push(text);
          await scene.clock.sleep(1, new AbortController().signal);
        }
      };
      live().catch(() => undefined);
      await scene.clock.advance(2_000);
      scene.crash(keep);
      const spares = scene.disk.paths().filter((path) => path.includes("/spare-"));
      const whole = spares.filter((path) => scene.disk.contents(path).length === SEGMENT_BYTES);
      const opened = await open(scene, RESERVED);
      // What was reserved before is not written again.
      ok((opened.log.status().reserve?.bytes ?? 0) >= (whole.length - 1) * SEGMENT_BYTES);
      await scene.clock.advance(1_000);
      const { reserve } = opened.log.status();
      ok(reserve !== undefined && fileBytes(scene.disk) <= BUDGET);
      const { gaps, texts } = await readBack(opened);
      deepEqual(gaps, []);
      deepEqual(texts.slice(0, acknowledged.length), acknowledged);
      // A file that ended uncleanly before it had its blocks never gets them; then it goes.
      await opened.log.release(opened.log.durableEnd);
      await storeEach(opened, numbered(20, 100));
      await opened.log.release(opened.log.durableEnd);
      await scene.clock.advance(1_000);
      ok(isComplete(opened), JSON.stringify(opened.log.status().reserve));
      fillDisk(scene);
      ok((await appendUntilFull(scene, opened)) > 10 * 11);
      await opened.log.close();
    },
  );
  await fc.assert(anyCrash, { numRuns: 150 });
});

test("reserve: a disk without room is told, and tried again", async () => {
  const scene = newScene(new SimulatedDisk({ capacityBytes: 5 * SEGMENT_BYTES }));
  const told = new ToldReserve();
  const opened = await open(scene, { ...RESERVED, listener: told });
  await scene.clock.advance(1_000);
  const { error, ...progress } = told.progress.at(-1) ?? { error: undefined };
  equal(error !== undefined && "code" in error && error.code, "ENOSPC");
  deepEqual(progress, {
    bytes: 5 * SEGMENT_BYTES,
    bytesTarget: BUDGET,
    spareBytes: 4 * SEGMENT_BYTES,
  });
  // Commits go on meanwhile.
  await storeEach(opened, numbered(30));
  scene.disk.capacityBytes = Infinity;
  await scene.clock.advance(RESERVE_RETRY_MS + 1_000);
  ok(isComplete(opened));
  await opened.log.close();
  equal(scene.clock.timerCount, 0);
});

test("reserve: where blocks are never overwritten it is refused, before anything is written", async () => {
  for (const type of ["btrfs", "zfs", "f2fs", "bcachefs", "nilfs2"]) {
    const scene = newScene(new SimulatedDisk({ type }));
    await rejects(open(scene, RESERVED), { code: "FILE_SYSTEM_UNSUITABLE" });
    deepEqual(scene.disk.paths(), []);
    await (await open(scene, { reserve: "none" })).log.close();
  }
});

test("reserve: without it the next opening gives back all but two spares", async () => {
  const scene = newScene();
  const opened = await openReserved(scene);
  await store(opened, ["a"]);
  await opened.log.close();
  await (await open(scene, { bytesMax: BUDGET })).log.close();
  equal(fileBytes(scene.disk), 3 * SEGMENT_BYTES);
});

test("reserve: a smaller budget is kept from the next opening on", async () => {
  const scene = newScene();
  await (await openReserved(scene)).log.close();
  const opened = await open(scene, { ...RESERVED, bytesMax: 6 * SEGMENT_BYTES });
  equal(opened.log.status().bytes, 6 * SEGMENT_BYTES);
  equal(fileBytes(scene.disk), 6 * SEGMENT_BYTES);
  await opened.log.close();
});

test("reserve: an entry that needs a file of its own gets it in the place of spares", async () => {
  const scene = newScene();
  const opened = await openReserved(scene);
  await store(opened, ["x".repeat(3 * SEGMENT_BYTES)]);
  ok(opened.log.status().bytes <= BUDGET);
  await opened.log.close();
});

/** A disk that does one thing at a time: 1 ms per call and 10 ms per MiB that it flushes. */
function serialDisk(scene: Scene): Files {
  const { clock, disk } = scene;
  let last = Promise.resolve();
  const inTurn = <Result>(ms: number, call: () => Promise<Result>): Promise<Result> => {
    const turn = last.then(async () => {
      await clock.sleep(ms, new AbortController().signal);
      return await call();
    });
    last = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  };
  const handleOf = (handle: FileHandle, isDurable: boolean): FileHandle => {
    let dirtyBytes = 0;
    return {
      path: handle.path,
      read: (...call) => handle.read(...call),
      write: (buffer, offset, length, position) => {
        const write = (): Promise<number> => handle.write(buffer, offset, length, position);
        if (isDurable) return inTurn(1 + (10 * length) / 1_048_576, write);
        dirtyBytes += length;
        return write();
      },
      sync: () => {
        const ms = 1 + (10 * dirtyBytes) / 1_048_576;
        dirtyBytes = 0;
        return inTurn(ms, () => handle.sync());
      },
      truncate: (bytes) => handle.truncate(bytes),
      size: () => handle.size(),
      close: () => handle.close(),
    };
  };
  const files = scene.files();
  return {
    ...files,
    open: async (path, mode) => handleOf(await disk.open(path, mode), mode.endsWith("-durable")),
    syncDirectory: (path) => inTurn(1, () => disk.syncDirectory(path)),
  };
}

test("reserve: a commit waits for one piece at most, and half of the time is left", async () => {
  const scene = newScene();
  const MIB = 1024 * 1024;
  const opening = open(scene, {
    reserve: "full",
    segmentBytes: 2 * MIB,
    bytesMax: 32 * MIB,
    files: serialDisk(scene),
  });
  await scene.clock.advance(200);
  const opened = await opening;
  const waitedMs: number[] = [];
  for (let index = 0; index < 40; index += 1) {
    const startedMs = scene.clock.monotonicMs();
    const stored = store(opened, [`record ${index}`]).then(() =>
      waitedMs.push(scene.clock.monotonicMs() - startedMs),
    );
    await scene.clock.advance(10);
    await stored;
  }
  ok(!isComplete(opened));
  // A piece of 256 KiB takes 3.5 ms, a sync of the directory 1, the commit itself and its names 2.1.
  ok(Math.max(...waitedMs.slice(1)) <= 7, `${Math.max(...waitedMs)}`);
  await scene.clock.advance(2_000);
  ok(isComplete(opened));
  const closing = opened.log.close();
  await scene.clock.advance(100);
  await closing;
  ok(scene.disk.paths().every((path) => path.startsWith(DIRECTORY)));
});
