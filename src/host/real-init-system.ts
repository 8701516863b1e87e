/**
 * systemd, and what speaks its notification protocol: sd_notify(3), sd_watchdog_enabled(3).
 *
 * The messages are datagrams to a local socket, which Node cannot send. `systemd-notify(1)` can; it is there wherever
 * systemd is, knows abstract sockets (a name that begins with "@"), and waits until its message was taken, so that the
 * sender can still be looked up (systemd 246 and newer). Its messages come from a child of the service: the unit needs
 * `NotifyAccess=all`.
 */
import { spawn } from "node:child_process";
import { codeOf, HoldfastError } from "../errors.ts";
import { realClock } from "./clock.ts";
import type { InitSystem } from "./init-system.ts";

const COMMAND = "systemd-notify";
/** It gives up after 5 s by itself; longer than that it hangs. */
const TELL_TIMEOUT_MS = 8_000;
const MICROSECONDS = 1_000;

/** Who listens, by the environment; undefined when nobody does. `pid` is this process's. */
export function realInitSystem(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  pid: number = process.pid,
): InitSystem | undefined {
  const socket = environment["NOTIFY_SOCKET"];
  if (socket === undefined || socket === "") return undefined;
  return {
    watchdogMs: watchdogMs(environment, pid),
    tell: (assignments) => tell(socket, assignments),
  };
}

function watchdogMs(
  environment: Readonly<Record<string, string | undefined>>,
  pid: number,
): number | undefined {
  const { WATCHDOG_USEC: text = "", WATCHDOG_PID: wanted = String(pid) } = environment;
  // Of a parent: whoever supervises this process under systemd answers for itself.
  if (wanted !== String(pid)) return undefined;
  const microseconds = Number(text);
  return Number.isSafeInteger(microseconds) && microseconds > 0
    ? microseconds / MICROSECONDS
    : undefined;
}

function tell(socket: string, assignments: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(COMMAND, [...assignments], {
      stdio: "ignore",
      env: { ...process.env, NOTIFY_SOCKET: socket },
    });
    // Not the timeout of `spawn`: its timer outlives a command that could not be started.
    const cancel = realClock.after(TELL_TIMEOUT_MS, () => child.kill("SIGKILL"));
    child.once("error", (cause) => {
      cancel();
      const why = codeOf(cause) === "ENOENT" ? `there is no \`${COMMAND}\` command` : codeOf(cause);
      reject(untold(why));
    });
    child.once("exit", (code, signal) => {
      cancel();
      if (code === 0) resolve();
      else reject(untold(`\`${COMMAND}\` ended with ${code ?? signal}`));
    });
  });
}

function untold(why: string): HoldfastError {
  return new HoldfastError("PLATFORM_UNSUPPORTED", `cannot tell the init system: ${why}`, {
    fix: "install systemd's own programs, or a unit with Type=exec and without WatchdogSec=",
  });
}
