/** What a unit is opened with, where a test opens it without a supervisor. */
import type { UnitContext } from "../../src/contract/unit.ts";

const nothing = (): void => undefined;

/** A context of epoch 1 that does nothing, but for what is given. */
export function unitContext(given: Partial<UnitContext> = {}): UnitContext {
  return {
    path: "unit",
    epoch: 1,
    signal: new AbortController().signal,
    fail: nothing,
    alive: nothing,
    watch: nothing,
    unwatch: nothing,
    stash: nothing,
    unstashAll: nothing,
    ...given,
  };
}
