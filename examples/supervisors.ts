/**
 * Supervision without a log or a pipeline: the two strategies that many know from Akka, over a counter.
 *
 * A counter holds a number, fails when it is told to, and answers. Told to fail it shows what each strategy does:
 * whether the number survives, the counter with it, or the group above decides.
 */
import {
  createSupervisor,
  type Decider,
  oneForOne,
  type Strategy,
  type Supervisor,
  type SupervisorOptions,
  type UnitDefinition,
  when,
  withoutJitter,
} from "holdfast/supervisors";

/** The store cannot be reached, or refuses. */
export class StorageError extends Error {
  override readonly name = "StorageError";
}

/** A restart follows at once, as in Akka. Leave this out for waits from 250 ms to 5 s. */
const AT_ONCE = withoutJitter({ minMs: 0, maxMs: 0, resetAfterMs: 0 });

/** At most 3 restarts in any 5 s for a storage error, then the unit stops; everything else is decided above. */
export const storage: Strategy = oneForOne({
  maxRestarts: 3,
  withinMs: 5_000,
  decide: when(StorageError, "restart").otherwise("escalate"),
  backoff: AT_ONCE,
  onExhausted: "stop",
});

/** By class, by code, by a function of your own: the first that fits decides. */
export const decide: Decider = when(RangeError, "resume") // arithmetic: 1n / 0n
  .when("VALUE_MISSING", "restart")
  .when((error) => error.message.startsWith("bad argument"), "stop")
  .otherwise("escalate");

/** At most 10 restarts in any minute, by kind of error. */
export const device: Strategy = oneForOne({
  maxRestarts: 10,
  withinMs: 60_000,
  decide,
  backoff: AT_ONCE,
  onExhausted: "stop",
});

/** What a counter is told. */
export type CounterMessage =
  | { readonly kind: "set"; readonly value: number }
  | { readonly kind: "fail"; readonly error: Error }
  | { readonly kind: "get"; readonly reply: (value: number) => void };

/** A unit of one's own. Its state lives as long as an incarnation: a restart begins at 0, a resume goes on. */
export function counter(name: string): UnitDefinition<CounterMessage> {
  return {
    name,
    open: async () => {
      let value = 0;
      return {
        handle: (message) => {
          switch (message.kind) {
            case "set":
              value = message.value;
              return;
            case "get":
              return message.reply(value);
            case "fail":
              throw message.error;
          }
        },
        close: () => undefined, // here a unit ends its connections, timers and files
      };
    },
  };
}

/** A tree: counters in a group under a strategy; what the group hands up restarts it as a whole, once a minute. */
export function counters(
  strategy: Strategy,
  options: Partial<SupervisorOptions> = {},
): { readonly root: Supervisor; readonly group: Supervisor } {
  const above = oneForOne({ maxRestarts: 1, withinMs: 60_000, backoff: AT_ONCE });
  const root = createSupervisor({ name: "counters", strategy: above, ...options });
  return { root, group: root.group("counters", strategy) };
}
