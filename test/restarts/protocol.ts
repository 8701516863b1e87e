/** What the run and the process under test tell each other. */
import type { Accounts } from "./forced-receiver.ts";

/** To the process under test. */
export type Order =
  /** Restarts the receiver so often, in all ways, while it stores. */
  | { readonly kind: "restart"; readonly times: number; readonly seed: number }
  /** No client is connected: everything that is not needed can be collected. */
  | { readonly kind: "measure" }
  | { readonly kind: "stop" };

/** What it holds when it has nothing to do. */
export interface Footprint {
  readonly heapBytes: number;
  /** Memory outside the heap: buffers. */
  readonly externalBytes: number;
  /** What keeps the process alive, by kind: sockets, timers, file calls. */
  readonly resources: Readonly<Record<string, number>>;
}

/** From the process under test. */
export type Report =
  | { readonly kind: "ready" }
  | {
      readonly kind: "restarted";
      readonly restarts: number;
      readonly forces: Readonly<Record<string, number>>;
    }
  | { readonly kind: "measured"; readonly footprint: Footprint }
  | {
      readonly kind: "stopped";
      readonly accounts: Accounts;
      readonly firstOffset: number;
      readonly nextOffset: number;
      readonly notStopped: readonly string[];
    };
