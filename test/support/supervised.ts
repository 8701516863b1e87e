/** A supervision tree under test, on a virtual clock. */
import { inlineShells } from "../../src/actor/inline-shell.ts";
import type { ShellSystem } from "../../src/actor/shell.ts";
import type {
  Strategy,
  StrategyOptions,
  Supervisor,
  UnitContext,
  UnitDefinition,
  UnitEvent,
} from "../../src/contract/unit.ts";
import { createSupervisor, oneForOne, withoutJitter } from "../../supervisors/index.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "./virtual-clock.ts";

const BACKOFF = withoutJitter({ minMs: 100, maxMs: 1_000, resetAfterMs: 5_000 });

/** Three restarts a minute, 100 ms apart and doubling, unless a test says otherwise. */
export function strategy(options: Partial<StrategyOptions> = {}): Strategy {
  return oneForOne({ maxRestarts: 3, withinMs: 60_000, backoff: BACKOFF, ...options });
}

/** Where it can be seen in a test: an event and when it was delivered. */
export type TimedEvent = UnitEvent & { readonly atMs: number };

/** A tree with a clock, and units whose lives are recorded. */
export class SupervisedWorld {
  readonly clock: VirtualClock = new VirtualClock();
  readonly events: TimedEvent[] = [];
  readonly escalated: Error[] = [];
  readonly calls: string[] = [];
  readonly contexts: UnitContext[] = [];
  readonly handled: number[] = [];
  readonly root: Supervisor;

  constructor(rootStrategy: Strategy = strategy(), shells: ShellSystem = inlineShells) {
    const onEvent = (event: UnitEvent): void =>
      void this.events.push({ ...event, atMs: this.clock.monotonicMs() });
    const onEscalated = (error: Error): void => void this.escalated.push(error);
    this.root = createSupervisor({
      name: "test",
      strategy: rootStrategy,
      clock: this.clock,
      random: createSeededRandom(1),
      shells,
      onEvent,
      onEscalated,
    });
  }

  /** A unit that handles numbers; -1 throws, -2 rejects, -3 never ends. */
  definition(more: Partial<UnitDefinition<number>> = {}): UnitDefinition<number> {
    return {
      name: "meters",
      open: (context) => {
        this.calls.push(`open ${context.epoch}`);
        this.contexts.push(context);
        return Promise.resolve({
          handle: (message) => {
            if (message === -1) throw new RangeError("thrown");
            if (message === -2) return Promise.reject(new TypeError("rejected"));
            if (message === -3) return new Promise<void>(() => undefined);
            this.handled.push(message);
            return undefined;
          },
          resumed: () => void this.calls.push("resumed"),
          close: () => void this.calls.push(`close ${context.epoch}`),
        });
      },
      fence: (nextEpoch) => {
        this.calls.push(`fence ${nextEpoch}`);
        return Promise.resolve();
      },
      ...more,
    };
  }

  /** A unit whose calls are recorded under its name: `open a.1`, `fence a.2`, `close a.1`. */
  named(name: string, more: Partial<UnitDefinition<number>> = {}): UnitDefinition<number> {
    return {
      name,
      open: (context) => {
        this.calls.push(`open ${name}.${context.epoch}`);
        this.contexts.push(context);
        const close = (): void => void this.calls.push(`close ${name}.${context.epoch}`);
        return Promise.resolve({ close, resumed: () => void this.calls.push(`resumed ${name}`) });
      },
      fence: (nextEpoch) => {
        this.calls.push(`fence ${name}.${nextEpoch}`);
        return Promise.resolve();
      },
      ...more,
    };
  }

  /** Of the incarnation that was opened last. */
  get context(): UnitContext {
    const context = this.contexts.at(-1);
    if (context === undefined) throw new Error("never opened");
    return context;
  }

  /** Fails the newest incarnation of the unit with this path. */
  fail(path: string, error: Error = new Error("unplugged")): void {
    this.contexts.findLast((context) => context.path === path)?.fail(error);
  }

  kinds(): readonly string[] {
    return this.events.map(({ kind }) => kind);
  }

  /** The calls since this was asked the last time. */
  takeCalls(): readonly string[] {
    return this.calls.splice(0);
  }

  /** `a running 1`: each unit's name, status and epoch. */
  standing(): readonly string[] {
    return this.root.states().map(({ unit, status, epoch }) => `${unit} ${status} ${epoch}`);
  }

  /** How many recorded calls begin with this word. */
  countCalls(word: string): number {
    return this.calls.filter((call) => call.startsWith(word)).length;
  }

  async settle(): Promise<void> {
    await this.clock.advance(0);
  }
}
