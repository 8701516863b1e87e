import { test } from "node:test";
import fc from "fast-check";
import { manyRuns } from "../support/runs.ts";
import { LATE_POISON, POISON } from "./restart-receivers.ts";
import { type Name, PEERS, RestartWorld } from "./restart-world.ts";

type Act = (world: RestartWorld) => void | Promise<void>;

/** Shows itself by its label when a run fails. */
class Command {
  readonly label: string;
  readonly act: Act;

  constructor(label: string, act: Act) {
    this.label = label;
    this.act = act;
  }

  toString(): string {
    return this.label;
  }
}

const overTcp = fc.constantFrom("none", "counted");
const anyName = fc.constantFrom<Name>("none", "counted", "push", "pull");
const slot = fc.nat(PEERS - 1);
const count = fc.integer({ min: 1, max: 4 });
const directive = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom("resume", "restart") },
  { weight: 1, arbitrary: fc.constantFrom("stop", "escalate") },
);

const traffic = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(overTcp, slot, count, fc.boolean()).map(([name, at, many, hasTail]) => {
      const label = `send ${name} ${at} ${many} ${hasTail}`;
      return new Command(label, (world) => world.send(name, at, many, hasTail));
    }),
  },
  {
    weight: 2,
    arbitrary: count.map((many) => new Command(`give ${many}`, (world) => world.give(many))),
  },
  {
    weight: 2,
    arbitrary: count.map((many) => new Command(`add ${many}`, (world) => world.add(many))),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(overTcp, slot, fc.boolean()).map(([name, at, isOrderly]) => {
      const label = `bye ${name} ${at} ${isOrderly}`;
      return new Command(label, (world) => world.bye(name, at, isOrderly));
    }),
  },
);

const restarts = fc.oneof(
  anyName.map(
    (name) => new Command(`restart ${name}`, (world) => world.units.get(name)?.restart()),
  ),
  anyName.map((name) => new Command(`fail ${name}`, (world) => world.fail(name, "restart"))),
);

const failures = fc.oneof(
  fc.tuple(overTcp, slot, directive).map(([name, at, says]) => {
    const label = `poison ${name} ${at} ${says}`;
    return new Command(label, (world) => world.poison(name, at, says));
  }),
  fc.tuple(fc.constantFrom(POISON, LATE_POISON), directive).map(([poison, says]) => {
    const prefix = `${poison}${says} `;
    return new Command(`poison push ${prefix}`, (world) => world.give(1, prefix));
  }),
  fc
    .tuple(anyName, directive)
    .map(([name, says]) => new Command(`fail ${name} ${says}`, (world) => world.fail(name, says))),
  fc
    .constantFrom("refused", "hangs")
    .map((how) => new Command(`next listen ${how}`, (world) => world.nextListen(how))),
);

const log = fc.oneof(
  fc.boolean().map((isFull) => new Command(`full ${isFull}`, (world) => world.log.setFull(isFull))),
  fc.boolean().map((fails) => {
    const act: Act = (world) => (fails ? world.log.fail() : world.log.reopen());
    return new Command(fails ? "log fails" : "log opens", act);
  }),
  fc.constant(new Command("log opens", (world) => world.log.reopen())),
  fc.boolean().map((refuses) => {
    const label = `letters ${refuses ? "refused" : "taken"}`;
    return new Command(label, (world) => {
      world.refusesLetters = refuses;
    });
  }),
);

const time = (...ms: readonly number[]): fc.Arbitrary<Command> =>
  fc
    .constantFrom(...ms)
    .map((each) => new Command(`advance ${each}`, (world) => world.clock.advance(each)));

async function play(steps: readonly Command[], maxRestarts: number): Promise<RestartWorld> {
  const world = new RestartWorld(maxRestarts);
  await world.clock.advance(0);
  for (const { act } of steps) {
    await act(world);
    world.checkCounts();
  }
  await world.finish();
  world.checkEnd();
  return world;
}

test("restart: whatever fails and whenever, what was read is stored or named, and no count or epoch runs ahead", async () => {
  const commands = fc.array(
    fc.oneof(
      { weight: 8, arbitrary: traffic },
      { weight: 2, arbitrary: restarts },
      { weight: 2, arbitrary: failures },
      { weight: 2, arbitrary: log },
      { weight: 4, arbitrary: time(0, 1, 5, 50, 300, 6_000, 40_000) },
    ),
    { minLength: 5, maxLength: 80, size: "max" },
  );
  await fc.assert(
    fc.asyncProperty(
      commands,
      fc.constantFrom(2, Infinity, Infinity),
      async (steps, maxRestarts) => {
        await play(steps, maxRestarts);
      },
    ),
    manyRuns,
  );
});

test("restart: with room in time, what was read and is not sent again is stored, all of it", async () => {
  const commands = fc.array(
    fc.oneof(
      { weight: 8, arbitrary: traffic },
      { weight: 3, arbitrary: restarts },
      { weight: 4, arbitrary: time(0, 1, 5, 50, 300) },
    ),
    { minLength: 5, maxLength: 80, size: "max" },
  );
  await fc.assert(
    fc.asyncProperty(commands, async (steps) => {
      const world = await play(steps, Infinity);
      world.checkAllStored();
    }),
    manyRuns,
  );
});

test("restart: a block that is refused while the pressure falls is not overtaken", async () => {
  const steps: readonly Act[] = [
    (world) => world.give(1),
    (world) => world.send("counted", 0, 1, false),
    (world) => world.send("counted", 0, 1, false),
    (world) => world.send("counted", 0, 2, false),
    (world) => world.send("counted", 1, 1, false),
    (world) => world.send("counted", 1, 1, false),
    (world) => world.add(2),
    (world) => world.poison("none", 0, "stop"),
    (world) => world.clock.advance(0),
    (world) => world.send("counted", 0, 1, false),
    (world) => world.clock.advance(50),
  ];
  await play(
    steps.map((act) => new Command("as found", act)),
    2,
  );
});
