/**
 * Deciders: which directive an error leads to. Pure.
 */
import type { Decider, Directive } from "../src/contract/unit.ts";
import { codeOf } from "../src/errors.ts";

/** What an error is compared with: its class, its `code`, or a predicate. */
export type ErrorMatcher =
  | (abstract new (
      ...args: never[]
    ) => Error)
  | string
  | ((error: Error) => boolean);

/** Rules so far. Not a decider until `otherwise` says what happens to the rest. */
export interface DeciderBuilder {
  /** Rules are tried in order; the first that matches decides. */
  when(matcher: ErrorMatcher, directive: Directive): DeciderBuilder;
  otherwise(directive: Directive): Decider;
}

interface Rule {
  readonly matches: (error: Error) => boolean;
  readonly directive: Directive;
}

/** Begins a decider: `when(RangeError, "resume").when("VALUE_MISSING", "restart").otherwise("escalate")`. */
export function when(matcher: ErrorMatcher, directive: Directive): DeciderBuilder {
  return builder([{ matches: matcherOf(matcher), directive }]);
}

function builder(rules: readonly Rule[]): DeciderBuilder {
  return Object.freeze({
    when: (matcher: ErrorMatcher, directive: Directive) =>
      builder([...rules, { matches: matcherOf(matcher), directive }]),
    otherwise:
      (directive: Directive): Decider =>
      (error) =>
        rules.find(({ matches }) => matches(error))?.directive ?? directive,
  });
}

function matcherOf(matcher: ErrorMatcher): (error: Error) => boolean {
  if (typeof matcher === "string") return (error) => codeOf(error) === matcher;
  if (isErrorClass(matcher)) return (error) => error instanceof matcher;
  return matcher;
}

function isErrorClass(
  matcher: Exclude<ErrorMatcher, string>,
): matcher is abstract new (
  ...args: never[]
) => Error {
  return matcher === Error || matcher.prototype instanceof Error;
}
