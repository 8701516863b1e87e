/**
 * The file and SQLite sinks under the engine that runs them: the same rows, exactly once, in both, whatever fails.
 */
import { createPools } from "../../src/pool/registry.ts";
import { deepEqual, equal, rejects } from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { Processor } from "../../src/batch/processor.ts";
import { availableNow } from "../../src/batch/trigger.ts";
import type { Pipeline } from "../../src/contract/graph.ts";
import { realClock } from "../../src/host/clock.ts";
import { realFiles } from "../../src/host/real-files.ts";
import { realHttpClient } from "../../src/host/real-http-client.ts";
import { compile } from "../../src/operator/compile.ts";
import { pipeline } from "../../src/operator/pipeline.ts";
import { from } from "../../src/operator/stream.ts";
import { json } from "../../src/record/decoders.ts";
import { jsonLines, rawLines } from "../../src/sink/file.ts";
import { sqlite } from "../../src/sink/sqlite.ts";
import { MemoryLetters } from "../../src/testing/memory-ledger.ts";
import { receiverNamed } from "../support/blocks.ts";
import { silentLogger } from "../support/logger.ts";
import { FailingLedger, MemorySource } from "../support/memory-log.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { SqlitePlace } from "../support/sqlite-place.ts";
import { unitContext } from "../support/unit-context.ts";

const RECORDS = 400;

let place: SqlitePlace;
let source: MemorySource;
let ledger: FailingLedger;
let letters: MemoryLetters;

beforeEach(async () => {
  place = await SqlitePlace.make();
  source = new MemorySource();
  source.blockRecords = 40;
  ledger = new FailingLedger();
  letters = new MemoryLetters();
  await place.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, even TEXT)");
});

afterEach(() => place.remove());

function definition(): Pipeline {
  const rows = from(receiverNamed("meters")).decode(json()).map(checked);
  const kept = from(receiverNamed("meters"));
  return pipeline("p", {
    outputs: [
      rows.writeTo(sqlite("table", { file: place.file, table: "t", columns: ["id", "even"] })),
      rows.writeTo(jsonLines("lines", { directory: join(place.directory, "lines") })),
      kept.writeTo(rawLines("kept", { directory: join(place.directory, "kept") })),
    ],
    trigger: availableNow(),
    batchRecordsMax: 150,
  });
}

// The decoder has no schema: this says what the rows are.
function checked(row: unknown): { readonly id: number; readonly even: string } {
  return row as { readonly id: number; readonly even: string };
}

/** @param commits - what becomes of the first commit: it fails before or after it took effect. */
async function runAll(commits?: "before" | "after"): Promise<void> {
  const signal = new AbortController().signal;
  const unit = {
    ...unitContext(),
    path: "pipelines/p",
    epoch: 1,
    signal,
    fail: () => undefined,
    alive: () => undefined,
  };
  const defined = definition();
  const parts = {
    source,
    ledger,
    deadLetters: letters,
    pipeline: defined,
    graphHash: "h",
    clock: realClock,
    files: realFiles,
    httpClient: realHttpClient,
    random: createSeededRandom(1),
    pool: createPools({
      clock: realClock,
      random: createSeededRandom(1),
      emit: () => undefined,
    }).create,
    logger: silentLogger,
    compile: (failed: Parameters<typeof compile>[1]) => compile(defined, failed),
    decide: () => "resume" as const,
    emit: (kind: string) => {
      if (kind === "sink-written" && commits !== undefined) ledger.failNext = commits;
    },
    committed: () => undefined,
  };
  const processor = await Processor.open(parts, unit);
  try {
    await processor.run();
  } finally {
    await processor.close(signal);
  }
}

async function finished(name: string): Promise<readonly string[]> {
  const directory = join(place.directory, name);
  const parts = (await readdir(directory)).filter((part) => !part.startsWith(".")).toSorted();
  const texts = await Promise.all(parts.map((part) => readFile(join(directory, part), "utf8")));
  return texts.flatMap((text) => text.trimEnd().split("\n"));
}

/** Ids 0 .. RECORDS-1; one record is no JSON, one has a wrong type, one repeats a key of the table. */
function fill(): void {
  const texts = Array.from({ length: RECORDS }, (_, id) =>
    JSON.stringify({ id, even: String(id % 2 === 0) }),
  );
  texts[33] = "not json";
  texts[133] = '{"id":133,"even":7}';
  texts[233] = '{"id":5,"even":"again"}';
  source.append(...texts);
}

async function check(): Promise<void> {
  const all = Array.from({ length: RECORDS }, (_, id) => id);
  deepEqual(await finished("kept"), source.texts);
  const lineIds = (await finished("lines")).map((line) => JSON.parse(line).id);
  deepEqual(
    lineIds,
    all.filter((id) => id !== 33).map((id) => (id === 233 ? 5 : id)),
  );
  const tableIds = (await place.query("SELECT id FROM t ORDER BY id")).map(({ id }) => id);
  deepEqual(
    tableIds,
    all.filter((id) => ![33, 133, 233].includes(id)),
  );
  const found = letters.letters.map(({ stage, offset }) => `${stage} ${offset}`);
  deepEqual(found.toSorted(), ["decode 33", "sink:table 133", "sink:table 233"]);
}

test("sinks: every record reaches all three, bad ones the dead letters", async () => {
  fill();
  await runAll();
  await check();
});

test("sinks: commits that fail, before or after they took effect, lose and repeat nothing", async () => {
  fill();
  for (const commits of ["before", "after", "after", "before", "before", "after"] as const) {
    await rejects(runAll(commits), { code: "LOG_FAILED" });
  }
  await runAll();
  await check();
  equal(ledger.checkpoint("p")?.committed?.batchId, 3);
});
