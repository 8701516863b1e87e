/**
 * What the members of a group and the group know of each other. Types only.
 */
import type { Strategy, UnitRef } from "../src/contract/unit.ts";

/** A failure that is handed up. */
export interface Escalation {
  readonly error: Error;
  /** The child that failed could go on with its state. */
  readonly isResumable: boolean;
}

/** What became of it above; `handled`: the child was restarted, parked or stopped from there. */
export type Outcome = "resume" | "handled" | "unhandled";

/** A group, as its members with one strategy see it. The strategy's scope says whom a verdict reaches. */
export interface Guardian {
  /** Decides about the member. */
  readonly strategy: Strategy;
  /** A stop is on its way down: nothing is started any more. */
  isStopping(): boolean;
  restart(member: Member, delayMs: number, reason: Error): void;
  /** @param delayMs - when the slow lane tries the member again; undefined: only a hand does */
  park(member: Member, error: Error, delayMs: number | undefined): void;
  stop(member: Member): void;
  /** Starts again whatever was parked because of the member, itself too. */
  wake(member: Member): void;
  escalate(escalation: Escalation): Outcome;
  /** A unit has made progress. */
  alive(): void;
}

/** A member of a group: a unit, or a group of its own. */
export interface Member {
  /** When the slow lane tries it again, monotonic milliseconds. */
  readonly nextAttemptMs: number | undefined;
  /** The unit itself, or all below the group, depth first, in start order. */
  units(): readonly Sibling[];
  /** Ends for good, in reverse start order; the paths of units of which something is left. */
  halt(): Promise<readonly string[]>;
}

/** Units that restart together: whom each waits for. */
export interface RestartOrder {
  /** Before it closes. */
  readonly closeAfter: Promise<unknown>;
  /** Before its delay begins. */
  readonly waitAfter: Promise<unknown>;
  /** Before it opens. */
  readonly openAfter: Promise<unknown>;
}

/** How far a restart has come. Neither rejects. */
export interface RestartSteps {
  /** The old incarnation is closed, what it had accepted is settled. */
  readonly settled: Promise<unknown>;
  /** The next one is open, or will not be: it failed, or something else came in between. */
  readonly opened: Promise<unknown>;
}

/** Why a unit is parked. */
export interface Parking {
  readonly error: Error;
  /** Who is tried again, or restarted by hand, for this unit to start too: itself, a sibling, or its group. */
  readonly cause: Member;
  readonly delayMs: number | undefined;
}

/** A unit as its group and siblings see it, whatever its messages are. */
export interface Sibling extends UnitRef<unknown> {
  /** False for one that was stopped, and for one that is parked: it waits for a hand or the slow lane. */
  readonly isRestartable: boolean;
  isParkedWith(cause: Member): boolean;
  /** Ends the incarnation at once, closes it, waits until what it accepted is settled, then the delay, then opens. */
  restartAfter(waitMs: number, reason: Error, order?: RestartOrder): RestartSteps;
  /** Ends the incarnation; what comes next is up to the cause. */
  park(parking: Parking): void;
}
