/**
 * `holdfast units`: the supervised units of a running instance, and one of them started again by hand.
 */
import { HoldfastError } from "../errors.ts";
import { realHost } from "../host/real-host.ts";
import type { UnitReport } from "../status-report.ts";
import { askRunning, notUnderstood } from "./ask-instance.ts";
import type { Call } from "./command.ts";
import { dataDirectory, requireDirectory } from "./config-file.ts";
import { showTable } from "./render.ts";
import { isObject, isUnitReport } from "./report-shapes.ts";
import { unitRows } from "./unit-table.ts";

export async function main(call: Call): Promise<number> {
  const [verb = "list", name] = call.positionals;
  if (verb === "list" && name === undefined) return list(call);
  if (verb === "restart" && name !== undefined) return restart(call, name);
  throw new HoldfastError(
    "USAGE",
    `holdfast units takes list, or restart and a name; it got ${call.positionals.join(" ")}`,
    { fix: verb === "restart" ? "holdfast units restart receivers/NAME" : "holdfast units list" },
  );
}

async function list(call: Call): Promise<number> {
  const units = readUnits(await ask(call, "units", {}));
  const lines = call.has("json")
    ? [JSON.stringify(units, undefined, 2)]
    : showTable(unitRows(units));
  for (const line of lines) call.terminal.print(line);
  return 0;
}

async function restart(call: Call, unit: string): Promise<number> {
  const before = readBefore(await ask(call, "units-restart", { unit }));
  call.terminal.print(
    call.has("json")
      ? JSON.stringify({ before }, undefined, 2)
      : `restarting ${unit}, it was ${before.status}; how it goes: holdfast units`,
  );
  return 0;
}

async function ask(
  call: Call,
  command: string,
  given: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  const directory = await dataDirectory(call);
  const host = realHost();
  await requireDirectory(host.files, directory);
  return await askRunning(host, { directory, command, arguments: given });
}

function readUnits(result: unknown): readonly UnitReport[] {
  const units = isObject(result) ? result["units"] : undefined;
  if (Array.isArray(units) && units.every(isUnitReport)) return units;
  throw notUnderstood();
}

function readBefore(result: unknown): UnitReport {
  const before = isObject(result) ? result["before"] : undefined;
  if (isUnitReport(before)) return before;
  throw notUnderstood();
}
