/**
 * `npm run bench [-- NAME ...] [--rounds N] [--quick] [--list]`: measures the real program and writes what it found.
 */
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import type { Job, Result, RunNote } from "./job.ts";
import { json, raw } from "./jobs/files.ts";
import { fleet } from "./jobs/fleet.ts";
import { latency } from "./jobs/latency.ts";
import { log } from "./jobs/log.ts";
import { memory } from "./jobs/memory.ts";
import { idle, paced } from "./jobs/paced.ts";
import { receive } from "./jobs/receive.ts";
import { sqlite } from "./jobs/sqlite.ts";
import { start } from "./jobs/start.ts";
import { supervision } from "./jobs/supervision.ts";
import { walCard } from "./jobs/wal-card.ts";
import { walChoices } from "./jobs/wal-choices.ts";
import { walCode } from "./jobs/wal-code.ts";
import { walGroups } from "./jobs/wal-groups.ts";
import { walIdle } from "./jobs/wal-idle.ts";
import { walLatency } from "./jobs/wal-latency.ts";
import { walOpen } from "./jobs/wal-open.ts";
import { walStores } from "./jobs/wal-stores.ts";
import { walTail } from "./jobs/wal-tail.ts";
import { describeMachine } from "./machine.ts";
import { table, writeResults } from "./results.ts";
import { runJob } from "./rounds.ts";
import { buildTools, ToolMissing } from "./tools.ts";

const exitFailed = 1;
const exitUsage = 64;
const exitUnavailable = 69;
const roundsDefault = 5;

const jobs: readonly Job[] = [
  log,
  raw,
  json,
  sqlite,
  receive,
  latency,
  paced,
  idle,
  start,
  memory,
  supervision,
  walGroups,
  walStores,
  walCode,
  walLatency,
  walOpen,
  walTail,
  walIdle,
  walCard,
  walChoices,
  fleet,
];

// Programs and folders are cleared away on exit, which an interrupt does not lead to by itself.
process.once("SIGINT", () => process.exit(exitFailed));
process.once("SIGTERM", () => process.exit(exitFailed));
process.exitCode = await main();

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: "string", default: String(roundsDefault) },
      quick: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
    },
  });
  if (values.list) return list();
  const rounds = Number(values.rounds);
  const unknown = positionals.filter((name) => !jobs.some((job) => job.name === name));
  if (unknown.length > 0)
    return usage(
      `no job ${unknown.join(", ")}; there are ${jobs.map(({ name }) => name).join(", ")}`,
    );
  if (!Number.isInteger(rounds) || rounds < 1)
    return usage(`--rounds is ${values.rounds}, a whole number from 1 is needed`);
  if (!(await built())) return exitUnavailable;
  const chosen = jobs.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  return measure(chosen, rounds, values.quick);
}

/** Runs jobs one after the other. One that fails is reported, and leaves its old figures as they are. */
async function measure(chosen: readonly Job[], rounds: number, quick: boolean): Promise<number> {
  const machine = await describeMachine();
  console.log(machine);
  let code = 0;
  for (const job of chosen) {
    console.log(`\n${job.name}: ${job.title}`);
    const [before = 0] = loadavg();
    try {
      const results = await runJob(job, rounds, {
        quick,
        tell: (line) => console.log(`  ${line}`),
      });
      console.log(table(results, job.ratioTo).join("\n"));
      const times = Math.min(rounds, job.roundsMax ?? rounds);
      const [after = 0] = loadavg();
      if (!quick) await keep(results, { machine, rounds: times, loadAverages: [before, after] });
    } catch (error) {
      console.error(`${job.name} failed:`, error);
      code = exitFailed;
    }
  }
  if (quick) console.log("\nquick: nothing was written");
  return code;
}

async function keep(
  results: readonly Result[],
  notes: { readonly machine: string } & Omit<RunNote, "date">,
): Promise<void> {
  await writeResults(results, jobs, {
    ...notes,
    date: new Date().toISOString().slice(0, 10),
  });
}

async function built(): Promise<boolean> {
  try {
    await buildTools();
    return true;
  } catch (error) {
    if (!(error instanceof ToolMissing)) throw error;
    console.error(error.message);
    return false;
  }
}

function list(): number {
  for (const { name, title } of jobs) console.log(`${name.padEnd(11)} ${title}`);
  return 0;
}

function usage(message: string): number {
  console.error(message);
  return exitUsage;
}
