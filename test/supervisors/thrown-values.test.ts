import { equal } from "node:assert/strict";
import { test } from "node:test";
import { nactShells } from "../../src/actor/nact-shell.ts";
import type { UnitSession } from "../../src/contract/unit.ts";
import { strategy, SupervisedWorld } from "../support/supervised.ts";

const silent = { toString: undefined, valueOf: undefined };
const hostile = {
  toString: (): never => {
    throw new Error("no text");
  },
};

test("thrown values: anything may be thrown, also what has no text of its own", async () => {
  for (const value of [
    undefined,
    null,
    7,
    "text",
    Symbol("s"),
    Object.create(null),
    silent,
    hostile,
  ])
    for (const way of ["open", "handle", "fail", "close"] as const) {
      const world = new SupervisedWorld(strategy({ maxRestarts: 1 }), nactShells);
      const thrown = (): Promise<never> => Promise.reject(value);
      const open = (): Promise<UnitSession<number>> =>
        way === "open"
          ? thrown()
          : Promise.resolve({
              handle: () => (way === "handle" ? thrown() : undefined),
              close: () => (way === "close" ? thrown() : undefined),
            });
      const whole = world.definition();
      const unit = world.root.start({
        ...whole,
        open: (context) => {
          void whole.open(context);
          return open();
        },
      });
      await world.settle();
      unit.tell(1);
      if (way === "fail" || way === "close") world.context.fail(value);
      await world.clock.advance(10_000);
      const failed = world.events.find(({ kind }) => kind === "failed");
      equal(failed?.kind === "failed" && failed.error.cause, value);
      equal(unit.state().status, way === "open" ? "parked" : "running");
      await world.root.stop();
    }
});
