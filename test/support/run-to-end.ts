import { type ExecFileException, execFile } from "node:child_process";
import { repositoryRoot } from "./repository.ts";

/** How a program ended; signals count as 1. */
export interface EndedProgram {
  readonly code: number;
  /** What it wrote to stdout, then to stderr. */
  readonly output: string;
}

const OUTPUT_BYTES_MAX: number = 16 * 1_024 * 1_024;

/** Runs a program to its end, in the repository unless another directory is given. */
export function runToEnd(
  command: string,
  args: readonly string[],
  cwd: string = repositoryRoot(),
): Promise<EndedProgram> {
  return new Promise((resolve) => {
    // A test runner inside a test would report to the outer one.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    execFile(
      command,
      args,
      { cwd, env, maxBuffer: OUTPUT_BYTES_MAX },
      (error: ExecFileException | null, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        resolve({ code, output: stdout + stderr });
      },
    );
  });
}
