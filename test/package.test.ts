/**
 * The package as its users get it: packed, installed into an empty folder, every entry imported, the program run.
 */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { listFiles, readText, repositoryRoot } from "./support/repository.ts";
import { type EndedProgram, runToEnd } from "./support/run-to-end.ts";

const root = repositoryRoot();
/** The tarball is code, declarations and documents: more than this means that something got in. */
const UNPACKED_BYTES_MAX = 3 * 1_024 * 1_024;
const NETWORK_CODES =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED)\b/;

/** Subpaths of `exports` that are modules. */
function entries(): readonly string[] {
  const manifest: { readonly exports: Readonly<Record<string, unknown>> } = JSON.parse(
    readText(root, "package.json"),
  );
  return Object.keys(manifest.exports).filter((path) => path !== "./package.json");
}

const folder = await mkdtemp(join(tmpdir(), "holdfast-package-"));
after(() => rm(folder, { recursive: true, force: true }));
const home = join(folder, "node_modules", "holdfast");
const packed = await runToEnd(
  "npm",
  ["pack", "--ignore-scripts", "--pack-destination", folder],
  root,
);
const installed = packed.code === 0 ? await install() : packed;

async function install(): Promise<EndedProgram> {
  const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"));
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const quick = ["--no-audit", "--no-fund", "--no-package-lock", "--prefer-offline"];
  return await runToEnd("npm", ["install", ...quick, `./${tarball}`], folder);
}

/** Without the network there are no dependencies, and nothing here can be tried. */
const skip =
  installed.code !== 0 &&
  NETWORK_CODES.test(installed.output) &&
  "the dependencies cannot be fetched: no network";

test("package: packs and installs into an empty folder", { skip }, () => {
  assert.equal(installed.code, 0, installed.output);
});

test("package: holds compiled code, declarations, documents and examples only", { skip }, () => {
  const allowed =
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|docs\/.+\.md|examples\/.+\.(ts|js|yaml)|dist\/bundle\/(.+\.js|LICENSES\.txt)|dist\/(src|receivers|supervisors)\/.+\.d\.ts)$/;
  const files = [...listFiles(home), ...listFiles(home, "dist")];
  assert.deepEqual(
    files.filter((path) => !allowed.test(path)),
    [],
  );
  for (const path of ["dist/bundle/index.js", "dist/src/index.d.ts", "LICENSE"]) {
    assert.ok(files.includes(path), `${path} in\n${files.join("\n")}`);
  }
  const bytes = files.reduce((sum, path) => sum + Buffer.byteLength(readText(home, path)), 0);
  assert.ok(bytes <= UNPACKED_BYTES_MAX, `${bytes} bytes, at most ${UNPACKED_BYTES_MAX}`);
});

for (const entry of entries()) {
  const name = `holdfast${entry.slice(1)}`;
  test(`package: ${name} can be imported and exports something`, { skip }, async () => {
    const script = `const names = Object.keys(await import("${name}")); if (names.length === 0) throw new Error("nothing is exported");`;
    const args = ["--input-type=module", "--eval", script];
    const { code, output } = await runToEnd(process.execPath, args, folder);
    assert.equal(code, 0, output);
  });
}

test("package: its declarations need no package but those it installs", { skip }, async () => {
  const imports = entries().map(
    (entry, at) => `import * as entry${at} from "holdfast${entry.slice(1)}";`,
  );
  const names = entries().map((_, at) => `entry${at}`);
  await writeFile(
    join(folder, "all.ts"),
    `${imports.join("\n")}\nexport const all = [${names.join(", ")}];\n`,
  );
  const types = join(root, "node_modules/@types");
  const settings = `--noEmit --strict --module nodenext --target es2023 --types node --typeRoots ${types}`;
  const args = [join(root, "node_modules/typescript/bin/tsc"), ...settings.split(" "), "all.ts"];
  const { code, output } = await runToEnd(process.execPath, args, folder);
  assert.equal(code, 0, output);
});

test("package: the program says how it is used", { skip }, async () => {
  const program = join(folder, "node_modules", ".bin", "holdfast");
  const { code, output } = await runToEnd(program, ["--help"], folder);
  assert.equal(code, 0, output);
  assert.match(output, /usage: holdfast COMMAND/);
});
