/** Shells that are counted while they live. */
import type { Shell, ShellParent, ShellSystem } from "../../../src/actor/shell.ts";

/** See the file's head. */
export class CountedShells {
  readonly system: ShellSystem;
  #living = 0;

  constructor(shells: ShellSystem) {
    this.system = (name) => this.#parent(shells(name));
  }

  /** Spawned and not stopped, each by itself: nact stops nothing below what it stops. */
  get living(): number {
    return this.#living;
  }

  #parent(parent: ShellParent): ShellParent {
    return {
      spawn: (name, drain) => this.#counted(parent.spawn(name, drain)),
      group: (name) => this.#parent(parent.group(name)),
      stop: () => parent.stop(),
    };
  }

  #counted(shell: Shell): Shell {
    this.#living++;
    let isStopped = false;
    return {
      ring: () => shell.ring(),
      stop: () => {
        if (!isStopped) this.#living--;
        isStopped = true;
        shell.stop();
      },
    };
  }
}
