/**
 * `npm run test:restarts -- --restarts N --kills N --seed S [--keep]`: restarts under load, and whether anything grows.
 */
import { parseArgs } from "node:util";
import { runRestarts } from "./restart-run.ts";
import { growth } from "./growth.ts";

const { values } = parseArgs({
  options: {
    restarts: { type: "string", default: "10000" },
    kills: { type: "string", default: "10" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    keep: { type: "boolean", default: false },
  },
});

const restarts = wholeNumber("--restarts", values.restarts);
const kills = wholeNumber("--kills", values.kills);
const seed = wholeNumber("--seed", values.seed);
const MARK_EVERY = 1_000;
const KILLED_RESTARTS = 100;

const marks = Array.from({ length: Math.ceil(restarts / MARK_EVERY) }, (_, index) =>
  Math.min(restarts, (index + 1) * MARK_EVERY),
);
console.log(`seed ${seed}, ${kills} kills, ${restarts} restarts in the last life`);
const report = await runRestarts({
  seed,
  kills,
  killedRestarts: KILLED_RESTARTS,
  marks,
  keep: values.keep,
  tell: (line) => console.log(line),
});
console.log(JSON.stringify(report.forces));
console.log(
  `${report.sent} records sent once, ${report.acknowledged} acknowledged, ${report.stored} stored once; refused ${JSON.stringify(report.refused)}`,
);
const grown = growth(report.footprints);
console.log(grown.text);
const problems = [...report.problems, ...grown.problems];
for (const problem of problems) console.log(`PROBLEM: ${problem}`);
console.log(problems.length === 0 ? "lost 0, repeated 0" : `kept: ${report.directory}`);
process.exitCode = problems.length === 0 ? 0 : 1;

function wholeNumber(name: string, text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  console.error(`${name} is ${text}, a whole number is needed`);
  process.exit(64);
}
