/**
 * What a command sees of the process: arguments, environment, two outputs. Tests pass their own.
 */

import { writeStdout } from "../host/stdout.ts";

/** Where a command runs. */
export interface Terminal {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Working directory, absolute. */
  readonly directory: string;
  /** Whether people read stderr. */
  readonly isInteractive: boolean;
  /** Whether stderr shows colours. */
  readonly hasColor: boolean;
  /** Results, to stdout. */
  print(line: string): void;
  /** Text to stdout; resolves when it was taken, rejects with EPIPE when nobody reads any more. */
  write(text: string): Promise<void>;
  /** Errors and notices, to stderr. */
  complain(line: string): void;
  /** Ends this process by SIGKILL: the way out when a call to the disk does not come back. */
  endAtOnce(): void;
}

/** The process itself. */
export function processTerminal(): Terminal {
  const { env } = process;
  return {
    environment: env,
    directory: process.cwd(),
    isInteractive: process.stderr.isTTY,
    hasColor: process.stderr.isTTY && env["NO_COLOR"] === undefined && env["TERM"] !== "dumb",
    print: (line) => void process.stdout.write(`${line}\n`),
    write: writeStdout,
    complain: (line) => void process.stderr.write(`${line}\n`),
    endAtOnce: () => void process.kill(process.pid, "SIGKILL"),
  };
}
