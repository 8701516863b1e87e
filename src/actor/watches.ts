/**
 * Whom one incarnation watches: for each unit one signal when it has stopped, however often it is watched.
 */
import type { UnitRef } from "../contract/unit.ts";
import { HoldfastError } from "../errors.ts";

/** Units that one incarnation watches at most. */
export const WATCHES_MAX = 10_000;

/** One unit that is watched. */
export interface Watch {
  readonly path: string;
  /** False once it is watched no more: a signal under way is void then. */
  isOn: boolean;
}

/** Anything that can be watched. */
export type Watchable = Pick<UnitRef, "path" | "onStopped">;

/** See the file's head. */
export class Watches {
  readonly #stopped: (watch: Watch) => void;
  readonly #watches = new Map<Watchable, { readonly watch: Watch; readonly cancel: () => void }>();

  /** @param stopped - called once for each unit that has stopped while it was watched */
  constructor(stopped: (watch: Watch) => void) {
    this.#stopped = stopped;
  }

  /** @throws CONFIG_OUT_OF_RANGE beyond {@link WATCHES_MAX} */
  add(unit: Watchable): void {
    if (this.#watches.has(unit)) return;
    const count = this.#watches.size + 1;
    if (count > WATCHES_MAX)
      throw new HoldfastError(
        "CONFIG_OUT_OF_RANGE",
        `${count} units are watched by one, allowed are ${WATCHES_MAX}`,
      );
    const watch: Watch = { path: unit.path, isOn: true };
    const cancel = unit.onStopped(() => this.#stopped(watch));
    this.#watches.set(unit, { watch, cancel });
  }

  remove(unit: Watchable): void {
    const held = this.#watches.get(unit);
    if (held === undefined) return;
    this.#watches.delete(unit);
    held.watch.isOn = false;
    held.cancel();
  }

  clear(): void {
    for (const unit of this.#watches.keys()) this.remove(unit);
  }
}
