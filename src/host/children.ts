/**
 * Child processes that run this same program: interface here, the real ones in `real-children.ts`.
 */
import type { HostSignal } from "./process.ts";

/** How a child ended. */
export type ChildEnd =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "killed"; readonly signal: string; readonly number: number }
  /** The system refused to start it: no memory, too many processes. */
  | { readonly kind: "not-started"; readonly cause: Error };

/** A child process. */
export interface Child {
  /** Settles when it is gone and the system has forgotten it: no zombie stays. Never rejects. */
  readonly ended: Promise<ChildEnd>;
  /** Sends a signal; nothing happens once it is gone. */
  signal(signal: HostSignal | "SIGKILL"): void;
}

/** Starts children. */
export interface Children {
  /**
   * Starts this program with other arguments, in the same directory, environment, input and outputs. The child holds
   * a lifeline of this process: see `lifeline.ts`.
   */
  startSelf(args: readonly string[]): Child;
}
