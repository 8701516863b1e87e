import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pause, within } from "../../test/support/deadline.ts";
import type { Job, Measurement, RunContext } from "../job.ts";
import { median } from "../statistics.ts";
import { runToEnd } from "../tools.ts";
import type { OpeningNumbers } from "../wal/probes/open.ts";
import type { Probes } from "../wal/probes.ts";
import { probeWords, withDirectory } from "../wal/run-probe.ts";

const backlogBytes = 10e9;
const freeBytesMin = 25e9;
/** Between two openings the log grows by this much before its writer is killed. */
const growthBytes = 32e6;
const openings = 5;
/** For the growth, and for what a writer does until it is killed. */
const roomBytes = 3e9;
const lineMs = 600_000;
/** Somewhere in the middle of a write. */
const killAfterMs = 25;
const bytesPerMib = 1024 * 1024;

/** Starts a probe that stays, waits for its first line, gives it some time, and kills it with SIGKILL. */
async function firstLine<Name extends keyof Probes>(
  name: Name,
  options: Parameters<Probes[Name]>[0],
  thenMs: number,
): Promise<string> {
  const child = spawn(process.execPath, probeWords(name, options), {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  try {
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const line = await within(lineMs, `first line of ${name}`, lines.next());
    await pause(thenMs);
    return String(line.value);
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

async function open(directory: string, bytesMax: number): Promise<OpeningNumbers> {
  const line = await firstLine("openBacklog", { directory, bytesMax }, 0);
  // Decode boundary: our own program's line.
  return JSON.parse(line) as OpeningNumbers;
}

/** Takes the folder's files out of the page cache. */
async function dropFromCache(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    await runToEnd("dd", [`if=${path}`, "iflag=nocache", "count=0", "status=none"]);
  }
}

async function afterKill(context: RunContext): Promise<readonly Measurement[]> {
  const { bavail, bsize } = await statfs(tmpdir());
  const bytes = context.quick ? backlogBytes / 10 : backlogBytes;
  if (bavail * bsize < freeBytesMin) {
    context.tell(`left out: less than ${freeBytesMin / 1e9} GB are free`);
    return [{ metric: "left out: GB free, 25 wanted", value: (bavail * bsize) / 1e9, unit: "GB" }];
  }
  return withDirectory(async (directory) => {
    const bytesMax = bytes + roomBytes;
    const empty = await withDirectory((emptied) => open(emptied, bytesMax));
    const cached: OpeningNumbers[] = [];
    const uncached: OpeningNumbers[] = [];
    for (let opening = 0; opening < 2 * openings; opening += 1) {
      const grown = opening === 0 ? bytes : growthBytes;
      await firstLine("writeBacklog", { directory, bytesMax, bytes: grown }, killAfterMs);
      const isCached = opening % 2 === 0;
      if (!isCached) await dropFromCache(directory);
      (isCached ? cached : uncached).push(await open(directory, bytesMax));
    }
    return numbersOf(empty, cached, uncached);
  });
}

function numbersOf(
  empty: OpeningNumbers,
  cached: readonly OpeningNumbers[],
  uncached: readonly OpeningNumbers[],
): readonly Measurement[] {
  const all = [...cached, ...uncached];
  const timeOf = (some: readonly OpeningNumbers[]): number =>
    median(some.map(({ openMs }) => openMs));
  const peak = Math.max(...all.map(({ peakRssBytes }) => peakRssBytes));
  const records = Math.max(...all.map(({ recordCount }) => recordCount));
  return [
    { metric: "time to open, cached", value: timeOf(cached), unit: "ms" },
    { metric: "time to open, not cached", value: timeOf(uncached), unit: "ms" },
    { metric: "longest of all", value: Math.max(...all.map(({ openMs }) => openMs)), unit: "ms" },
    { metric: "peak RSS of the process", value: peak / bytesPerMib, unit: "MiB" },
    {
      metric: "peak RSS above an empty log's",
      value: (peak - empty.peakRssBytes) / bytesPerMib,
      unit: "MiB",
    },
    { metric: "records in the log", value: records, unit: "records" },
  ];
}

/** What a start after a crash costs when weeks are waiting. */
export const walOpen: Job = {
  name: "wal-open",
  title: "opening a log of 10 GB whose writer was killed with kill -9, five times each way",
  roundsMax: 1,
  variants: [{ name: "wal-open/after kill -9", run: afterKill }],
};
