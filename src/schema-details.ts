/**
 * What a field of the schema kit is, as data: for messages, for editors, and for reading YAML.
 */

/** What a field holds. `other` is a value that only code can make, or a foreign schema. */
export type FieldKind =
  | "string"
  | "number"
  | "integer"
  | "boolean"
  | "port"
  | "one-of"
  | "duration"
  | "size"
  | "secret"
  | "list"
  | "mapping"
  | "object"
  | "other";

/** One field. */
export interface FieldDetails {
  readonly kind: FieldKind;
  /** What is wanted, as a message says it: `a number`, `one of none, count-line`. */
  readonly expected: string;
  readonly presence: "required" | "optional" | "defaulted";
  /** Of a defaulted field. */
  readonly defaultValue?: unknown;
  /** Smallest and largest value that is allowed, inclusive: numbers, ports, durations (ms), sizes (bytes). */
  readonly min?: number;
  readonly max?: number;
  /** Allowed texts of a `one-of`. */
  readonly values?: readonly string[];
  /** Elements of a `list`, values of a `mapping`. */
  readonly item?: FieldDetails;
  /** Fields of an `object`. */
  readonly fields?: Readonly<Record<string, FieldDetails>>;
}

/** The range of a field in words, or undefined when it has none. */
export function rangeText({
  kind,
  min,
  max,
}: Pick<FieldDetails, "kind" | "min" | "max">): string | undefined {
  if (kind === "port") return "1 to 65535, or 0 for a free one";
  if (min !== undefined && max !== undefined) return `${min} to ${max}`;
  if (min !== undefined) return `${min} or more`;
  return max === undefined ? undefined : `${max} or less`;
}

/** The details at a path, or undefined where the schema ends before it does. */
export function detailsAt(
  root: FieldDetails,
  path: readonly PropertyKey[],
): FieldDetails | undefined {
  let details: FieldDetails | undefined = root;
  for (const step of path) {
    if (details?.kind === "list" || details?.kind === "mapping") details = details.item;
    else details = typeof step === "string" ? ownField(details, step) : undefined;
  }
  return details;
}

function ownField(details: FieldDetails | undefined, name: string): FieldDetails | undefined {
  const fields = details?.fields;
  return fields !== undefined && Object.hasOwn(fields, name) ? fields[name] : undefined;
}
