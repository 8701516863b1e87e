/**
 * What a unit's definition may leave open: its deadlines, its mailbox, its watchdog.
 */
import type { Overflow, UnitDefinition } from "../contract/unit.ts";
import { HoldfastError } from "../errors.ts";
import { TIMER_MS_MAX } from "../host/clock.ts";

/** The limits of a unit, nothing left open. */
export interface UnitLimits {
  readonly openDeadlineMs: number;
  readonly handleDeadlineMs: number;
  readonly closeDeadlineMs: number;
  readonly mailboxMax: number;
  readonly overflow: Overflow;
  /** Infinity: it may be silent for ever. */
  readonly aliveWithinMs: number;
}

/** Where a definition says nothing. */
export const UNIT_DEFAULTS: UnitLimits = Object.freeze({
  openDeadlineMs: 30_000,
  handleDeadlineMs: 30_000,
  closeDeadlineMs: 5_000,
  mailboxMax: 1_024,
  overflow: "reject",
  aliveWithinMs: Infinity,
});

/** Longest mailbox: beyond it a queue hides a unit that does not keep up. */
const MAILBOX_LIMIT = 2 ** 20;
const OVERFLOWS: ReadonlySet<string> = new Set<Overflow>(["reject", "drop-oldest", "drop-newest"]);

type Milliseconds = "openDeadlineMs" | "handleDeadlineMs" | "closeDeadlineMs" | "aliveWithinMs";
const NAMES = Object.keys(UNIT_DEFAULTS) as readonly (keyof UnitLimits)[];

/** Fills in the defaults. @throws CONFIG_OUT_OF_RANGE, CONFIG_VALUE */
export function resolveUnitLimits(
  definition: Partial<UnitLimits> & Pick<UnitDefinition, "name">,
): UnitLimits {
  // Most units set nothing: they share one object.
  if (NAMES.every((name) => definition[name] === undefined)) return UNIT_DEFAULTS;
  const { name, overflow = UNIT_DEFAULTS.overflow, aliveWithinMs = Infinity } = definition;
  const ms = (key: Milliseconds): number =>
    within(`${name}: ${key}`, definition[key] ?? UNIT_DEFAULTS[key], TIMER_MS_MAX);
  if (!OVERFLOWS.has(overflow))
    throw new HoldfastError(
      "CONFIG_VALUE",
      `${name}: overflow is ${JSON.stringify(overflow)}, allowed are ${[...OVERFLOWS].join(", ")}`,
    );
  return Object.freeze({
    openDeadlineMs: ms("openDeadlineMs"),
    handleDeadlineMs: ms("handleDeadlineMs"),
    closeDeadlineMs: ms("closeDeadlineMs"),
    mailboxMax: within(
      `${name}: mailboxMax`,
      definition.mailboxMax ?? UNIT_DEFAULTS.mailboxMax,
      MAILBOX_LIMIT,
    ),
    overflow,
    aliveWithinMs: aliveWithinMs === Infinity ? Infinity : ms("aliveWithinMs"),
  });
}

function within(what: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new HoldfastError(
    "CONFIG_OUT_OF_RANGE",
    `${what} is ${value}, allowed are whole numbers from 1 to ${max}`,
  );
}
