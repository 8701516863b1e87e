/**
 * The root of a supervision tree: whoever makes it is told what happens, and what nobody below could decide.
 */
import { nactShells } from "../src/actor/nact-shell.ts";
import type { ShellSystem } from "../src/actor/shell.ts";
import type { Strategy, Supervisor, UnitEvent } from "../src/contract/unit.ts";
import { type Clock, realClock } from "../src/host/clock.ts";
import { type Random, realRandom } from "../src/host/random.ts";
import { Group } from "./group.ts";
import type { Guardian } from "./guardian.ts";
import { Outbox } from "./outbox.ts";

/** What the root of a tree is made with. */
export interface SupervisorOptions {
  /** Names the actor system; may be used again. */
  readonly name: string;
  /** For children that bring none of their own. */
  readonly strategy: Strategy;
  /** @defaultValue the machine's */
  readonly clock?: Clock;
  /** @defaultValue the machine's */
  readonly random?: Random;
  /** @defaultValue nact */
  readonly shells?: ShellSystem;
  /** Everything that happens, in order, a microtask later; a throw inside changes nothing. */
  readonly onEvent?: (event: UnitEvent) => void;
  /**
   * Nothing above is left that could decide: called once for each escalation that reaches the root. The unit that
   * failed is parked until a hand starts it again.
   */
  readonly onEscalated?: (error: Error) => void;
}

/** The root of a supervision tree. Nothing runs before `start`. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { name, strategy, onEvent = () => undefined, onEscalated } = options;
  const { clock = realClock, random = realRandom, shells = nactShells } = options;
  const outbox = new Outbox();
  const above: Guardian = {
    strategy,
    isStopping: () => false,
    alive: () => undefined,
    escalate: ({ error }) => {
      outbox.post(() => onEscalated?.(error));
      return "unhandled";
    },
    // The root is nobody's member: what befalls it, it does not hear from above.
    restart: () => undefined,
    park: () => undefined,
    stop: () => undefined,
    wake: () => undefined,
  };
  const parts = { path: "", strategy, clock, random, shells: shells(name) };
  return new Group({ ...parts, audience: { outbox, onEvent }, above });
}
