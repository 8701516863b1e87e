import { loadConfig, type LoadResult } from "../../src/config/load.ts";
import type { ModuleExports } from "../../src/config/modules.ts";
import { renderError } from "../../src/cli/render.ts";
import type { IngestOptions } from "../../src/options.ts";

/** Modules that a test's configuration can name, by absolute path. */
export type FakeModules = Readonly<Record<string, ModuleExports>>;

/**
 * Loads a text as `/work/holdfast.yaml`, shown as `h.yaml` would be; only these modules are there.
 */
export function load(
  text: string,
  modules: FakeModules = {},
  variables: Readonly<Record<string, string>> = {},
): Promise<LoadResult> {
  return loadConfig({
    file: "/work/h.yaml",
    text,
    variables,
    readText: (path) => Promise.reject(new Error(`no ${path} in this test`)),
    importModule: (path) => {
      const found = modules[path];
      if (found !== undefined) return Promise.resolve(found);
      const missing = Object.assign(new Error(`Cannot find module '${path}' imported from here`), {
        code: "ERR_MODULE_NOT_FOUND",
      });
      return Promise.reject(missing);
    },
  });
}

/** Options of a text that must be right. */
export async function loaded(
  text: string,
  modules: FakeModules = {},
  variables: Readonly<Record<string, string>> = {},
): Promise<IngestOptions> {
  const result = await load(text, modules, variables);
  if (result.kind === "loaded") return result.options;
  throw new Error(
    result.problems.map((problem) => `${problem.at?.line}: ${problem.message}`).join("\n"),
  );
}

/** Everything that is wrong with a text, as the program shows it. */
export async function rendered(text: string, modules: FakeModules = {}): Promise<string> {
  const result = await load(text, modules);
  if (result.kind === "loaded") return "";
  const lines = result.problems.map((problem) =>
    renderError(problem, { color: false, debug: false, textOf: () => text }),
  );
  return lines.join("\n").replaceAll("/work/h.yaml", "h.yaml");
}
