/**
 * Names and options of sinks, checked when the value is made.
 */
import { NAME_PATTERN } from "../contract/name.ts";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type Code, HoldfastError } from "../errors.ts";
import { checkOptions } from "../schema.ts";
import type { IssueKind, SchemaIssue } from "../contract/schema-issue.ts";

const CODE_OF: Readonly<Record<IssueKind, Code>> = {
  missing: "CONFIG_KEY_MISSING",
  "unknown-key": "CONFIG_KEY_UNKNOWN",
  type: "CONFIG_TYPE",
  range: "CONFIG_OUT_OF_RANGE",
  value: "CONFIG_VALUE",
};

/** Whose options are checked. */
export interface SinkTitle {
  readonly type: string;
  readonly name: string;
}

/**
 * The options with defaults filled in.
 *
 * @throws CONFIG_VALUE for a name that is none; CONFIG_KEY_MISSING, CONFIG_KEY_UNKNOWN, CONFIG_TYPE,
 * CONFIG_OUT_OF_RANGE, CONFIG_VALUE for options.
 */
export function checkSinkOptions<In, Out>(
  { type, name }: SinkTitle,
  options: StandardSchemaV1<In, Out>,
  given: In,
): Out {
  if (!NAME_PATTERN.test(name)) {
    throw new HoldfastError(
      "CONFIG_VALUE",
      `sink name ${JSON.stringify(name)} does not match ${NAME_PATTERN.source}`,
      {
        fix: "use lower-case letters, digits and -, starting with a letter",
      },
    );
  }
  // Decode boundary: a program without types may pass anything, and the schema looks at all of it.
  const checked = checkOptions(options as StandardSchemaV1<unknown, Out>, given);
  if (checked.issues === undefined) return checked.value;
  const [first] = checked.issues;
  throw first === undefined
    ? new HoldfastError("CONFIG_VALUE", `${name}: ${type} refuses its options`)
    : issueError(type, name, first);
}

function issueError(
  type: string,
  name: string,
  { kind, path, message, got }: SchemaIssue,
): HoldfastError {
  const option = path.map(String).join(".");
  if (kind === "missing")
    return new HoldfastError(CODE_OF.missing, `${name}: ${type} lacks the option ${option}`);
  if (kind === "unknown-key")
    return new HoldfastError(
      CODE_OF["unknown-key"],
      `${name}: ${type} has no option ${JSON.stringify(got)}; ${message}`,
    );
  return new HoldfastError(CODE_OF[kind], `${name}: ${type} option ${option}: ${message}`);
}
