/**
 * `holdfast validate`: everything that is wrong with a configuration, or that nothing is; then what looks like a mistake.
 */
import type { Call } from "./command.ts";
import { CONFIG_FILE, loadFor } from "./config-file.ts";
import { unreadReceivers } from "../unread-receivers.ts";
import { counted } from "./render.ts";

export async function main(call: Call): Promise<number> {
  const loaded = await loadFor(call, call.positionals[0] ?? CONFIG_FILE);
  if (loaded.kind === "invalid") return loaded.exitCode;
  const { receivers, pipelines } = loaded.options;
  const outputCount = pipelines.reduce((sum, { outputs }) => sum + outputs.length, 0);
  const parts = [
    counted(receivers.length, "receiver"),
    counted(pipelines.length, "pipeline"),
    counted(outputCount, "output"),
  ];
  call.terminal.print(`${loaded.file} is valid: ${parts.join(", ")}`);
  for (const { message } of unreadReceivers(loaded.options))
    call.terminal.print(`warning: ${message}`);
  return 0;
}
