import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { UnitRef } from "../../src/contract/unit.ts";
import { SupervisedWorld, strategy } from "../support/supervised.ts";

type Disturbance = "crash" | "reject" | "fail" | "stale" | "advance" | "restart";
type Command = "tell" | Disturbance;

async function disturb(
  command: Disturbance,
  world: SupervisedWorld,
  unit: UnitRef<number>,
): Promise<void> {
  switch (command) {
    case "crash":
      return void unit.tell(-1);
    case "reject":
      return void unit.tell(-2);
    case "fail":
      return world.context.fail(new Error("external"));
    case "stale":
      return world.contexts[0]?.fail(new Error("stale"));
    case "advance":
      return await world.clock.advance(150);
    case "restart":
      return unit.restart();
  }
}

test("supervisor: random commands keep one handler, one life, the order, and the window", async () => {
  const commands = fc.array(
    fc.constantFrom<Command>(
      "tell",
      "tell",
      "tell",
      "crash",
      "reject",
      "fail",
      "stale",
      "advance",
      "restart",
    ),
    { maxLength: 60 },
  );
  await fc.assert(
    fc.asyncProperty(commands, fc.integer({ min: 0, max: 4 }), async (script, maxRestarts) => {
      const world = new SupervisedWorld(strategy({ maxRestarts, withinMs: 1_000 }));
      const unit: UnitRef<number> = world.root.start(world.definition());
      await unit.started;
      const accepted: number[] = [];
      let next = 0;
      for (const command of script) {
        if (command === "tell") {
          if (unit.tell(next) === "ok") accepted.push(next);
          next++;
        } else await disturb(command, world, unit);
        const lives = world.countCalls("open") - world.countCalls("close");
        ok(lives === 0 || lives === 1, `${lives} lives at once`);
      }
      await world.clock.advance(5_000);
      const dropped = world.events.filter(({ kind }) => kind === "message-dropped").length;
      deepEqual(
        world.handled,
        accepted.filter((message) => world.handled.includes(message)),
      );
      ok(world.handled.length + dropped >= accepted.length || unit.state().status === "parked");
      await world.root.stop();
      equal(world.clock.timerCount, 0);
      equal(world.countCalls("open"), world.countCalls("close"));
    }),
    { numRuns: 200 },
  );
});
