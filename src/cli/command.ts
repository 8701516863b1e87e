/**
 * What a command is, and how its arguments are read. Nothing here loads the command itself.
 */
import { parseArgs } from "node:util";
import { showDuration } from "../config/quantities.ts";
import { suggestion } from "../config/suggest.ts";
import { HoldfastError } from "../errors.ts";
import { parseDuration } from "../units.ts";
import type { Terminal } from "./terminal.ts";

/** An option of a command. */
export interface OptionSpec {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** What a string option takes, for help: `DIR`. */
  readonly takes?: string;
  readonly doc: string;
}

/** A command before it is loaded. */
export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  /** Behind `holdfast NAME`. */
  readonly usage: string;
  readonly positionals: { readonly min: number; readonly max: number };
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** More lines of help. */
  readonly notes?: readonly string[];
  readonly load: () => Promise<CommandModule>;
}

/** A loaded command. */
export interface CommandModule {
  /** Resolves with the exit code; a rejection is shown and gives its own. */
  main(call: Call): Promise<number>;
}

/** One call of a command. */
export interface Call {
  readonly terminal: Terminal;
  readonly positionals: readonly string[];
  /** Text of a string option. */
  text(option: string): string | undefined;
  /** Whether a boolean option is set. */
  has(option: string): boolean;
}

/** Options that every command has. */
export const COMMON_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  help: { type: "boolean", short: "h", doc: "show this" },
  debug: { type: "boolean", doc: "show stack traces of errors" },
};

/** Arguments as a call. @throws USAGE */
export function readCall(spec: CommandSpec, args: readonly string[], terminal: Terminal): Call {
  const options = { ...spec.options, ...COMMON_OPTIONS };
  const given = new Map<string, string | true>();
  const positionals: string[] = [];
  const { tokens } = parseArgs({
    args: [...args],
    options: parseOptions(options),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind === "option") given.set(token.name, checkOption(spec.name, options, token));
  }
  checkPositionals(spec, positionals);
  return {
    terminal,
    positionals,
    has: (option) => given.has(option),
    text(option) {
      const value = given.get(option);
      return typeof value === "string" ? value : undefined;
    },
  };
}

function parseOptions(
  options: Readonly<Record<string, OptionSpec>>,
): Record<string, { readonly type: "string" | "boolean"; readonly short?: string }> {
  const entries = Object.entries(options).map(([name, { type, short }]) => [
    name,
    { type, ...(short === undefined ? {} : { short }) },
  ]);
  return Object.fromEntries(entries);
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
}

function checkOption(
  command: string,
  options: Readonly<Record<string, OptionSpec>>,
  { name, rawName, value }: OptionToken,
): string | true {
  const spec = Object.hasOwn(options, name) ? options[name] : undefined;
  if (spec === undefined) {
    const known = Object.keys(options).map((each) => `--${each}`);
    throw new HoldfastError("USAGE", `holdfast ${command} has no option ${rawName}`, {
      fix: suggestion(rawName, known),
    });
  }
  if (spec.type === "boolean") {
    if (value === undefined) return true;
    throw new HoldfastError("USAGE", `${rawName} takes no value, it got ${JSON.stringify(value)}`, {
      fix: rawName,
    });
  }
  if (value !== undefined && value !== "") return value;
  throw new HoldfastError("USAGE", `${rawName} needs a value`, {
    fix: `${rawName} ${spec.takes ?? "VALUE"}`,
  });
}

function checkPositionals(
  { name, usage, positionals: { min, max } }: CommandSpec,
  positionals: readonly string[],
): void {
  const count = positionals.length;
  if (count >= min && count <= max) return;
  const allowed = min === max ? String(min) : `${min} to ${max}`;
  throw new HoldfastError(
    "USAGE",
    `holdfast ${name} takes ${allowed} ${max === 1 && min === 1 ? "argument" : "arguments"}, it got ${count}`,
    {
      fix: `holdfast ${name} ${usage}`,
    },
  );
}

/** A whole number of at least 1 from an option. @throws USAGE */
export function countOption(call: Call, option: string, fallback: number): number {
  const text = call.text(option);
  if (text === undefined) return fallback;
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw new HoldfastError(
    "USAGE",
    `--${option} is ${JSON.stringify(text)}, allowed are whole numbers from 1`,
    { fix: `--${option} ${fallback}` },
  );
}

/** A duration option: what it is without it, and what is allowed, milliseconds, both ends included. */
export interface DurationRange {
  readonly fallbackMs: number;
  readonly minMs: number;
  readonly maxMs: number;
}

/** A duration such as `10s` from an option. @throws USAGE */
export function durationOption(
  call: Call,
  option: string,
  { fallbackMs, minMs, maxMs }: DurationRange,
): number {
  const text = call.text(option);
  if (text === undefined) return fallbackMs;
  const ms = parseDuration(text);
  if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms;
  throw new HoldfastError(
    "USAGE",
    `--${option} is ${JSON.stringify(text)}, allowed are durations from ${showDuration(minMs)} to ${showDuration(maxMs)}`,
    { fix: `--${option} ${showDuration(fallbackMs)}` },
  );
}
