import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import {
  counter,
  type CounterMessage,
  counters,
  device,
  storage,
  StorageError,
} from "../../examples/supervisors.ts";
import type { Strategy, Supervisor, UnitRef } from "../../src/contract/unit.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** One counter, `first`, and one beside it, `other`, under a strategy. */
class Scene {
  readonly clock = new VirtualClock();
  readonly ended: string[] = [];
  readonly root: Supervisor;
  readonly first: UnitRef<CounterMessage>;
  readonly other: UnitRef<CounterMessage>;

  constructor(strategy: Strategy) {
    const { root, group } = counters(strategy, { clock: this.clock });
    this.root = root;
    this.first = group.start(counter("first"));
    this.other = group.start(counter("other"));
    this.first.onStopped(() => void this.ended.push("first"));
  }

  async set(value: number): Promise<void> {
    for (const unit of [this.first, this.other]) await unit.offer({ kind: "set", value });
    await this.clock.settle();
  }

  async fail(error: Error): Promise<void> {
    this.first.tell({ kind: "fail", error });
    await this.clock.settle();
  }

  /** What the counters answer; undefined from one that is stopped. */
  async values(): Promise<readonly (number | undefined)[]> {
    const values: (number | undefined)[] = [undefined, undefined];
    for (const [index, unit] of [this.first, this.other].entries())
      unit.tell({ kind: "get", reply: (value) => void (values[index] = value) });
    await this.clock.settle();
    return values;
  }
}

const missing = (): Error => Object.assign(new Error("no temperature"), { code: "VALUE_MISSING" });

test("examples/supervisors: arithmetic resumes, a missing value restarts, a bad argument stops", async () => {
  const scene = new Scene(device);
  await scene.set(42);
  await scene.fail(new RangeError("Division by zero"));
  deepEqual(await scene.values(), [42, 42]);
  await scene.fail(missing());
  deepEqual(await scene.values(), [0, 42]);
  equal(scene.first.state().restarts, 1);
  await scene.fail(new Error("bad argument: -1"));
  deepEqual([scene.ended, await scene.values()], [["first"], [undefined, 42]]);
  await scene.root.stop();
});

test("examples/supervisors: everything else is decided above: the group restarts as a whole", async () => {
  for (const strategy of [device, storage]) {
    const scene = new Scene(strategy);
    await scene.set(42);
    await scene.fail(new TypeError("anything else"));
    deepEqual(await scene.values(), [0, 0]);
    // Above it is charged to the group: a second time within its minute is too much.
    await scene.fail(new TypeError("anything else"));
    deepEqual(
      scene.root.states().map(({ status }) => status),
      ["parked", "parked"],
    );
    await scene.root.stop();
  }
});

test("examples/supervisors: 10 restarts in any minute, the eleventh stops the unit", async () => {
  const scene = new Scene(device);
  for (let count = 0; count < 10; count++) {
    await scene.clock.advance(5_900);
    await scene.fail(missing());
  }
  equal(scene.first.state().status, "running");
  // The first restart is a minute old now and counts no more.
  await scene.clock.advance(6_900);
  await scene.fail(missing());
  equal(scene.first.state().status, "running");
  await scene.fail(missing());
  deepEqual([scene.first.state().status, scene.other.state().status], ["stopped", "running"]);
  await scene.root.stop();
});

test("examples/supervisors: a storage error restarts 3 times in any 5 s, never 4 times", async () => {
  const scene = new Scene(storage);
  const failure = new StorageError("disk full");
  for (const waitMs of [0, 1_000, 3_999]) {
    await scene.clock.advance(waitMs);
    await scene.fail(failure);
  }
  equal(scene.first.state().restarts, 3);
  await scene.clock.advance(1);
  await scene.fail(failure);
  deepEqual([scene.first.state().status, scene.first.state().epoch], ["running", 5]);
  await scene.fail(failure);
  equal(scene.first.state().status, "stopped");
  await scene.root.stop();
});
