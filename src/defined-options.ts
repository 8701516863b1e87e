/**
 * Names and options of what users define: receivers and sources.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { suggestion } from "./config/suggest.ts";
import { NAME_PATTERN } from "./contract/name.ts";
import type { IssueKind, SchemaIssue } from "./contract/schema-issue.ts";
import { type Code, HoldfastError } from "./errors.ts";
import { checkOptions } from "./schema.ts";

/** Refuses what is no name. `what` says of what: "a type", "tcp". @throws CONFIG_VALUE */
export function checkName(what: string, name: unknown): void {
  if (typeof name === "string" && NAME_PATTERN.test(name)) return;
  throw new HoldfastError(
    "CONFIG_VALUE",
    `name of ${what} is ${JSON.stringify(name)}, allowed is ${NAME_PATTERN.source}`,
    {
      fix: "small letters, digits and -, a letter first, at most 63",
    },
  );
}

/** Whose options they are, for messages, and every key that there is. */
export interface OptionsOwner {
  readonly owner: string;
  readonly knownKeys: readonly string[];
}

const CODE_OF: Readonly<Record<IssueKind, Code>> = {
  missing: "CONFIG_KEY_MISSING",
  "unknown-key": "CONFIG_KEY_UNKNOWN",
  type: "CONFIG_TYPE",
  range: "CONFIG_OUT_OF_RANGE",
  value: "CONFIG_VALUE",
};

/** Options as a schema gives them. @throws CONFIG_KEY_UNKNOWN, CONFIG_KEY_MISSING, CONFIG_TYPE, CONFIG_OUT_OF_RANGE, CONFIG_VALUE */
export function resolveOptions<Out>(
  options: StandardSchemaV1<unknown, Out>,
  given: unknown,
  context: OptionsOwner,
): Out {
  const checked = checkOptions<Out>(options, given);
  if (checked.issues === undefined) return checked.value;
  const [first] = checked.issues;
  if (first === undefined)
    throw new HoldfastError(
      "CONFIG_VALUE",
      `${context.owner}: its schema refuses the options without a reason`,
    );
  throw new HoldfastError(CODE_OF[first.kind], messageOf(first, context), {
    fix: fixOf(first, context),
  });
}

function messageOf(
  { kind, path, expected, got, message }: SchemaIssue,
  { owner }: OptionsOwner,
): string {
  const label = path.map(String).join(".");
  if (kind === "unknown-key") return `${owner} has no option ${JSON.stringify(label)}`;
  if (kind === "missing") return `${owner} lacks ${JSON.stringify(label)}: ${expected}`;
  if (got === "") return `${owner}: ${label === "" ? message : `${label}: ${message}`}`;
  return kind === "range"
    ? `${owner}: ${label} is ${got}, allowed are ${expected}`
    : `${owner}: ${label} is ${got}, wanted ${expected}`;
}

function fixOf({ kind, path, got, expected }: SchemaIssue, { knownKeys }: OptionsOwner): string {
  if (kind !== "unknown-key") return "";
  return suggestion(got, path.length === 1 ? knownKeys : expected.split(", "));
}
