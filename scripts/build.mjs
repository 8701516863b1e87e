#!/usr/bin/env node
/**
 * Compiles into dist/, from nothing, when a source is newer or different; else it is done in a blink.
 *
 * `npm start` and `npm test` run it first. The new tree is built beside the old one and takes its place only
 * when the compiler is content: a failed build leaves the last good one, and no file of a removed source stays.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { bundle } from "./bundle.mjs";
import { root, run } from "./command.mjs";

const SOURCES = ["src", "receivers", "supervisors", "examples", "test", "bench"];
const SETTINGS = [
  "tsconfig.json",
  "package.json",
  "scripts/build.mjs",
  "scripts/bundle.mjs",
  "node_modules/typescript/package.json",
];
const dist = join(root, "dist");
const stamp = join(dist, ".fingerprint");

/** One line per source with its size and time: equal text means that a build would give the same again. */
function fingerprint() {
  const hash = createHash("sha256");
  const add = (path) => {
    const { size, mtimeMs } = statSync(join(root, path));
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  };
  for (const folder of SOURCES.filter((name) => existsSync(join(root, name)))) {
    for (const name of readdirSync(join(root, folder), { recursive: true }).toSorted()) {
      if (name.endsWith(".ts")) add(join(folder, name));
    }
  }
  for (const path of SETTINGS.filter((name) => existsSync(join(root, name)))) add(path);
  return hash.digest("hex");
}

function isFresh(wanted) {
  return existsSync(stamp) && readFileSync(stamp, "utf8") === wanted;
}

/** Puts the new tree in place. A build that ran at the same time may have been first: then its tree is the same. */
function replace(next, previous, wanted) {
  try {
    if (existsSync(dist)) renameSync(dist, previous);
    renameSync(next, dist);
  } catch (error) {
    if (!isFresh(wanted)) throw error;
  }
}

async function build(wanted) {
  // By its own path: a missing compiler is an error, not a download of a package that happens to be named alike.
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  if (!existsSync(tsc)) {
    console.error("the compiler is not installed; run: npm ci");
    return 1;
  }
  const next = join(root, `dist-next-${process.pid}`);
  const previous = join(root, `dist-previous-${process.pid}`);
  try {
    // Checked as what it will be, in dist/: the package's own name resolves only there. Emitted beside it.
    const tscRun = (args, options) =>
      run(process.execPath, [tsc, "--project", root, ...args], options);
    const [checked, emitted] = await Promise.all([
      tscRun(["--noEmit"]),
      tscRun(["--noCheck", "--outDir", next], { quiet: true }),
    ]);
    if (checked.code !== 0) return checked.code;
    if (emitted.code !== 0) console.error(emitted.output.trimEnd());
    if (emitted.code !== 0) return emitted.code;
    await bundle(next);
    // The fingerprint goes in before the rename: a dist/ with one is always whole.
    writeFileSync(join(next, ".fingerprint"), wanted);
    replace(next, previous, wanted);
    return 0;
  } finally {
    for (const path of [next, previous]) rmSync(path, { recursive: true, force: true });
  }
}

const wanted = fingerprint();
if (process.argv.includes("--force") || !isFresh(wanted)) process.exitCode = await build(wanted);
