/**
 * How this program is started: for children that run it, and for service files that name it.
 */
import { resolve } from "node:path";

/** A command that starts this program; its arguments follow. */
export interface OwnProgram {
  /** Node, absolute. */
  readonly command: string;
  /** Node's own options, then the program's file, absolute. */
  readonly arguments: readonly string[];
}

/** The program that runs here. */
export function ownProgram(): OwnProgram {
  const { execPath, execArgv, argv } = process;
  return { command: execPath, arguments: [...execArgv, resolve(argv[1] ?? "")] };
}
