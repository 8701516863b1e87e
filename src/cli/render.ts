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

const SPAN_MS: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
];

/** A length of time as people say it, its two largest units, cut and not rounded: `2h 4m`, `41s`, `2.1s`, `0.3s`. */
export function showSpan(ms: number): string {
  const first = SPAN_MS.findIndex(([, unitMs]) => ms >= unitMs);
  if (ms < 10_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)}s`;
  let rest = ms;
  const parts = SPAN_MS.slice(first, first + 2).map(([name, unitMs]) => {
    const amount = Math.floor(rest / unitMs);
    rest -= amount * unitMs;
    return amount === 0 ? "" : `${amount}${name}`;
  });
  return parts.filter((part) => part !== "").join(" ");
}

const SIZE_UNITS: readonly string[] = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes with three digits or so, for reading only: `212 MiB`, `1.5 GiB`, `0 B`. */
export function showApproximateSize(bytes: number): string {
  const power = Math.min(SIZE_UNITS.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  const amount = bytes / 1024 ** power;
  const shown = amount < 10 && !Number.isInteger(amount) ? amount.toFixed(1) : showCount(amount);
  return `${shown} ${SIZE_UNITS[power]}`;
}
