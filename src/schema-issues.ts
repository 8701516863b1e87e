/**
 * What a schema finds wrong, in our words.
 */
import type * as z from "zod";
import type { IssueKind, SchemaIssue } from "./contract/schema-issue.ts";
import { type FieldDetails, detailsAt, rangeText } from "./schema-details.ts";

/** Longest part of a value that a message quotes, in characters. */
const EXCERPT_CHARACTERS = 60;

/** zod's issues as ours; `input` is what was checked and `root` what the schema is. */
export function issuesOf(
  issues: readonly z.core.$ZodIssue[],
  input: unknown,
  root: FieldDetails,
): readonly SchemaIssue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== "unrecognized_keys") return [valueIssue(issue, input, root)];
    return issue.keys.map((key) => unknownKey([...issue.path, key], root));
  });
}

function unknownKey(path: readonly PropertyKey[], root: FieldDetails): SchemaIssue {
  const key = String(path.at(-1));
  const known = Object.keys(detailsAt(root, path.slice(0, -1))?.fields ?? {}).join(", ");
  return {
    kind: "unknown-key",
    message: `unknown key, known are ${known}`,
    path,
    expected: known,
    got: key,
  };
}

function valueIssue(issue: z.core.$ZodIssue, input: unknown, root: FieldDetails): SchemaIssue {
  const { path } = issue;
  const details = detailsAt(root, path);
  const value = valueAt(input, path);
  const got = details?.kind === "secret" ? secretText(value) : valueText(value);
  const kind = kindOf(issue, value);
  const range = details === undefined ? undefined : rangeText(details);
  const expected = kind === "range" && range !== undefined ? range : (details?.expected ?? "");
  // A foreign schema says itself what it wants.
  const message =
    expected === "" || details?.expected === "a valid value"
      ? issue.message
      : `expected ${expected}, got ${got}`;
  return { kind, message, path, expected, got };
}

function kindOf({ code }: z.core.$ZodIssue, value: unknown): IssueKind {
  if (value === undefined) return "missing";
  if (code === "too_small" || code === "too_big") return "range";
  return code === "invalid_type" || code === "invalid_union" ? "type" : "value";
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step))
      return undefined;
    value = Reflect.get(value, step);
  }
  return value;
}

function secretText(value: unknown): string {
  return value === undefined
    ? "nothing"
    : `a secret that is ${Array.isArray(value) ? "a list" : typeof value}`;
}

/** A value as messages show it. */
export function valueText(value: unknown): string {
  switch (typeof value) {
    case "undefined":
      return "nothing";
    case "string":
      return cut(JSON.stringify(value));
    case "number":
    case "bigint":
    case "boolean":
      return cut(`${value}`);
    case "function":
    case "symbol":
      return `a ${typeof value}`;
    case "object":
      if (value === null) return "null";
      return Array.isArray(value) ? "a list" : "an object";
  }
}

function cut(text: string): string {
  return text.length > EXCERPT_CHARACTERS ? `${text.slice(0, EXCERPT_CHARACTERS)}...` : text;
}
