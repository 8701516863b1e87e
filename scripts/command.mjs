/**
 * Runs programs for the other scripts. Only what is installed here is run: never a download in passing.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The repository, with a slash at its end. */
export const root = fileURLToPath(new URL("..", import.meta.url));

const SIGNALS = ["SIGINT", "SIGTERM"];

/**
 * Runs a program to its end, in the repository unless `cwd` says otherwise.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, quiet?: boolean }} [options] `quiet` collects the output
 * @returns {Promise<{ code: number, output: string }>} a signal counts as 1; `output` is empty unless quiet
 */
export function run(command, args, { cwd = root, env = process.env, quiet = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: ["ignore", quiet ? "pipe" : "inherit", quiet ? "pipe" : "inherit"],
    });
    let output = "";
    const collect = (chunk) => (output += chunk);
    child.stdout?.setEncoding("utf8").on("data", collect);
    child.stderr?.setEncoding("utf8").on("data", collect);
    // Passed on, and not fatal here: the caller still cleans up.
    const pass = (signal) => child.kill(signal);
    for (const signal of SIGNALS) process.on(signal, pass);
    const finish = (code, text) => {
      for (const signal of SIGNALS) process.off(signal, pass);
      resolve({ code, output: text });
    };
    child.once("error", (error) => finish(127, `${command}: ${error.message}`));
    child.once("close", (code) => finish(code ?? 1, output));
  });
}
