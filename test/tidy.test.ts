/**
 * Rules of this repository that no linter knows. A failure names the file and what to do.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import { CODES } from "../src/errors.ts";
import { listFiles, listFolders, readText, repositoryRoot } from "./support/repository.ts";

const root = repositoryRoot();
const CODE_FOLDERS = ["src", "receivers", "supervisors"];
const files = listFiles(root);
const textOf = new Map(
  files
    .filter((path) => /(\.(ts|mjs|js|json|md|yaml|yml|sh|c|service)|^\.ci\/run)$/.test(path))
    .map((path) => [path, readText(root, path)]),
);
const scripts = [...textOf].filter(([path]) => /\.(ts|mjs)$/.test(path));
const sources = scripts.filter(([path]) =>
  CODE_FOLDERS.some((folder) => path.startsWith(`${folder}/`)),
);
const testTexts = scripts.filter(([path]) => path.startsWith("test/"));

/** Every place where a pattern is found: `path:line: text`. */
function find(texts: Iterable<readonly [string, string]>, pattern: RegExp): readonly string[] {
  return [...texts].flatMap(([path, text]) =>
    text
      .split("\n")
      .flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
      ),
  );
}

// Map

interface ProjectMap {
  readonly top: readonly string[];
  readonly stages: ReadonlyMap<string, string>;
  readonly src: readonly string[];
  readonly srcFiles: readonly string[];
}

/** The fenced block under "## Map" of the README: `name/` is a folder, indented below `src/`; `(n)` its stage. */
function readMap(): ProjectMap {
  const block = /^## Map\n+```\n(.*?)^```$/ms.exec(readText(root, "README.md"))?.[1] ?? "";
  const lines = block.split("\n");
  const folders = (chosen: readonly string[]): readonly string[] =>
    chosen.flatMap((line) =>
      Array.from(line.matchAll(/(?<=^|\s)([a-z-]+)\/(?=\s|$)/g), ([, name = ""]) => name),
    );
  const inner = lines.filter((line) => line.startsWith(" "));
  const stages = inner.flatMap((line) => {
    const [, name = "", stage = ""] = /^\s+([a-z-]+)\/\s+\((\d)\)/.exec(line) ?? [];
    return name === "" ? [] : [[stage, name] as const];
  });
  return {
    top: folders(lines.filter((line) => !line.startsWith(" "))),
    src: folders(inner),
    srcFiles: inner.flatMap((line) => /^\s+([a-z-]+\.ts)\s/.exec(line)?.[1] ?? []),
    stages: new Map(stages),
  };
}

test("map: the folders of src/ in the README are those on disk", () => {
  assert.deepEqual(readMap().src.toSorted(), listFolders(root, "src"));
});

test("map: the top folders in the README are those on disk", () => {
  const onDisk = listFolders(root).filter((name) => !name.startsWith("."));
  assert.deepEqual(readMap().top.toSorted(), onDisk);
});

test("map: the files of src/ that the README names are there", () => {
  const { srcFiles } = readMap();
  assert.notEqual(srcFiles.length, 0);
  assert.deepEqual(
    srcFiles.filter((name) => !existsSync(join(root, "src", name))),
    [],
  );
});

test("map: pipeline.ts numbers the stages as the README does", () => {
  const text = readText(root, "src/pipeline.ts");
  const numbered = Array.from(
    text.matchAll(/\((\d)\)\s+`([a-z-]+)\/`/g),
    ([, stage = "", name = ""]) => [stage, name] as const,
  );
  assert.equal(numbered.length, 6);
  assert.deepEqual(Object.fromEntries(numbered), Object.fromEntries(readMap().stages));
});

// Errors

const codes = Object.keys(CODES).toSorted();

