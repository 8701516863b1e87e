#!/usr/bin/env node
/**
 * Runs tests on other versions of Node, brought by the npm package `node` into .node-versions/.
 *
 *   node scripts/node-matrix.mjs               a smoke part: everything that does not take long
 *   node scripts/node-matrix.mjs --all         all tests
 *   node scripts/node-matrix.mjs 22 wal        words that are versions choose versions, others choose tests
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "./command.mjs";

/** The floor, exactly as package.json promises it, and the newest of the lines that are in use. */
const VERSIONS = ["20.19.0", "22", "24"];
/** Left out of the smoke part: they take long, or test the sources and not the program. */
const NOT_SMOKE = [
  "--exclude=crash",
  "--exclude=faults/",
  "--exclude=examples/kafka",
  "--exclude=fleet",
  "--exclude=kafka/broker",
  "--exclude=kafka/cluster",
  "--exclude=kafka/direct-broker",
  "--exclude=kafka/direct-kill",
  "--exclude=kafka/faults",
  "--exclude=kafka/older",
  "--exclude=kafka/redelivery",
  "--exclude=kill.test",
  "--exclude=properties",
  "--exclude=restarts/",
  "--exclude=tidy",
  "--exclude=package.test",
  "--exclude=torture",
];

const quiet = { quiet: true };

/** Path of a version's binary; installs it when it is not there. Throws with npm's words when that fails. */
async function bring(version) {
  const directory = join(root, ".node-versions", version);
  const binary = join(directory, "node_modules", "node", "bin", "node");
  if (existsSync(binary)) return binary;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  // The package's only script fetches the binary of this architecture, as a package.
  writeFileSync(
    join(directory, "package.json"),
    JSON.stringify({ private: true, allowScripts: { node: true } }),
  );
  const { code, output } = await run(
    "npm",
    ["install", "--no-package-lock", "--no-audit", "--no-fund", `node@${version}`],
    { cwd: directory, ...quiet },
  );
  if (code !== 0 || !existsSync(binary))
    throw new Error(`node ${version} could not be installed:\n${output}`);
  return binary;
}

async function testOn(version, words) {
  const binary = await bring(version);
  const { output: exact } = await run(binary, ["--version"], quiet);
  const { code, output } = await run(binary, [join(root, "scripts", "test.mjs"), ...words], quiet);
  const counts = [...output.matchAll(/^. (tests|pass|fail|skipped) (\d+)$/gm)].map(
    ([, name, count]) => `${count} ${name}`,
  );
  if (code !== 0) console.log(output);
  console.log(`node ${exact.trim()}: ${code === 0 ? "ok" : "FAILED"}, ${counts.join(", ")}`);
  return code === 0;
}

const given = process.argv.slice(2);
const versions = given.filter((word) => /^\d+(\.\d+)*$/.test(word));
const words = given.filter((word) => !versions.includes(word) && word !== "--all");
const chosen = words.length > 0 || given.includes("--all") ? words : NOT_SMOKE;

const { code } = await run(process.execPath, [join(root, "scripts", "build.mjs")]);
process.exitCode = code;
for (const version of code === 0 ? (versions.length > 0 ? versions : VERSIONS) : []) {
  try {
    if (!(await testOn(version, chosen))) process.exitCode = 1;
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
