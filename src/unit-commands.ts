/**
 * The control commands about units: how they are, and starting one again by hand.
 */
import { closest } from "./config/suggest.ts";
import type { ControlCommand } from "./console/control.ts";
import type { Snapshot } from "./contract/status.ts";
import type { Supervisor } from "./contract/unit.ts";
import { HoldfastError } from "./errors.ts";
import type { Clock } from "./host/clock.ts";
import { reportStatus, reportUnit, type UnitReport } from "./status-report.ts";

/** What the commands work with. */
export interface UnitCommandParts {
  readonly clock: Clock;
  /** Root of the tree. */
  readonly tree: Pick<Supervisor, "states" | "find">;
  readonly snapshot: () => Snapshot;
}

/** The unit that answers: its own restart would cut the answer off. */
const ANSWERING = "control";

/** `units`, `units-restart` and `status`. */
export function unitCommands(parts: UnitCommandParts): readonly ControlCommand[] {
  const { clock, tree, snapshot } = parts;
  return [
    {
      name: "units",
      run: async (given) => {
        refuseOthers("units", given);
        const nowMs = clock.monotonicMs();
        return { units: tree.states().map((state) => reportUnit(state, nowMs)) };
      },
    },
    {
      name: "units-restart",
      run: async (given) => restart(readPath(given), parts),
    },
    {
      name: "status",
      run: async (given) => {
        refuseOthers("status", given);
        return reportStatus(snapshot(), clock.monotonicMs());
      },
    },
  ];
}

/** The unit as it was before; its restart has begun. @throws UNIT_UNKNOWN, UNIT_STOPPED, CONTROL_REQUEST */
function restart(path: string, { tree, clock }: UnitCommandParts): { readonly before: UnitReport } {
  const unit = tree.find(path);
  if (unit === undefined) throw unknownUnit(path, tree);
  if (path === ANSWERING)
    throw new HoldfastError(
      "CONTROL_REQUEST",
      `${ANSWERING} answers this request, so it cannot be restarted by it`,
    );
  const state = unit.state();
  if (state.status === "stopped" || state.status === "stopping")
    throw new HoldfastError(
      "UNIT_STOPPED",
      `${path} is ${state.status}; only a unit that runs, waits or is parked can be restarted`,
      { fix: "start the instance again" },
    );
  unit.restart();
  return { before: reportUnit(state, clock.monotonicMs()) };
}

function unknownUnit(path: string, tree: UnitCommandParts["tree"]): HoldfastError {
  const known = tree.states().map(({ unit }) => unit);
  // Its group left out is the likeliest slip, and further away than a letter or two.
  const whole = known.find((unit) => unit.endsWith(`/${path}`)) ?? closest(path, known);
  return new HoldfastError(
    "UNIT_UNKNOWN",
    `there is no unit ${JSON.stringify(path)}, there are ${known.join(", ")}`,
    { fix: whole === undefined ? "" : `did you mean "${whole}"?` },
  );
}

function readPath(given: Readonly<Record<string, unknown>>): string {
  const { unit, ...others } = given;
  refuseOthers("units-restart", others, "unit");
  if (typeof unit === "string" && unit !== "") return unit;
  throw new HoldfastError(
    "CONTROL_REQUEST",
    `units-restart: unit is ${JSON.stringify(unit)}, allowed are paths of units`,
  );
}

function refuseOthers(
  command: string,
  others: Readonly<Record<string, unknown>>,
  known = "no arguments",
): void {
  const [other] = Object.keys(others);
  if (other === undefined) return;
  throw new HoldfastError("CONTROL_REQUEST", `${command} takes ${known}, it got ${other}`);
}
