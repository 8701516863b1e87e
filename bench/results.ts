/**
 * `results.json` for programs and `RESULTS.md` for people: the newest figures of every job, written by real runs only.
 */
import { readFile, writeFile } from "node:fs/promises";
import type { Job, Result, RunNote } from "./job.ts";
import { standing, targets } from "./targets.ts";
import { benchFile } from "./tools.ts";

const resultsPath = benchFile("results.json");
const tablePath = benchFile("RESULTS.md");

/** Replaces the results of the jobs that ran and keeps those of the others. */
export function merged(
  old: readonly Result[],
  fresh: readonly Result[],
  jobs: readonly Job[],
): readonly Result[] {
  const ran = new Set(fresh.map(({ name }) => jobOf(name)));
  const all = [...old.filter(({ name }) => !ran.has(jobOf(name))), ...fresh];
  const order = jobs.map(({ name }) => name);
  return all.toSorted(
    (left, right) => order.indexOf(jobOf(left.name)) - order.indexOf(jobOf(right.name)),
  );
}

function jobOf(name: string): string {
  return name.slice(0, name.indexOf("/"));
}

/** Merges new results into both files. */
export async function writeResults(
  fresh: readonly Result[],
  jobs: readonly Job[],
  notes: Notes & Pick<RunNote, "loadAverages">,
): Promise<void> {
  const { date, loadAverages, rounds } = notes;
  const noted = fresh.map((result) => ({ ...result, run: { date, rounds, loadAverages } }));
  const all = merged(await readResults(), noted, jobs);
  await writeFile(resultsPath, `${JSON.stringify(all, undefined, 2)}\n`);
  await writeFile(tablePath, resultsPage(all, jobs, notes));
}

async function readResults(): Promise<readonly Result[]> {
  try {
    const results: unknown = JSON.parse(await readFile(resultsPath, "utf8"));
    if (Array.isArray(results)) return results.filter(isResult);
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "ENOENT")) throw cause;
  }
  return [];
}

function isResult(value: unknown): value is Result {
  return (
    typeof value === "object" &&
    value !== null &&
    "name" in value &&
    "metric" in value &&
    "value" in value
  );
}

/** What stands above the table. */
export interface Notes {
  readonly machine: string;
  readonly rounds: number;
  /** Date of the run, year-month-day. */
  readonly date: string;
}

/** The page: a table for each job that has results. */
export function resultsPage(
  results: readonly Result[],
  jobs: readonly Job[],
  { machine, rounds, date }: Notes,
): string {
  const sections = jobs.flatMap((job) => {
    const own = results.filter(({ name }) => jobOf(name) === job.name);
    return own.length === 0
      ? []
      : [
          `## ${job.name}: ${job.title}`,
          "",
          ...table(own, job.ratioTo),
          "",
          `Run it: \`npm run bench -- ${job.name}\`${noteOf(own)}`,
          "",
        ];
  });
  return [
    "# Measured",
    "",
    "Written by `npm run bench [-- NAME ...] [--rounds N]`. Each figure is the median of its rounds, their range in",
    "brackets; the variants of a job run in a new order in each round. The load generator shares the machine with what it",
    "measures. Records are 104 bytes with their newline. CPU is user and system time of the program's whole process tree,",
    "all threads, without its start.",
    "The ratio is the figure divided by that of the control in the same rounds: `bench/control/control.c` where the table",
    "names nothing else. Bounds with an x are of that ratio, of several ratios the worst one. Every full-speed run of the",
    "program checks its output by record ids: nothing lost, nothing twice.",
    "",
    "Jobs that begin with `wal-` drive the library's log itself, without receivers, each variant in a process of its own.",
    "Where a load average is above 1, other programs had the machine and its disk too: figures are low then, and ratios",
    "are rough.",
    "",
    `Last run: ${date}, at most ${rounds} rounds. Machine: ${machine}.`,
    "",
    ...sections,
  ].join("\n");
}

/** How the results of a job came about, where that was kept. */
function noteOf(results: readonly Result[]): string {
  const run: RunNote | undefined = results.find((result) => result.run !== undefined)?.run;
  if (run === undefined) return "";
  const rounds = run.rounds === 1 ? "1 round" : `${run.rounds} rounds`;
  const [before, after] = run.loadAverages.map((average) => average.toFixed(1));
  return ` (this one: ${run.date}, ${rounds}, load average ${before} before it and ${after} at its end)`;
}

/** A Markdown table of results with their targets. */
export function table(results: readonly Result[], ratioTo = "C"): readonly string[] {
  const rows = results.map((result) => {
    const { name, metric, value, unit } = result;
    return [
      name.slice(name.indexOf("/") + 1),
      metric,
      `${show(value)} ${unit}${rangeText(result)}`,
      ...boundsOf(name, metric),
      standing(result) ?? "",
      ratioText(result),
    ];
  });
  return [
    `| variant | metric | measured | floor | aim | reaches | ratio to ${ratioTo} |`,
    "| --- | --- | ---: | ---: | ---: | --- | ---: |",
    ...rows.map((cells) => `| ${cells.join(" | ")} |`),
  ];
}

function rangeText({ range }: Result): string {
  return range === undefined ? "" : ` (${show(range[0])} to ${show(range[1])})`;
}

function boundsOf(name: string, metric: string): readonly [floor: string, aim: string] {
  const target = targets[name]?.[metric];
  if (target === undefined) return ["", ""];
  const mark = target.of === "ratio" ? " x" : "";
  return [`${show(target.floor)}${mark}`, `${show(target.aim)}${mark}`];
}

function ratioText({ controlRatio, controlRatios }: Result): string {
  if (controlRatio !== undefined) return controlRatio.toFixed(2);
  // Behind a comma stands what the variant and its controls have in common.
  return Object.entries(controlRatios ?? {})
    .map(([control, ratio]) => `${ratio.toFixed(2)} to ${control.split(", ")[0]}`)
    .join("; ");
}

/** Three significant digits, thousands separated. */
export function show(value: number): string {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}
