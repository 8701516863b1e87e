/**
 * A power cut on a real file system: the program is killed under load, and what had reached the device by then is all
 * that is left.
 */
import { deepEqual, ok } from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import {
  countStored,
  listening,
  processAndStop,
  startGateway,
  whileAlive,
} from "../crash/incarnation.ts";
import { RecordBook } from "../crash/record-book.ts";
import { runTcpClient } from "../crash/tcp-client.ts";
import { within } from "../support/deadline.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { loopDisk } from "./loop-disk.ts";
import { configure, layOut, type Place } from "./place.ts";

const LIMIT = { timeout: 120_000 };
const clientDeadlineMs = 30_000;
const CUTS = 3;

/** How ext4 is mounted: what its journal holds, and whether it asks the device to flush. */
const MOUNTS = ["data=ordered", "data=writeback", "data=journal", "data=ordered,nobarrier"];

/** The place with its data and its sinks on a disk. */
async function onDisk(place: Place, disk: string): Promise<Place> {
  const sinks = join(disk, "sinks");
  await mkdir(sinks, { recursive: true });
  const moved = {
    ...place,
    dataDirectory: join(disk, "data"),
    databasePath: join(sinks, "readings.db"),
    partsDirectory: join(sinks, "parts"),
  };
  await configure(moved);
  return moved;
}

/** Runs the program under load until it is killed. */
async function killedUnderLoad(place: Place, book: RecordBook, round: number): Promise<void> {
  const program = startGateway(place);
  try {
    await listening(place, program);
    const random = createSeededRandom(round);
    const stop = new AbortController().signal;
    const name = `t${round}`;
    const client = runTcpClient({ port: place.tcpPort, random, book, name, stop });
    await whileAlive(program, "acknowledgements", book.acknowledgedMore(500 * round));
    await program.kill();
    await within(clientDeadlineMs, "end of the client", client);
  } finally {
    await program.kill();
  }
}

for (const options of MOUNTS) {
  test(
    `power cut: on ext4 with ${options} everything that was acknowledged is there`,
    LIMIT,
    async (context) => {
      const disk = await loopDisk(context, options);
      if (disk === undefined) return;
      const place = await layOut(context);
      const book = new RecordBook();
      for (let round = 1; round <= CUTS; round += 1) {
        await killedUnderLoad(await onDisk(place, disk.path), book, round);
        // What nobody has synced is lost: so this is a power cut and no mere kill.
        await writeFile(join(disk.path, "not-synced"), "x".repeat(10_000));
        await disk.cutPower();
        ok(!existsSync(join(disk.path, "not-synced")));
      }
      const after = await onDisk(place, disk.path);
      const last = startGateway(after);
      try {
        await listening(after, last);
        await processAndStop(after, last);
      } finally {
        await last.kill();
      }
      const stored = await countStored(after, book);
      deepEqual(stored.problems, []);
    },
  );
}
