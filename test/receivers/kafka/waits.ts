/**
 * Waits of scenes with a real broker: what has happened by then is part of the message.
 */
import type { AnyEvent } from "../../../src/contract/events.ts";
import type { UnitState } from "../../../src/contract/unit.ts";
import { codeOf } from "../../../src/errors.ts";
import { eventually } from "../../support/deadline.ts";

/** Longest wait for something to happen at a real broker. */
const DEADLINE_MS = 60_000;

/** What is waited for. */
export interface Awaited {
  readonly what: string;
  readonly ask: () => boolean | Promise<boolean>;
}

/** Resolves when it is so. */
export async function untilSo({ what, ask }: Awaited, events: readonly AnyEvent[]): Promise<void> {
  await eventually(what, ask, { everyMs: 20, deadlineMs: DEADLINE_MS }).catch((cause: unknown) => {
    throw new Error(`${String(cause)}; ${JSON.stringify(events.slice(-10))}`, { cause });
  });
}

/** Resolves with the code of the error with which a unit has parked. */
export async function parkedCode(
  unit: () => UnitState | undefined,
  events: readonly AnyEvent[],
): Promise<string> {
  await untilSo({ what: "the unit parks", ask: () => unit()?.status === "parked" }, events);
  return codeOf(unit()?.lastError);
}
