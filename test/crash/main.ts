/**
 * `npm run test:crash -- --kills N --seed S [--keep]`: the kill -9 loop, as long as you like.
 */
import { parseArgs } from "node:util";
import { runCrashLoop, showReport } from "./crash-run.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "100" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    keep: { type: "boolean", default: false },
  },
});

const kills = wholeNumber("--kills", values.kills);
const seed = wholeNumber("--seed", values.seed);
console.log(`seed ${seed}, ${kills} kills`);
try {
  const report = await runCrashLoop({
    kills,
    seed,
    keep: values.keep,
    tell: (line) => console.log(line),
  });
  console.log(showReport(report));
  process.exitCode = report.problems.length === 0 ? 0 : 1;
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}

function wholeNumber(name: string, text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  console.error(`${name} is ${text}, a whole number is needed`);
  process.exit(64);
}
