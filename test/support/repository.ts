/** The repository's own files, for tests about them. Found from dist/ or from the sources alike. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Folders that no one wrote. */
const MADE = /^(node_modules|dist|dist-.*|\.git|\.node-versions|data|build)$/;

/** The folder of package.json. */
export function repositoryRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "package.json"))) {
    const parent = dirname(directory);
    if (parent === directory) throw new Error("no package.json above this file");
    directory = parent;
  }
  return directory;
}

/** Paths below a folder with `/` between names, made folders left out, sorted; [] when there is no such folder. */
export function listFiles(root: string, folder = ""): readonly string[] {
  const directory = join(root, folder);
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true })
    .filter(({ name }) => !MADE.test(name))
    .flatMap((entry) => {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) return listFiles(root, path);
      return entry.isFile() ? [path] : [];
    })
    .toSorted();
}

/** Names of the folders directly below one. */
export function listFolders(root: string, folder = ""): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !MADE.test(entry.name))
    .map(({ name }) => name)
    .toSorted();
}

export function readText(root: string, path: string): string {
  return readFileSync(join(root, path), "utf8");
}
