/** A supervision tree on the real clock and on nact, with restarts that do not wait. */
import { realClock } from "../../src/host/clock.ts";
import { realRandom } from "../../src/host/random.ts";
import { createSupervisor, oneForOne, withoutJitter } from "../../supervisors/index.ts";
import type { Strategy, Supervisor } from "../../supervisors/index.ts";

/** Restarts without limit and without delay. */
const atOnce: Strategy = oneForOne({
  maxRestarts: Infinity,
  withinMs: 1_000,
  backoff: withoutJitter({ minMs: 0, maxMs: 0, resetAfterMs: 0 }),
});

export function benchTree(): Supervisor {
  return createSupervisor({
    name: "bench",
    strategy: atOnce,
    clock: realClock,
    random: realRandom,
  });
}

/** What a unit's messages wait in: as many as a burst of a busy loop's turn. */
export const mailboxMax = 65_536;
