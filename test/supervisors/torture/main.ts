/**
 * One torture in a process of its own, where a rejection that nobody hears of ends it:
 * `node dist/test/supervisors/torture/main.js UNITS ROUNDS SEED [nact] [at-once]`.
 * Writes the report as a line of JSON.
 */
import { inlineShells } from "../../../src/actor/inline-shell.ts";
import { nactShells } from "../../../src/actor/nact-shell.ts";
import { torture } from "./torture.ts";

const [unitCount, rounds, seed] = process.argv.slice(2, 5).map(Number);
const words = process.argv.slice(5);
const shells = words.includes("nact") ? nactShells : inlineShells;
const end = words.includes("at-once") ? "at-once" : "calm";
if (unitCount === undefined || rounds === undefined || seed === undefined)
  throw new Error("how many units, how many rounds, which seed?");
const { blows, ...report } = await torture({ unitCount, rounds, seed, shells, end });
console.log(JSON.stringify({ seed, ...report, blows: Object.fromEntries(blows) }));
