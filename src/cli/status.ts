/**
 * `holdfast status`: how a running instance is, in one table.
 */
import { realHost } from "../host/real-host.ts";
import { askRunning, notUnderstood } from "./ask-instance.ts";
import type { Call } from "./command.ts";
import { dataDirectory, requireDirectory } from "./config-file.ts";
import { showTable } from "./render.ts";
import { isStatusReport } from "./report-shapes.ts";
import { statusRows } from "./unit-table.ts";

export async function main(call: Call): Promise<number> {
  const directory = await dataDirectory(call);
  const host = realHost();
  await requireDirectory(host.files, directory);
  const status = await askRunning(host, { directory, command: "status", arguments: {} });
  if (!isStatusReport(status)) throw notUnderstood();
  const lines = call.has("json")
    ? [JSON.stringify(status, undefined, 2)]
    : showTable(statusRows(status));
  for (const line of lines) call.terminal.print(line);
  return 0;
}
