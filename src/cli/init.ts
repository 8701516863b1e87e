/**
 * `holdfast init`: a configuration to begin with. It never replaces a file. With `--systemd` it prints a unit instead.
 */
import { join, relative, resolve } from "node:path";
import { codeOf, HoldfastError } from "../errors.ts";
import { realFiles } from "../host/real-files.ts";
import type { Call } from "./command.ts";
import { CONFIG_FILE } from "./config-file.ts";
import { CONFIG_TEMPLATE, STEPS_TEMPLATE } from "./templates.ts";

/** Its ending says what it is: with .js that depends on a package.json, and `npm init` writes one that says CommonJS. */
const STEPS_FILE = "steps.mjs";

export async function main(call: Call): Promise<number> {
  if (!call.has("systemd")) return writeFiles(call);
  const { printUnit } = await import("./init-systemd.ts");
  return printUnit(call);
}

async function writeFiles({ terminal, positionals }: Call): Promise<number> {
  const directory = resolve(terminal.directory, positionals[0] ?? ".");
  const files = [
    { path: join(directory, CONFIG_FILE), text: CONFIG_TEMPLATE },
    { path: join(directory, STEPS_FILE), text: STEPS_TEMPLATE },
  ];
  // Looked at before anything is written: half a configuration beside an older half would be worse
  // than none.
  for (const { path } of files) await refuseExisting(path);
  await realFiles.makeDirectory(directory);
  for (const { path, text } of files) await writeNew(path, text);
  const named = relative(terminal.directory, join(directory, CONFIG_FILE));
  const run = named === CONFIG_FILE ? "holdfast run" : `holdfast run ${named}`;
  const tryIt = `echo '{"device":"a","temperature":21.5}' | nc -N 127.0.0.1 9000`;
  terminal.print(
    `created ${named} (commented, runs as it is), ${STEPS_FILE}; next: ${run}, then ${tryIt}`,
  );
  return 0;
}

async function refuseExisting(path: string): Promise<void> {
  if ((await realFiles.stat(path)) !== undefined) throw existing(path);
}

function existing(path: string): HoldfastError {
  return new HoldfastError("CONFIG_CONFLICT", `${path} is there already`, {
    fix: "holdfast init another-directory",
  });
}

async function writeNew(path: string, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  try {
    const file = await realFiles.open(path, "create");
    try {
      await writeAll(file, bytes);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw existing(path);
    throw error;
  }
}

async function writeAll(
  file: Awaited<ReturnType<typeof realFiles.open>>,
  bytes: Uint8Array,
): Promise<void> {
  for (let written = 0; written < bytes.length; )
    written += await file.write(bytes, written, bytes.length - written, written);
}
