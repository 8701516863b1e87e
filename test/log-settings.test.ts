import { deepEqual, ok, throws } from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { rate } from "../receivers/rate/index.ts";
import type { Files } from "../src/host/files.ts";
import { realHost } from "../src/host/real-host.ts";
import { createIngest, type IngestOptions } from "../src/index.ts";
import { VirtualClock } from "../src/testing/virtual-clock.ts";
import { silentLogger } from "./support/logger.ts";
import { timed } from "./support/timed.ts";

const MIB = 1024 * 1024;

function optionsWith(log: NonNullable<IngestOptions["log"]>): IngestOptions {
  return { directory: "./d", receivers: [rate("demo", {})], pipelines: [], log };
}

test("log settings: a bound of flushes below what an opening needs is refused, none is 0", () => {
  for (const flushesPerSecondMax of [0, 4, 10_000])
    ok(createIngest(optionsWith({ flushesPerSecondMax })));
  for (const flushesPerSecondMax of [-1, 1, 3, 10_001, Number.NaN])
    throws(() => createIngest(optionsWith({ flushesPerSecondMax })), {
      code: "CONFIG_OUT_OF_RANGE",
    });
});

test("log settings: words that are none, and a reserve in segments that are too small", () => {
  const wrong: unknown[] = [{ reserve: "half" }, { durability: "none" }];
  for (const log of wrong)
    throws(() => createIngest(optionsWith(Object(log))), { code: "CONFIG_OUT_OF_RANGE" });
  throws(() => createIngest(optionsWith({ reserve: "full", segmentBytes: 8 * MIB })), {
    code: "CONFIG_CONFLICT",
  });
  ok(createIngest(optionsWith({ reserve: "full", durability: "strict" })));
});

/** Notes when each durable write and sync begins. */
function counting(
  files: Files,
  clock: VirtualClock,
): { readonly files: Files; readonly begunMs: number[] } {
  const begunMs: number[] = [];
  const count = <Result>(call: Promise<Result>): Promise<Result> => {
    begunMs.push(clock.monotonicMs());
    return call;
  };
  const counted: Files = {
    ...files,
    open: async (path, mode) => {
      const handle = await files.open(path, mode);
      return {
        path,
        read: (...call) => handle.read(...call),
        write: (...call) =>
          mode.endsWith("-durable") ? count(handle.write(...call)) : handle.write(...call),
        sync: () => count(handle.sync()),
        truncate: (bytes) => handle.truncate(bytes),
        size: () => handle.size(),
        close: () => handle.close(),
      };
    },
    syncDirectory: (path) => count(files.syncDirectory(path)),
  };
  return { files: counted, begunMs };
}

test("log settings: the bound of flushes holds from the first start on, for all that is opened", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-flushes-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const host = realHost();
  const clock = new VirtualClock();
  const { begunMs, files } = counting(host.files, clock);
  await using ingest = createIngest({
    ...optionsWith({ flushesPerSecondMax: 20, bytesMax: 64 * MIB, segmentBytes: 4 * MIB }),
    directory,
    logger: silentLogger,
    host: { ...host, clock, files },
  });
  await timed(clock, ingest.start());
  await timed(clock, ingest.stop());
  const behind = begunMs.slice(20).map((ms, index) => ms - (begunMs[index] ?? 0));
  deepEqual(
    behind.filter((ms) => ms < 1_000),
    [],
  );
  ok(begunMs.length > 20, `${begunMs.length} flushes`);
});

test("log settings: a reserve is told, counted and complete, beside ledger and dead letters", async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-reserve-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const told: string[] = [];
  let complete: (() => void) | undefined;
  const completed = new Promise<void>((resolve) => {
    complete = resolve;
  });
  await using ingest = createIngest({
    ...optionsWith({ reserve: "full", bytesMax: 64 * MIB }),
    directory,
    logger: silentLogger,
    listeners: [
      {
        onLogReserved: ({ bytes, bytesTarget }) => {
          told.push(`${bytes} of ${bytesTarget}`);
          if (bytes === bytesTarget) complete?.();
        },
      },
    ],
  });
  await ingest.start();
  await completed;
  // 64 MiB without 8 for dead letters and 4 for the ledger: three segments.
  deepEqual(told.at(-1), `${48 * MIB} of ${48 * MIB}`);
  const metrics = ingest.metricsText();
  ok(metrics.includes(`holdfast_log_reserved_bytes ${48 * MIB}\n`));
  ok(metrics.includes(`holdfast_log_spare_bytes ${32 * MIB}\n`));
});
