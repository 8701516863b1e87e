/**
 * `holdfast validate`: everything that is wrong with a configuration and the files that it names, or that nothing is; then
 * what looks like a mistake.
 */
import type { Logger } from "../contract/logger.ts";
import { realClock } from "../host/clock.ts";
import { realFiles } from "../host/real-files.ts";
import { unreadReceivers } from "../unread-receivers.ts";
import type { Call } from "./command.ts";
import { CONFIG_FILE, loadFor } from "./config-file.ts";
import { counted } from "./render.ts";

export async function main(call: Call): Promise<number> {
  const doubts: string[] = [];
  const look = { files: realFiles, clock: realClock, logger: warningsTo(doubts) };
  const loaded = await loadFor(call, call.positionals[0] ?? CONFIG_FILE, look);
  if (loaded.kind === "invalid") return loaded.exitCode;
  const { receivers, pipelines } = loaded.options;
  const outputCount = pipelines.reduce((sum, { outputs }) => sum + outputs.length, 0);
  const parts = [
    counted(receivers.length, "receiver"),
    counted(pipelines.length, "pipeline"),
    counted(outputCount, "output"),
  ];
  call.terminal.print(`${loaded.file} is valid: ${parts.join(", ")}`);
  const unread = unreadReceivers(loaded.options).map(({ message }) => message);
  for (const doubt of [...doubts, ...unread]) call.terminal.print(`warning: ${doubt}`);
  return 0;
}

/** Keeps what a look at the files warns of. */
function warningsTo(doubts: string[]): Logger {
  const quiet = (): void => undefined;
  const logger: Logger = {
    debug: quiet,
    info: quiet,
    warn: (message) => doubts.push(message),
    error: (message) => doubts.push(message),
    child: () => logger,
  };
  return logger;
}
