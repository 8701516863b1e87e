/** The state of each unit, from nothing but the events of its tree. */
import type { UnitEvent, UnitState, UnitStatus } from "../../src/contract/unit.ts";

/** What events tell of a unit's state. */
export type Told = Pick<UnitState, "unit" | "status" | "epoch" | "lastError">;

const BECOMES: Partial<Record<UnitEvent["kind"], UnitStatus>> = {
  starting: "starting",
  started: "running",
  "backing-off": "backing-off",
  parked: "parked",
  stopping: "stopping",
  stopped: "stopped",
};

/** One entry for each unit, sorted by path. */
export function foldEvents(events: readonly UnitEvent[]): readonly Told[] {
  const units = new Map<string, Told>();
  for (const event of events) {
    const { kind, unit, epoch } = event;
    const before = units.get(unit) ?? { unit, status: "starting", epoch, lastError: undefined };
    const status = BECOMES[kind];
    const known = status === undefined ? before : { ...before, status, epoch };
    const tellsError = kind === "failed" || kind === "parked";
    units.set(unit, tellsError ? { ...known, lastError: event.error } : known);
  }
  return sorted([...units.values()]);
}

/** The same of the units themselves. */
export function told(states: readonly UnitState[]): readonly Told[] {
  return sorted(
    states.map(({ unit, status, epoch, lastError }) => ({ unit, status, epoch, lastError })),
  );
}

function sorted(units: readonly Told[]): readonly Told[] {
  return units.toSorted((left, right) => (left.unit < right.unit ? -1 : 1));
}
