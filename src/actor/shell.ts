/**
 * The shell: what a unit needs from an actor system. It gives an incarnation its identity and place in the hierarchy,
 * and a doorbell: a ring leads to one call of `drain`, later, in a turn of its own.
 */

/** One incarnation's actor. */
export interface Shell {
  /** Leads to a call of `drain`. Rings before that call may be merged; a ring after `stop` does nothing. */
  ring(): void;
  /** No call of `drain` begins after this. May be called twice. */
  stop(): void;
}

/** A place in the hierarchy below which shells are made. */
export interface ShellParent {
  /** `name` is unique among the living: a unit's name and epoch. `drain` never throws. */
  spawn(name: string, drain: () => void): Shell;
  group(name: string): ShellParent;
  stop(): void;
}

/** Makes the root of a hierarchy. */
export type ShellSystem = (name: string) => ShellParent;
