/**
 * Shells without a library: for tests, and for the day the library breaks. A ring is answered in a microtask.
 */
import type { ShellParent, ShellSystem } from "./shell.ts";

/** A hierarchy that is only names. */
export const inlineShells: ShellSystem = () => parent();

function parent(): ShellParent {
  let isStopped = false;
  return {
    spawn: (_name, drain) => {
      let isShellStopped = false;
      return {
        ring: () =>
          queueMicrotask(() => {
            if (!isStopped && !isShellStopped) drain();
          }),
        stop: () => {
          isShellStopped = true;
        },
      };
    },
    group: () => parent(),
    stop: () => {
      isStopped = true;
    },
  };
}
