/**
 * Puts the compiled modules of the package into few files: a start that reads 200 small ones takes 90 ms longer.
 *
 * Entries are those of package.json: each export's declaration names its source, its `default` the file to write.
 * They share chunks, so that every class exists once, whatever is imported. What package.json lists as a dependency
 * stays outside; other packages that are used are taken in, without the parts that nobody calls, and their licences
 * with them.
 */
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { root } from "./command.mjs";

const PROGRAM = "src/cli/main.js";
/** Threads, found by their file's name beside the module that starts them: all files lie in one folder. */
const WORKERS = ["src/sink/sqlite-worker.js"];

/** The program's first bytes decide how a shell starts it, the others' how they find CommonJS packages. */
const REQUIRE = `import { createRequire as holdfastRequire } from "node:module"; const require = holdfastRequire(import.meta.url);`;

function entryPoints(compiled, { bin, exports }) {
  const outputOf = (path) => basename(path, ".js");
  const modules = Object.values(exports).filter((each) => typeof each === "object");
  return [
    ...modules.map(({ types, default: output }) => [
      types.replace("./dist/", "").replace(/\.d\.ts$/, ".js"),
      outputOf(output),
    ]),
    [PROGRAM, outputOf(bin.holdfast)],
    ...WORKERS.map((path) => [path, outputOf(path)]),
  ].map(([path, out]) => ({ in: join(compiled, path), out }));
}

/** Licences of the packages that went in. */
function licences(inputs) {
  const packages = new Set(
    inputs.flatMap((path) => /^(?:.*\/)?(node_modules\/(?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
  );
  return [...packages]
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((folder) => {
      const { name, version } = JSON.parse(
        readFileSync(join(root, folder, "package.json"), "utf8"),
      );
      return `${name} ${version}\n\n${readFileSync(join(root, folder, "LICENSE"), "utf8").trim()}\n`;
    });
}

/** Writes `bundle/` into a folder of compiled modules. Throws when an import cannot be found. */
export async function bundle(compiled) {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const folder = join(compiled, "bundle");
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: entryPoints(compiled, manifest),
    outdir: folder,
    chunkNames: "chunk-[hash]",
    bundle: true,
    splitting: true,
    metafile: true,
    format: "esm",
    platform: "node",
    target: "node20",
    external: Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }),
    banner: { js: REQUIRE },
    logLevel: "warning",
  });
  writeFileSync(join(folder, "LICENSES.txt"), licences(Object.keys(metafile.inputs)).join("\n"));
  chmodSync(join(folder, basename(manifest.bin.holdfast)), 0o755);
}
