/** Found by the torture test: what ends late is told as it is. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../src/actor/waits.ts";
import type { UnitSession } from "../../src/contract/unit.ts";
import { strategy, SupervisedWorld } from "../support/supervised.ts";

test("late ends: a unit that was not stopped in time is named until it is gone, also by its group", async () => {
  for (const late of ["close", "fence"] as const) {
    const world = new SupervisedWorld();
    const gate = deferred();
    const group = world.root.group("group", strategy());
    const wait = (): Promise<void> => gate.promise;
    const open = (): Promise<UnitSession<number>> =>
      Promise.resolve({ close: late === "close" ? wait : (): void => undefined });
    const unit = group.start(
      world.named("unit", { open, closeDeadlineMs: 100, ...(late === "fence" && { fence: wait }) }),
    );
    await unit.started;
    const stopping = group.stop();
    await world.clock.advance(60_000);
    deepEqual(await stopping, { notStopped: ["group/unit"] });
    deepEqual(await group.stop(), { notStopped: ["group/unit"] });
    gate.resolve();
    await world.settle();
    deepEqual(await group.stop(), { notStopped: [] });
    deepEqual(await world.root.stop(), { notStopped: [] });
    equal(world.clock.timerCount, 0);
  }
});

test("late ends: a handler that ends in the grace of a stop has handled its message, whatever its own deadline", async () => {
  for (const endsMs of [150, 250]) {
    const world = new SupervisedWorld();
    const handle = (): Promise<void> => world.clock.sleep(endsMs, new AbortController().signal);
    const open = (): Promise<UnitSession<number>> =>
      Promise.resolve({ handle, close: () => undefined });
    const unit = world.root.start(
      world.named("unit", { open, handleDeadlineMs: 100, closeDeadlineMs: 200 }),
    );
    await unit.started;
    unit.tell(1);
    await world.clock.advance(20);
    const stopping = world.root.stop();
    await world.clock.advance(60_000);
    deepEqual(await stopping, { notStopped: [] });
    const dropped = world.events.flatMap((event) =>
      event.kind === "message-dropped" ? [event.count] : [],
    );
    deepEqual(dropped, endsMs === 150 ? [] : [1]);
    equal(world.clock.timerCount, 0);
  }
});
