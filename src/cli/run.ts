/**
 * `holdfast run`: a thin user of `createIngest`. It says where things are, then how it goes, then
 * how it ended.
 */
import { HoldfastError } from "../errors.ts";
import { takeLifeline } from "../host/real-lifeline.ts";
import { realInitSystem } from "../host/real-init-system.ts";
import type { LogLevel } from "../observe/logger.ts";
import type { IngestOptions } from "../options.ts";
import type { Call } from "./command.ts";
import { CONFIG_FILE, loadFor } from "./config-file.ts";
import { HeldLogger } from "./held-logger.ts";
import { Runner, Watch } from "./runner.ts";
import { ServiceLink } from "./service-link.ts";
import { readVersion } from "./version.ts";

const LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

export async function main(call: Call): Promise<number> {
  const { terminal } = call;
  const level = logLevel(call);
  const loaded = await loadFor(call, call.positionals[0] ?? CONFIG_FILE);
  if (loaded.kind === "invalid") return loaded.exitCode;
  const [{ createIngest }, { createLogger }, { realHost }] = await Promise.all([
    import("../ingest.ts"),
    import("../observe/logger.ts"),
    import("../host/real-host.ts"),
  ]);
  const host = realHost();
  const watch = new Watch();
  const logger = new HeldLogger(createLogger({ level }));
  const options: IngestOptions = { ...loaded.options, host, logger, listeners: [watch.listener] };
  // Whoever asks for a level wants to see what led to a failure too.
  if (call.text("log-level") !== undefined) logger.release();
  const ingest = createIngest(options);
  const service = new ServiceLink({
    initSystem: realInitSystem(),
    ingest,
    clock: host.clock,
    terminal,
  });
  const runner = new Runner({
    ingest,
    options,
    watch,
    host,
    lifeline: takeLifeline(),
    service,
    logger,
    terminal,
    version: readVersion(),
  });
  return runner.run();
}

function logLevel(call: Call): LogLevel {
  const text = call.text("log-level");
  if (text === undefined) return call.terminal.isInteractive ? "warn" : "info";
  const level = LEVELS.find((each) => each === text);
  if (level !== undefined) return level;
  throw new HoldfastError(
    "USAGE",
    `--log-level is ${JSON.stringify(text)}, allowed are ${LEVELS.join(", ")}`,
    { fix: "--log-level info" },
  );
}
