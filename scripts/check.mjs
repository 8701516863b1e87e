#!/usr/bin/env node
/**
 * Everything that can be said about the sources without running them; a line per check.
 *
 *   npm run check                all
 *   npm run check -- --fix       formats first
 *   npm run check -- lint knip   only these
 *
 * The tools are not in the root lock file, because their platform packages differ from machine to machine;
 * they are installed into scripts/tools/ when their list has changed.
 */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, run } from "./command.mjs";

const tools = join(root, "scripts", "tools");
const listed = join(tools, "package.json");
const installed = join(tools, "node_modules", ".installed-package.json");
const quiet = { quiet: true };

const tool = (name, ...args) => run(join(tools, "node_modules", ".bin", name), args, toolOptions);
const script = (name, ...args) =>
  run(process.execPath, [join(root, "scripts", name), ...args], quiet);
const toolOptions = {
  ...quiet,
  env: {
    ...process.env,
    NO_COLOR: "1",
    OXLINT_TSGOLINT_PATH: join(tools, "node_modules", ".bin", "tsgolint"),
  },
};

/** Name, what it runs. Each resolves with an exit code and the output to show when that is not 0. */
const CHECKS = [
  [
    "types",
    () =>
      run(
        process.execPath,
        [join(root, "node_modules/typescript/bin/tsc"), "--noEmit", "--project", root],
        quiet,
      ),
  ],
  ["lint", () => tool("oxlint", "--deny-warnings")],
  ["format", () => tool("biome", "format", "--max-diagnostics=20")],
  ["unused", () => tool("knip", "--no-progress", "--treat-config-hints-as-errors")],
  ["package", checkPackage],
];

async function installTools() {
  if (existsSync(installed) && readFileSync(installed, "utf8") === readFileSync(listed, "utf8"))
    return { code: 0, output: "" };
  const result = await run("npm", ["install", "--no-package-lock", "--no-audit", "--no-fund"], {
    cwd: tools,
    ...quiet,
  });
  if (result.code === 0) copyFileSync(listed, installed);
  return result;
}

/** What would be published, as its users' tools see it. */
async function checkPackage() {
  const built = await script("build.mjs");
  if (built.code !== 0) return built;
  const directory = mkdtempSync(join(tmpdir(), "holdfast-pack-"));
  try {
    const packed = await run(
      "npm",
      ["pack", "--json", "--ignore-scripts", "--pack-destination", directory],
      quiet,
    );
    if (packed.code !== 0) return packed;
    const [, name] = /"filename": "([^"]+\.tgz)"/.exec(packed.output) ?? [];
    const tarball = join(directory, name ?? "");
    const published = await tool("publint", "--strict", tarball);
    if (published.code !== 0) return published;
    // An optional tool: it brings a compiler of its own, which not every machine can have.
    if (!existsSync(join(tools, "node_modules", ".bin", "attw")))
      return { code: 0, output: "", note: "without attw: it is not installed" };
    return await tool("attw", "--profile", "esm-only", "--format", "ascii", "--no-emoji", tarball);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function report(name, work) {
  const startMs = performance.now();
  const { code, output, note } = await work();
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  if (code !== 0) console.log(output.trimEnd());
  console.log(
    `${code === 0 ? "ok    " : "FAILED"} ${name} (${seconds} s)${note === undefined ? "" : `, ${note}`}`,
  );
  return code === 0;
}

const words = process.argv.slice(2);
const names = words.filter((word) => word !== "--fix");
const unknown = names.filter((name) => !CHECKS.some(([known]) => known === name));
let allOk = unknown.length === 0;
for (const name of unknown)
  console.error(
    `no check is named ${name}; there are: ${CHECKS.map(([known]) => known).join(", ")}`,
  );
if (allOk) allOk = await report("tools", installTools);
if (allOk && words.includes("--fix"))
  allOk = await report("formatting", () => tool("biome", "format", "--write"));
if (allOk) {
  for (const [name, work] of CHECKS.filter(
    ([known]) => names.length === 0 || names.includes(known),
  )) {
    allOk = (await report(name, work)) && allOk;
  }
}
process.exitCode = allOk ? 0 : 1;
