/**
 * What a unit's definition may leave open: its deadlines and the size of its mailbox.
 */
import type { UnitDefinition } from "../contract/unit.ts";
import { HoldfastError } from "../errors.ts";
import { TIMER_MS_MAX } from "../host/clock.ts";

/** The limits of a unit, nothing left open. */
export interface UnitLimits {
  readonly openDeadlineMs: number;
  readonly handleDeadlineMs: number;
  readonly closeDeadlineMs: number;
  readonly mailboxMax: number;
}

/** Where a definition says nothing. */
export const UNIT_DEFAULTS: UnitLimits = Object.freeze({
  openDeadlineMs: 30_000,
  handleDeadlineMs: 30_000,
  closeDeadlineMs: 5_000,
  mailboxMax: 1_024,
});

/** Longest mailbox: beyond it a queue hides a unit that does not keep up. */
const MAILBOX_LIMIT = 2 ** 20;

/** Fills in the defaults. @throws CONFIG_OUT_OF_RANGE */
export function resolveUnitLimits(
  definition: Partial<UnitLimits> & Pick<UnitDefinition, "name">,
): UnitLimits {
  const { name } = definition;
  const deadline = (key: "openDeadlineMs" | "handleDeadlineMs" | "closeDeadlineMs"): number =>
    within(`${name}: ${key}`, definition[key] ?? UNIT_DEFAULTS[key], TIMER_MS_MAX);
  return Object.freeze({
    openDeadlineMs: deadline("openDeadlineMs"),
    handleDeadlineMs: deadline("handleDeadlineMs"),
    closeDeadlineMs: deadline("closeDeadlineMs"),
    mailboxMax: within(
      `${name}: mailboxMax`,
      definition.mailboxMax ?? UNIT_DEFAULTS.mailboxMax,
      MAILBOX_LIMIT,
    ),
  });
}

function within(what: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new HoldfastError(
    "CONFIG_OUT_OF_RANGE",
    `${what} is ${value}, allowed are whole numbers from 1 to ${max}`,
  );
}
