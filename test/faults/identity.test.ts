/**
 * Directories that are deleted, copied and restored without each other: a batch id alone is not an identity.
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { startGateway } from "../crash/incarnation.ts";
import { within } from "../support/deadline.ts";
import { programPath, RunningProgram } from "../support/running-program.ts";
import { configure, layOut, type Place } from "./place.ts";
import { partIds, readiness, running, runOnce, send, tableIds } from "./session.ts";

const LIMIT = { timeout: 60_000 };
const deadlineMs = 30_000;

/** Puts the contents of a directory back as they were: the directory and its lock file stay the same ones. */
async function restore(copy: string, directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await rm(join(directory, name), { recursive: true, force: true });
    await cp(join(copy, name), join(directory, name), { recursive: true });
  }
}

/** Waits until the pipeline is parked with this code, checks that it shows and that receivers go on, and stops. */
async function parked(place: Place, code: string, shows: RegExp): Promise<void> {
  await running(place, async (program) => {
    const line = await within(deadlineMs, "parked", program.line(/"event":"unit-parked"/));
    match(line, new RegExp(`"unit":"pipelines/readings".*"code":"${code}"`));
    match(line, /"fix":"[^"]+"/);
    const { status, text } = await readiness(place);
    equal(status, 503);
    match(text, shows);
    await send(place, ["while parked"]);
    equal((await program.stop(deadlineMs)).code, 0);
  });
}

test(
  "identity: a deleted data directory beside kept sinks begins as a new writer",
  LIMIT,
  async (context) => {
    const place = await layOut(context);
    await runOnce(place, ["1", "2"]);
    const before = await partIds(place);
    await rm(place.dataDirectory, { recursive: true });
    await runOnce(place, ["3", "4", "5"]);
    deepEqual(await tableIds(place), ["1", "2", "3", "4", "5"]);
    const after = await partIds(place);
    for (const [name, ids] of Object.entries(before))
      deepEqual(after[name], ids, `${name}: a finished part was changed`);
    deepEqual(Object.values(after).flat().toSorted(), ["1", "2", "3", "4", "5"]);
  },
);

test(
  "identity: a database that is older than the ledger parks its pipeline as SINK_BEHIND",
  LIMIT,
  async (context) => {
    const place = await layOut(context);
    await runOnce(place, ["1"]);
    const sinks = dirname(place.databasePath);
    const copy = join(place.directory, "copy");
    await cp(sinks, copy, { recursive: true });
    await runOnce(place, ["2"]);
    const newer = join(place.directory, "newer");
    await cp(sinks, newer, { recursive: true });
    await restore(copy, sinks, ["readings.db"]);
    await parked(place, "SINK_BEHIND", /"code": "SINK_BEHIND"/);
    deepEqual(await tableIds(place), ["1"]);
    // With the newer store back it goes on where it stood, with what came in meanwhile.
    await restore(newer, sinks, ["readings.db"]);
    await runOnce(place, ["3"]);
    deepEqual(await tableIds(place), ["1", "2", "while parked", "3"]);
  },
);

test("identity: a deleted database parks its pipeline as SINK_BEHIND", LIMIT, async (context) => {
  const place = await layOut(context);
  await runOnce(place, ["1"]);
  await rm(place.databasePath);
  await parked(place, "SINK_BEHIND", /"code": "SINK_BEHIND"/);
});

for (const sink of ["store", "files"]) {
  test(
    `identity: a data directory that is older than sink ${sink} parks as SINK_CONFLICT`,
    LIMIT,
    async (context) => {
      const place = await layOut(context, {
        change: (document) => {
          document.setIn(["pipelines", "readings", "sinks"], [sink]);
          document.deleteIn(["sinks", sink === "store" ? "files" : "store"]);
        },
      });
      await runOnce(place, ["1"]);
      const copy = join(place.directory, "copy");
      await cp(place.dataDirectory, copy, { recursive: true });
      await runOnce(place, ["2"]);
      await runOnce(place, ["3"]);
      await restore(copy, place.dataDirectory, ["log", "ledger", "dead-letters"]);
      await parked(place, "SINK_CONFLICT", /"code": "SINK_CONFLICT"/);
      const kept =
        sink === "store" ? await tableIds(place) : Object.values(await partIds(place)).flat();
      deepEqual(kept, ["1", "2", "3"]);
    },
  );
}

test(
  "identity: a copied data directory is refused as LOG_MOVED until it is adopted",
  LIMIT,
  async (context) => {
    const place = await layOut(context);
    await runOnce(place, ["1"]);
    const copied: Place = { ...place, dataDirectory: join(place.directory, "copied") };
    await cp(place.dataDirectory, copied.dataDirectory, { recursive: true });
    await configure(copied);

    const refused = startGateway(copied);
    equal((await within(deadlineMs, "refusal", refused.exited)).code, 1);
    match(refused.output, /^LOG_MOVED: .*\n {4}fix: .*`holdfast log adopt/m);

    const adopting = new RunningProgram({
      arguments: [programPath, "log", "adopt", "--config", copied.configPath],
      directory: copied.directory,
    });
    equal((await within(deadlineMs, "adoption", adopting.exited)).code, 0, adopting.output);
    await runOnce(copied, ["2"]);
    deepEqual(await tableIds(copied), ["1", "2"]);
  },
);
