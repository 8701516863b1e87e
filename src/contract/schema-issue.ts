/**
 * What a schema finds wrong, as callers see it.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";

/** What kind of wrong: a key that is missing or unknown, a wrong type, a number out of range, or another value. */
export type IssueKind = "missing" | "unknown-key" | "type" | "range" | "value";

/** One thing that is wrong, and where. */
export interface SchemaIssue extends StandardSchemaV1.Issue {
  readonly kind: IssueKind;
  /** `expected a number, got "n/a"` */
  readonly message: string;
  readonly path: readonly PropertyKey[];
  /** `a number`; for a range `1 to 65535`; for an unknown key the known ones. */
  readonly expected: string;
  /** The value as a message shows it, cut to a short length; never a secret. */
  readonly got: string;
}
