/**
 * One command line: which command it is, and how its failure is shown. Commands are loaded when
 * they are called, so that help and wrong usage are answered at once.
 */
import { suggestion } from "../config/suggest.ts";
import { CODES, codeOf, HoldfastError } from "../errors.ts";
import { readCall } from "./command.ts";
import { commandHelp, COMMANDS, programHelp } from "./commands.ts";
import { renderError } from "./render.ts";
import { readVersion } from "./version.ts";
import type { Terminal } from "./terminal.ts";

/** Runs one command line and resolves with the exit code. */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    return await dispatch(args, terminal);
  } catch (error) {
    return fail(error, args, terminal);
  }
}

async function dispatch([name, ...rest]: readonly string[], terminal: Terminal): Promise<number> {
  if (name === undefined || name === "help" || name === "--help" || name === "-h")
    return help(rest[0], name === undefined, terminal);
  if (name === "--version" || name === "-v") {
    terminal.print(readVersion());
    return 0;
  }
  const spec = COMMANDS.find((each) => each.name === name);
  if (spec === undefined) throw unknownCommand(name);
  if (ownArguments(rest).some((arg) => arg === "--help" || arg === "-h")) {
    terminal.print(commandHelp(spec));
    return 0;
  }
  const call = readCall(spec, rest, terminal);
  const command = await spec.load();
  return command.main(call);
}

/** What follows `--` is for another command. */
function ownArguments(args: readonly string[]): readonly string[] {
  const end = args.indexOf("--");
  return end === -1 ? args : args.slice(0, end);
}

async function help(
  topic: string | undefined,
  isUsageError: boolean,
  terminal: Terminal,
): Promise<number> {
  const spec = COMMANDS.find((each) => each.name === topic);
  if (topic !== undefined && spec === undefined) throw unknownCommand(topic);
  const text = spec === undefined ? programHelp(readVersion()) : commandHelp(spec);
  if (isUsageError) terminal.complain(text);
  else terminal.print(text);
  return isUsageError ? CODES.USAGE.exitCode : 0;
}

function unknownCommand(name: string): HoldfastError {
  const names = COMMANDS.map((each) => each.name);
  return new HoldfastError("USAGE", `holdfast has no command ${JSON.stringify(name)}`, {
    fix: suggestion(name, names),
  });
}

/** What a file says that this user may not use. */
const REFUSALS: readonly string[] = ["EACCES", "EPERM", "EROFS"];

/** A file that was refused is nothing that `--debug` has to explain. */
function asKnown(thrown: unknown): unknown {
  const code = codeOf(thrown);
  if (!(thrown instanceof Error) || !REFUSALS.includes(code)) return thrown;
  const path = "path" in thrown ? String(thrown.path) : "a file";
  return new HoldfastError("DIRECTORY_UNWRITABLE", `this user may not use ${path}: ${code}`, {
    cause: thrown,
    fix: "run as the user that it belongs to, or in another directory",
  });
}

/** Shows a failure and gives the exit code that goes with it. */
export function fail(thrown: unknown, args: readonly string[], terminal: Terminal): number {
  const error = asKnown(thrown);
  const isDebug = args.includes("--debug");
  terminal.complain(
    renderError(error, { color: terminal.hasColor, debug: isDebug, textOf: () => undefined }),
  );
  if (error instanceof HoldfastError) return CODES[error.code].exitCode;
  if (!isDebug) terminal.complain("    fix: --debug shows where; this may be a bug of Holdfast");
  return 1;
}
