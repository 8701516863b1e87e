/**
 * Shells on nact 7.6.2, unmodified, through five of its functions. Each incarnation is one nact actor named
 * `name.epoch`, reachable by nact's path.
 *
 * What is not used, because it was measured to fail: reset and resume (two handlers at once, a hot loop without a timer),
 * escalate, stopping a parent to stop its children (they are not stopped), async initial state, shutdownAfter,
 * generated names. The handler catches everything, so `onCrash` is a last resort.
 */
import * as nact from "nact";
import type { Shell, ShellParent, ShellSystem } from "./shell.ts";

/** A reference as nact gives it: opaque to us. */
type NactReference = object;

/** The part of nact that is used, in our own words; its own types accept any reference anywhere. */
interface Nact {
  readonly start: (options: { readonly name: string }) => NactReference;
  readonly spawn: (
    parent: NactReference,
    handle: (state: undefined, message: object) => undefined,
    name: string,
    options: {
      readonly onCrash: (
        message: unknown,
        error: unknown,
        context: { readonly stop: object },
      ) => object;
    },
  ) => NactReference;
  readonly dispatch: (reference: NactReference, message: object) => void;
  readonly stop: (reference: NactReference) => void;
}

// A structural view of a CommonJS library: the functions are checked by the conformance tests of the shells.
const { start, spawn, dispatch, stop } = nact as unknown as Nact;

const RING: object = Object.freeze({ kind: "ring" });
const onCrash = (
  _message: unknown,
  _error: unknown,
  { stop: stopDirective }: { readonly stop: object },
): object => stopDirective;

/** Systems of this process so far: nact keeps a process-wide map of them by name. */
let systemCount = 0;

/** A nact system of its own. */
export const nactShells: ShellSystem = (name) => {
  systemCount++;
  return parentOf(start({ name: `${name}-${systemCount}` }));
};

function parentOf(reference: NactReference): ShellParent {
  return {
    spawn: (name, drain) => new NactShell(reference, name, drain),
    group: (name) => parentOf(spawn(reference, () => undefined, name, { onCrash })),
    stop: () => stop(reference),
  };
}

class NactShell implements Shell {
  readonly #reference: NactReference;
  #isStopped = false;

  constructor(parent: NactReference, name: string, drain: () => void) {
    const handle = (): undefined => {
      if (!this.#isStopped) drain();
      return undefined;
    };
    this.#reference = spawn(parent, handle, name, { onCrash });
  }

  ring(): void {
    if (!this.#isStopped) dispatch(this.#reference, RING);
  }

  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    stop(this.#reference);
  }
}
