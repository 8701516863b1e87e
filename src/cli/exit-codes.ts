/**
 * What an exit code says to whoever may start the program again.
 */
import { CODES } from "../errors.ts";

/**
 * Exit codes of failures that starting again cannot mend, ascending: those whose errors are all not retried. 64 usage,
 * 65 damaged, 78 configuration. Not 69: a port is given back and a lock released, often by an earlier run that still
 * stops. Not 1, which is everything else.
 */
export const FINAL_EXIT_CODES: readonly number[] = finalExitCodes();

function finalExitCodes(): readonly number[] {
  const rules = Object.values(CODES);
  const retried = new Set<number>(
    rules.filter((rule) => rule.retried).map(({ exitCode }) => exitCode),
  );
  const codes = new Set<number>(rules.map(({ exitCode }) => exitCode));
  return [...codes].filter((code) => !retried.has(code)).toSorted((a, b) => a - b);
}
