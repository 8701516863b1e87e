/**
 * `holdfast init --systemd`: prints a unit for the configuration that is there.
 */
import { dirname, join, relative, resolve } from "node:path";
import { HoldfastError } from "../errors.ts";
import { ownProgram } from "../host/own-program.ts";
import type { IngestOptions } from "../options.ts";
import type { Call } from "./command.ts";
import { CONFIG_FILE, loadFor } from "./config-file.ts";
import { STATE_DIRECTORY, systemdUnit } from "./systemd-unit.ts";

export async function printUnit(call: Call): Promise<number> {
  const directory = resolve(call.terminal.directory, call.positionals[0] ?? ".");
  // As the service will see it: from its working directory, its data in its own place if the file lets it.
  const dataVariable = call.terminal.environment["DATA_DIR"] ?? STATE_DIRECTORY;
  const environment = { ...call.terminal.environment, DATA_DIR: dataVariable };
  const terminal = { ...call.terminal, directory, environment };
  const file = join(directory, CONFIG_FILE);
  const loaded = await loadFor({ ...call, terminal }, file);
  if (loaded.kind === "invalid") return loaded.exitCode;
  const { command, arguments: given } = ownProgram();
  const places = writtenPlaces(loaded.options, directory);
  for (const path of [directory, ...places]) requireOneLine(path);
  const kept = resolve(directory, loaded.options.directory);
  const hasStateDirectory = kept === STATE_DIRECTORY;
  const unit = systemdUnit({
    command: [command, ...given, "run", file],
    workingDirectory: directory,
    dataVariable: kept === resolve(directory, dataVariable) ? dataVariable : undefined,
    hasStateDirectory,
    writable: places.filter((path) => !hasStateDirectory || !isWithin(path, STATE_DIRECTORY)),
  });
  await call.terminal.write(unit);
  return 0;
}

/** Directories that an instance writes to, none inside another: its data, and where its sinks write. */
function writtenPlaces(
  { directory, pipelines }: IngestOptions,
  workingDirectory: string,
): readonly string[] {
  const sinks = pipelines.flatMap(({ outputs }) =>
    outputs.flatMap(({ sink }) => {
      const { file, directory: folder } = sink.settings;
      // Beside a database file others come and go.
      if (typeof file === "string") return [dirname(resolve(workingDirectory, file))];
      return typeof folder === "string" ? [resolve(workingDirectory, folder)] : [];
    }),
  );
  const all = [...new Set([resolve(workingDirectory, directory), ...sinks])];
  return all.filter((path) => !all.some((other) => other !== path && isWithin(path, other)));
}

function isWithin(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === "" || !(way === ".." || way.startsWith("../"));
}

function requireOneLine(path: string): void {
  if (!/[\n\r]/.test(path)) return;
  throw new HoldfastError(
    "USAGE",
    `${JSON.stringify(path)} has a line break, a unit cannot name it`,
    {
      fix: "use another directory",
    },
  );
}
