/** Findings 8 and 9 about nact 7.6.2: what a message and a crash cost, counted in turns and copies, not in time. */
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { DRAIN_MESSAGES_MAX } from "../../../src/actor/drain.ts";
import { nactShells } from "../../../src/actor/nact-shell.ts";
import { realClock } from "../../../src/host/clock.ts";
import { nactSystem, plainNact } from "../../support/plain-nact.ts";
import { strategy, SupervisedWorld } from "../../support/supervised.ts";

const { spawn, dispatch } = plainNact;
const MESSAGES = 1_000;
const CHILDREN = 100;

/** Turns of the event loop until so many messages are handled, and the most that one turn saw. */
async function pace(handled: () => number): Promise<{ turns: number; most: number }> {
  let most = 0;
  let count = 0;
  for (; count < 2 * MESSAGES && handled() < MESSAGES; count++) {
    const before = handled();
    await realClock.yield();
    most = Math.max(most, handled() - before);
  }
  return { turns: count, most };
}

test("nact 8: one message per turn of the event loop; here 256", async () => {
  let handled = 0;
  const actor = spawn(nactSystem(), () => void handled++, "slow");
  for (let id = 0; id < MESSAGES; id++) dispatch(actor, id);
  const there = await pace(() => handled);
  ok(there.turns >= MESSAGES - 1 && there.most === 1, `${there.turns} turns, ${there.most} in one`);

  const world = new SupervisedWorld(strategy(), nactShells);
  const unit = world.root.start(world.definition());
  await unit.started;
  for (let id = 0; id < MESSAGES; id++) equal(unit.tell(id), "ok");
  const here = await pace(() => world.handled.length);
  equal(here.most, DRAIN_MESSAGES_MAX);
  ok(here.turns <= MESSAGES / DRAIN_MESSAGES_MAX + 2, `${here.turns} turns`);
  equal(new Set(world.handled).size, MESSAGES);
  await world.root.stop();
});

/** Whatever could be a copy of other units or messages. */
function collectionsIn(values: readonly unknown[]): readonly unknown[] {
  return values
    .flatMap((value) => (typeof value === "object" && value !== null ? Object.values(value) : []))
    .filter((value) => value instanceof Map || value instanceof Set || Array.isArray(value));
}

test("nact 9: each message copies the children and each crash the queue; here callbacks get no collection", async () => {
  const maps: ReadonlyMap<string, unknown>[] = [];
  const depths: number[] = [];
  const parent = spawn(
    nactSystem(),
    (_state, message, { children }) => {
      maps.push(children);
      if (message === -1) throw new Error("thrown");
    },
    "parent",
    {
      onCrash: (_message, _error, { mailbox, resume }) => {
        depths.push(mailbox.length);
        return resume;
      },
    },
  );
  for (let index = 0; index < CHILDREN; index++) spawn(parent, () => undefined, `child-${index}`);
  for (const message of [1, 2]) dispatch(parent, message);
  for (let id = 0; id < MESSAGES; id++) dispatch(parent, id === 0 ? -1 : id);
  for (let turn = 0; turn < 5; turn++) await realClock.yield();
  deepEqual([maps[0]?.size, maps[1]?.size], [CHILDREN, CHILDREN]);
  notEqual(maps[0], maps[1]);
  deepEqual(depths, [MESSAGES - 1]);

  const given: unknown[][] = [];
  const world = new SupervisedWorld(
    strategy({
      decide: (...all) => {
        given.push(all);
        return "resume";
      },
    }),
    nactShells,
  );
  for (let index = 0; index < CHILDREN; index++)
    world.root.start(world.definition({ name: `child-${index}` }));
  const unit = world.root.start<number>({
    name: "unit",
    open: (...context) => {
      given.push(context);
      return Promise.resolve({
        handle: (...message) => {
          given.push(message);
          if (message[0] === -1) throw new Error("thrown");
        },
        resumed: (...cause) => void given.push(cause),
        close: (...force) => void given.push(force),
      });
    },
  });
  await unit.started;
  for (let id = 0; id < MESSAGES; id++) unit.tell(id === 0 ? -1 : id);
  await world.settle();
  await world.root.stop();
  equal(given.length, MESSAGES + 4);
  deepEqual(collectionsIn(given.flat()), []);
});
