/**
 * The init system that started this process, and how to tell it things: interface here, the real one in
 * `real-init-system.ts`.
 */

/** An init system that listens. */
export interface InitSystem {
  /** Longest time between two signs of life that it allows, milliseconds; undefined: it wants none of this process. */
  readonly watchdogMs: number | undefined;
  /**
   * Tells it assignments such as `READY=1`, in one message. Resolves when it has taken them; rejects when it cannot be
   * told, also when it has not taken them within a few seconds.
   */
  tell(assignments: readonly string[]): Promise<void>;
}
