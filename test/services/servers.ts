/**
 * Servers that this process has started: a test run that is interrupted must not leave them behind.
 */
import type { ChildProcess } from "node:child_process";

const running = new Set<ChildProcess>();

process.once("exit", () => {
  for (const server of running) server.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.once(signal, () => process.exit(1));

/** Ends it when this process ends, if it has not ended by then. */
export function endWithUs(server: ChildProcess): void {
  running.add(server);
  server.once("exit", () => running.delete(server));
}
