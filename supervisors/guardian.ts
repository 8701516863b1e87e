/**
 * What a child and its supervisor know of each other. Types only.
 */
import type { UnitState } from "../src/contract/unit.ts";

/** A failure that is handed up. */
export interface Escalation {
  readonly error: Error;
  /** The child that failed could go on with its state. */
  readonly isResumable: boolean;
}

/** What became of it above; `handled`: the child was restarted, parked or stopped from there. */
export type Outcome = "resume" | "handled" | "unhandled";

/** A child's supervisor, as the child sees it. */
export interface Guardian {
  /** A stop is on its way down: nothing is started any more. */
  isStopping(): boolean;
  /** The strategy says restart: this child, and others where its scope is wider. */
  restart(child: Sibling, delayMs: number, reason: Error): void;
  escalate(escalation: Escalation): Outcome;
  /** A unit has made progress. */
  alive(): void;
}

/** Members of a group that restart together: whom each waits for before it closes, and before it opens. */
export interface RestartOrder {
  readonly closeAfter: Promise<unknown>;
  readonly openAfter: Promise<unknown>;
}

/** A restart that waits for nobody. */
export const AT_ONCE: RestartOrder = Object.freeze({
  closeAfter: Promise.resolve(),
  openAfter: Promise.resolve(),
});

/** A child as its supervisor and siblings see it, whatever its messages are. */
export interface Sibling {
  readonly path: string;
  /** False for one that was stopped, and for one that is parked: it waits for a hand. */
  readonly isRestartable: boolean;
  /**
   * Ends the incarnation at once, closes it, waits until what it accepted is settled, then the delay, then opens the
   * next. Resolves when it is settled.
   */
  restartAfter(waitMs: number, reason: Error, order?: RestartOrder): Promise<unknown>;
  /** Ends the incarnation and leaves the unit to a hand. */
  park(error: Error): void;
  /** Stops for good; whether nothing of the unit is left when its deadlines are over. */
  end(): Promise<boolean>;
  state(): UnitState;
}
