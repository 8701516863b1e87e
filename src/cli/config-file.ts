/**
 * Finds and loads the configuration file of a command, and shows what is wrong with it.
 */
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { DATA_DEFAULT } from "../config/defaults.ts";
import type { ConfigInput } from "../config/load.ts";
import type { ProblemReport } from "../config/problems.ts";
import type { FileLook } from "../contract/file-look.ts";
import { CODES, codeOf, HoldfastError } from "../errors.ts";
import type { Files } from "../host/files.ts";
import { realFiles } from "../host/real-files.ts";
import type { IngestOptions } from "../options.ts";
import type { Call } from "./command.ts";
import { renderError } from "./render.ts";

/** File that commands take when they are given none. */
export const CONFIG_FILE = "holdfast.yaml";

/** How loading ended; problems have been shown. */
export type Loaded =
  | { readonly kind: "loaded"; readonly file: string; readonly options: IngestOptions }
  | { readonly kind: "invalid"; readonly exitCode: number };

/** Loads a file for a command; with `look` the files that it names are looked at. @throws CONFIG_NOT_FOUND */
export async function loadFor(
  call: Call,
  file: string = CONFIG_FILE,
  look?: FileLook,
): Promise<Loaded> {
  const input = await configInput(call, file);
  const { loadConfig } = await import("../config/load.ts");
  const result = await loadConfig({ ...input, ...(look === undefined ? {} : { look }) });
  if (result.kind === "loaded") return { kind: "loaded", file, options: result.options };
  showProblems(call, result, input);
  return { kind: "invalid", exitCode: CODES.CONFIG_SYNTAX.exitCode };
}

/**
 * Data directory of a command: `--data`, or what its configuration says; where there is none and none was named, the
 * default one if that is there. @throws CONFIG_ codes
 */
export async function dataDirectory(call: Call): Promise<string> {
  const given = call.text("data");
  if (given !== undefined) return resolve(call.terminal.directory, given);
  const named = call.text("config");
  const usual = resolve(call.terminal.directory, DATA_DEFAULT);
  if (named === undefined && !(await hasConfig(call)) && (await isDirectory(usual))) return usual;
  const input = await configInput(call, named ?? CONFIG_FILE);
  const { readDataDirectory } = await import("../config/data-directory.ts");
  return resolve(call.terminal.directory, await readDataDirectory(input));
}

/** Commands that look at data make no directory. @throws DIRECTORY_UNWRITABLE when there is none */
export async function requireDirectory(files: Files, directory: string): Promise<void> {
  if ((await files.stat(directory))?.kind === "directory") return;
  throw new HoldfastError("DIRECTORY_UNWRITABLE", `there is no data directory ${directory}`, {
    fix: "--data DIR, or start in the directory where holdfast run was started",
  });
}

async function hasConfig({ terminal }: Call): Promise<boolean> {
  return (await realFiles.stat(resolve(terminal.directory, CONFIG_FILE))) !== undefined;
}

async function isDirectory(path: string): Promise<boolean> {
  return (await realFiles.stat(path))?.kind === "directory";
}

async function configInput({ terminal }: Call, file: string): Promise<ConfigInput> {
  const path = resolve(terminal.directory, file);
  return {
    file,
    text: await readConfig(path, file),
    variables: terminal.environment,
    readText: async (each) => decode(await realFiles.readFile(resolve(terminal.directory, each))),
    importModule: (each) => import(pathToFileURL(each).href),
  };
}

async function readConfig(path: string, file: string): Promise<string> {
  try {
    return decode(await realFiles.readFile(path));
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") {
      throw new HoldfastError("CONFIG_NOT_FOUND", `${file} is not there: ${path}`, {
        cause,
        fix: "holdfast init, or name a file",
      });
    }
    const code = codeOf(cause);
    const why = code === "EISDIR" ? "it is a directory" : code;
    throw new HoldfastError("CONFIG_NOT_FOUND", `${file} cannot be read: ${why}`, {
      cause,
      fix: code === "EISDIR" ? join(file, CONFIG_FILE) : "give this user the right to read it",
    });
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function showProblems(
  call: Call,
  { problems, omittedCount }: ProblemReport,
  { file, text }: ConfigInput,
): void {
  const { terminal } = call;
  const options = {
    color: terminal.hasColor,
    debug: call.has("debug"),
    textOf: (each: string) => (each === file ? text : undefined),
  };
  for (const problem of problems) terminal.complain(renderError(problem, options));
  if (omittedCount > 0) terminal.complain(`and ${omittedCount} more`);
}
