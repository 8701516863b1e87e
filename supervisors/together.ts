/**
 * Units that share a fate: they are over at once, close in reverse start order, wait together, and open in start
 * order, one after the other, so that each finds open what it builds on.
 */
import { type Deferred, deferred, DONE } from "../src/actor/waits.ts";
import type { Member, RestartSteps, Sibling } from "./guardian.ts";

/** Restarts units, given in start order. */
export function restartTogether(units: readonly Sibling[], waitMs: number, reason: Error): void {
  const [only, ...others] = units;
  if (only !== undefined && others.length === 0) return void only.restartAfter(waitMs, reason);
  const allSettled = deferred();
  const turns: { readonly steps: RestartSteps; readonly gate: Deferred }[] = [];
  for (const unit of units.toReversed()) {
    const gate = deferred();
    const steps = unit.restartAfter(waitMs, reason, {
      closeAfter: turns.at(-1)?.steps.settled ?? DONE,
      waitAfter: allSettled.promise,
      openAfter: gate.promise,
    });
    turns.push({ steps, gate });
  }
  void openInTurn(turns.toReversed(), allSettled);
}

async function openInTurn(
  turns: readonly { readonly steps: RestartSteps; readonly gate: Deferred }[],
  allSettled: Deferred,
): Promise<void> {
  await Promise.all(turns.map(({ steps }) => steps.settled));
  allSettled.resolve();
  for (const { steps, gate } of turns) {
    gate.resolve();
    await steps.opened;
  }
}

/** Stops members, given in start order, one after the other in reverse; the paths of units that did not stop. */
export async function stopInTurn(members: readonly Member[]): Promise<readonly string[]> {
  const notStopped: string[] = [];
  for (const member of members.toReversed()) notStopped.push(...(await member.halt()));
  return notStopped;
}
