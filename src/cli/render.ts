/**
 * Errors as people read them: where, code, what; the line with a caret; one thing to type.
 */
import { codeOf, type FilePlace, HoldfastError } from "../errors.ts";

/** Longest part of a source line that is shown, in characters. */
const LINE_CHARACTERS_MAX = 160;
/** Characters in front of the caret when a line is cut. */
const CONTEXT_CHARACTERS = 60;
/** Causes that are followed with `--debug`. */
const CAUSES_MAX = 8;

/** How to show an error. */
export interface RenderOptions {
  readonly color: boolean;
  /** Shows stack traces and causes. */
  readonly debug: boolean;
  /** Text of a file that a place names, or undefined. */
  readonly textOf: (file: string) => string | undefined;
}

type Paint = (text: string) => string;

/** An error as text of one or more lines. */
export function renderError(error: unknown, options: RenderOptions): string {
  const red = paint(options.color, "31;1");
  const place = error instanceof HoldfastError ? error.at : undefined;
  const where = place === undefined ? "" : `${place.file}:${place.line}:${place.column}: `;
  const lines = [`${where}${red(`${codeOf(error)}:`)} ${messageOf(error)}`];
  if (place !== undefined) lines.push(...sourceLines(place, options));
  if (error instanceof HoldfastError && error.fix !== "")
    lines.push(`    ${paint(options.color, "36")("fix:")} ${error.fix}`);
  if (options.debug) lines.push(...stackLines(error));
  return lines.join("\n");
}

function paint(isOn: boolean, code: string): Paint {
  return (text) => (isOn ? `\u001b[${code}m${text}\u001b[0m` : text);
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.message === "")
    return error.errors.map(messageOf).join("; ");
  return error.message;
}

function sourceLines(
  { file, line, column, width = 1 }: FilePlace,
  { textOf, color }: RenderOptions,
): readonly string[] {
  const source = textOf(file)?.split(/\r?\n/)[line - 1];
  if (source === undefined || source.trim() === "") return [];
  const from =
    source.length > LINE_CHARACTERS_MAX ? Math.max(0, column - 1 - CONTEXT_CHARACTERS) : 0;
  const shown = source.slice(from, from + LINE_CHARACTERS_MAX).replaceAll("\t", " ");
  const margin = `${line} | `;
  const carets = "^".repeat(Math.max(1, Math.min(width, from + shown.length - (column - 1))));
  return [
    `${margin}${shown}`,
    `${" ".repeat(margin.length + column - 1 - from)}${paint(color, "31;1")(carets)}`,
  ];
}

function stackLines(error: unknown): readonly string[] {
  const lines: string[] = [];
  let current = error;
  for (let depth = 0; current instanceof Error && depth < CAUSES_MAX; depth++) {
    lines.push(`${depth === 0 ? "" : "caused by "}${current.stack ?? current.message}`);
    current = current.cause;
  }
  return lines;
}

/** A count with thousands separated: 1,204. */
export function showCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** A count with its noun: `1 record`, `1,204 records`. */
export function counted(count: number, noun: string): string {
  return `${showCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Rows in columns, the first row being their heads; the last column is not padded. */
export function showTable(rows: readonly (readonly string[])[]): readonly string[] {
  const columnCount = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columnCount }, (_, index) =>
    Math.max(...rows.map((row) => row[index]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}
