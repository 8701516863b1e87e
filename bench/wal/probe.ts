/**
 * A measurement in a process of its own: `node probe.js NAME OPTIONS` prints its numbers as a JSON line.
 */
import { probes } from "./probes.ts";

const [name = "", options = "{}"] = process.argv.slice(2);
const load = Object.entries(probes).find(([known]) => known === name)?.[1];
if (load === undefined) throw new Error(`no probe ${name}`);
// Decode boundary: `runProbe` wrote what this probe's type says.
const measure = (await load()) as (options: unknown) => Promise<unknown>;
console.log(JSON.stringify(await measure(JSON.parse(options))));