test("errors: every code has a section in docs/errors.md, and every section a code", () => {
  const sections = Array.from(
    readText(root, "docs/errors.md").matchAll(/^#{2,3} `?([A-Z][A-Z_]+)`?$/gm),
    ([, code = ""]) => code,
  );
  assert.deepEqual(sections.toSorted(), codes);
});

test("errors: every section says how the code is treated, why it comes and what to do", () => {
  const sections = readText(root, "docs/errors.md").split(/^### /m).slice(1);
  const wrong = sections.flatMap((section) => {
    const [code = "", , first = ""] = section.split("\n");
    const rule = Object.entries(CODES).find(([name]) => name === code)?.[1];
    const treated = `Exit ${rule?.exitCode}, ${rule?.retried === true ? "retried" : "not retried"}. `;
    return first.startsWith(treated) && /^\*\*Do:\*\* \S/m.test(section)
      ? []
      : [`${code}: begins with "${treated}", then the reason, then **Do:**`];
  });
  assert.deepEqual(wrong, []);
});

test("errors: every code is named by a test that provokes it", () => {
  const all = testTexts.map(([, text]) => text).join("\n");
  assert.deepEqual(
    codes.filter((code) => !new RegExp(`\\b${code}\\b`).test(all)),
    [],
  );
});

// Words

/** Words that say nothing, and what to write instead. */
const BANNED: Readonly<Record<string, string>> = {
  util: "the name of what it does",
  utils: "the name of what it does",
  helper: "the name of what it does",
  helpers: "the name of what it does",
  manager: "supervisor, pool, registry, or the verb it performs",
  handler: "listener, or the verb it performs",
  common: "the name of what is shared",
  misc: "the name of each thing",
  info: "status, snapshot, description",
  data: "record, block, row, bytes",
};

test("words: no file has a name that says nothing", () => {
  const bad = scripts.flatMap(([path]) => {
    // The last word says what it is: `data-directory` is a directory.
    const [name = ""] = posix.basename(path).split(".");
    const word = name.split("-").at(-1) ?? "";
    return word in BANNED ? [`${path}: instead of "${word}": ${BANNED[word]}`] : [];
  });
  assert.deepEqual(bad, []);
});

test("words: nothing is declared with a name that says nothing", () => {
  const declared =
    /\b(?:class|interface|type|function|const|let)\s+(?:\w*(?:Util|Helper|Manager|Misc)s?\b|(?:util|helper|manager|data|info|misc)s?\b)/;
  assert.deepEqual(find(sources, declared), []);
});

test("words: file names are kebab-case", () => {
  assert.deepEqual(
    scripts
      .map(([path]) => path)
      .filter((path) => !/^[a-z0-9-]+(\.(test|d))?\.(ts|mjs)$/.test(posix.basename(path))),
    [],
  );
});

test("words: nothing is left to do", () => {
  // In two parts, so that this line is not what it looks for.
  assert.deepEqual(find(textOf, new RegExp(String.raw`\b(${"TO"}DO|FIX${"ME"}|X${"XX"})\b`)), []);
});

// Files

/** Files that may be longer, and why. */
const LONG_FILES: ReadonlyMap<string, string> = new Map([]);
const LINES_MAX = 400;

test(`files: at most ${LINES_MAX} lines, but for those with a named reason`, () => {
  const long = scripts
    .map(([path, text]) => [path, text.split("\n").length - 1] as const)
    .filter(([, lines]) => lines > LINES_MAX);
  assert.deepEqual(
    long.filter(([path]) => !LONG_FILES.has(path)),
    [],
  );
  assert.deepEqual(
    [...LONG_FILES.keys()].filter((path) => !long.some(([each]) => each === path)),
    [],
    "no longer long",
  );
});

/** Files that a file names by a relative path: imports, workers, modules loaded later. */
function namedFiles(path: string, text: string): readonly string[] {
  return Array.from(text.matchAll(/"(\.\.?\/[^"\n]+)\.[jt]s"/g), ([, specifier = ""]) =>
    posix.normalize(posix.join(posix.dirname(path), `${specifier}.ts`)),
  );
}

/** What the package's users and the program begin with; the program and threads are the bundle's own entries. */
function entries(): readonly string[] {
  const exported = readText(root, "package.json").matchAll(/"\.\/dist\/([^"]+)\.d\.ts"/g);
  const bundled = readText(root, "scripts/bundle.mjs").matchAll(/"(src\/[^"]+)\.js"/g);
  return Array.from([...exported, ...bundled], ([, path = ""]) => `${path}.ts`);
}

test("files: every source is imported by another or is an entry of the package", () => {
  const named = new Set([
    ...entries(),
    ...scripts.flatMap(([path, text]) => namedFiles(path, text)),
  ]);
  assert.deepEqual(
    sources.map(([path]) => path).filter((path) => !named.has(path)),
    [],
  );
});

test("files: every entry of the package has its source", () => {
  assert.notEqual(entries().length, 0);
  assert.deepEqual(
    entries().filter((path) => !existsSync(join(root, path))),
    [],
  );
});

test("files: every source is reached by a test, through imports or by the program that tests start", () => {
  const reached = new Set<string>();
  const waiting = testTexts.map(([path]) => path).filter((path) => path.endsWith(".test.ts"));
  waiting.push("src/cli/main.ts");
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    waiting.push(...namedFiles(path, textOf.get(path) ?? ""));
  }
  const missed = sources.map(([path]) => path).filter((path) => !reached.has(path));
  assert.deepEqual(missed, []);
});

test("files: every folder of sources has tests of its own, but for the contracts", () => {
  const folders = new Set(
    sources
      .map(([path]) => posix.dirname(path))
      .filter((folder) => folder !== "src/contract" && folder !== "src"),
  );
  const tested = new Set(
    testTexts.filter(([path]) => path.endsWith(".test.ts")).map(([path]) => posix.dirname(path)),
  );
  const mirror = (folder: string): string => `test/${folder.replace(/^src\//, "")}`;
  assert.deepEqual(
    [...folders].filter((folder) => !tested.has(mirror(folder))),
    [],
  );
});

test("files: no address of a package registry, no path of one machine", () => {
  const registry = /https?:\/\/[^\s"'/]*(registry|npm|yarn)[^\s"'/]*/;
  const machine = /(?<![\w.])\/((home|root|Users)\/\w|work\/(main|shared))/;
  assert.deepEqual(find(textOf, registry), []);
  assert.deepEqual(find(textOf, machine), []);
});

test("files: the lock file holds no lint tools and no addresses", () => {
  const lock = readText(root, "package-lock.json");
  for (const name of ["oxlint", "@biomejs/", "tsgolint", "knip", "publint"])
    assert.ok(!lock.includes(`node_modules/${name}`), name);
  assert.ok(
    !lock.includes('"resolved"'),
    "npm install writes them: .npmrc has omit-lockfile-registry-resolved",
  );
});

// Code

test("code: the time of day is asked only of the host", () => {
  const outside = sources.filter(([path]) => !path.startsWith("src/host/"));
  assert.deepEqual(find(outside, /\bnew Date\(\)/), []);
});

test("code: no enum, namespace, decorator or class hierarchy but of errors", () => {
  assert.deepEqual(
    find(sources, /^\s*(?:export )?(?:declare )?(?:const )?(?:enum|namespace) \w/),
    [],
  );
  const heirs = find(sources, /\bclass \w+(?:<[^>]*>)? extends (?!Error\b|HoldfastError\b)/);
  assert.deepEqual(heirs, []);
});
