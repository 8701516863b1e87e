import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import type { ControlCommand } from "../src/console/control.ts";
import type { Snapshot } from "../src/contract/status.ts";
import { HoldfastError } from "../src/errors.ts";
import { CLOSED_LOG } from "../src/live-log.ts";
import { unitCommands } from "../src/unit-commands.ts";
import { strategy, SupervisedWorld } from "./support/supervised.ts";

/** A world with units `log` and `receivers/meters`, and its commands. */
class Scene {
  readonly world = new SupervisedWorld();
  readonly #commands: readonly ControlCommand[];

  constructor() {
    const { world } = this;
    world.root.start(world.named("log"));
    world.root.group("receivers", strategy()).start(world.named("meters"));
    this.#commands = unitCommands({
      clock: world.clock,
      tree: world.root,
      snapshot: () => this.#snapshot(),
    });
  }

  ask(name: string, given: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const command = this.#commands.find((each) => each.name === name);
    ok(command !== undefined, name);
    return command.run(given);
  }

  status(path: string): string {
    return this.world.root.find(path)?.state().status ?? "none";
  }

  #snapshot(): Snapshot {
    return {
      units: this.world.root.states(),
      log: { ...CLOSED_LOG, lastError: new HoldfastError("LOG_FAILED", "the disk is gone") },
      pools: [],
      pipelines: [{ pipeline: "rows", batchId: 7, lagRecords: 3, watermarkMs: undefined }],
    };
  }
}

const meters = {
  unit: "receivers/meters",
  status: "running",
  epoch: 1,
  restarts: 0,
  maxRestarts: 3,
  forMs: 2_000,
  nextAttemptInMs: null,
  lastError: null,
};

test("unit commands: units are told with durations, and errors with their codes", async () => {
  const scene = new Scene();
  await scene.world.settle();
  await scene.world.clock.advance(2_000);
  deepEqual(await scene.ask("units"), { units: [{ ...meters, unit: "log" }, meters] });
  scene.world.fail("receivers/meters", new HoldfastError("CONNECTION_FAILED", "unplugged"));
  await scene.world.clock.advance(40);
  const { units } = (await scene.ask("units")) as { units: readonly object[] };
  deepEqual(units[1], {
    ...meters,
    status: "backing-off",
    restarts: 1,
    forMs: 40,
    nextAttemptInMs: 60,
    lastError: { code: "CONNECTION_FAILED", message: "unplugged" },
  });
});

test("unit commands: no limit of restarts is told as null, which JSON can carry", async () => {
  const scene = new Scene();
  scene.world.root
    .group("pipelines", strategy({ maxRestarts: Infinity }))
    .start(scene.world.named("rows"));
  await scene.world.settle();
  const text = JSON.stringify(await scene.ask("units"));
  match(text, /"unit":"pipelines\/rows",.*"maxRestarts":null/);
});

test("unit commands: status is units, log and pipelines", async () => {
  const scene = new Scene();
  await scene.world.settle();
  deepEqual(await scene.ask("status"), {
    units: [
      { ...meters, unit: "log", forMs: 0 },
      { ...meters, forMs: 0 },
    ],
    log: {
      state: "closed",
      oldestOffset: 0,
      nextOffset: 0,
      bytes: 0,
      bytesMax: 0,
      gapRecords: 0,
      lastError: { code: "LOG_FAILED", message: "the disk is gone" },
    },
    pipelines: [{ pipeline: "rows", batchId: 7, lagRecords: 3 }],
  });
});

test("unit commands: a parked unit starts again with an empty window", async () => {
  const scene = new Scene();
  const { world } = scene;
  await world.settle();
  for (let failure = 0; failure < 4; failure += 1) {
    world.fail("receivers/meters");
    await world.clock.advance(1_000);
  }
  equal(scene.status("receivers/meters"), "parked");
  deepEqual(await scene.ask("units-restart", { unit: "receivers/meters" }), {
    before: {
      ...meters,
      status: "parked",
      epoch: 4,
      restarts: 3,
      forMs: 1_000,
      nextAttemptInMs: 119_000,
      lastError: { code: "INTERNAL", message: "unplugged" },
    },
  });
  await world.settle();
  const state = world.root.find("receivers/meters")?.state();
  deepEqual([state?.status, state?.restarts, state?.epoch], ["running", 0, 5]);
});

test("unit commands: a running unit is restarted, and its siblings are not", async () => {
  const scene = new Scene();
  await scene.world.settle();
  await scene.ask("units-restart", { unit: "receivers/meters" });
  await scene.world.settle();
  deepEqual(scene.world.standing(), ["log running 1", "receivers/meters running 2"]);
});

for (const [unit, fix] of [
  ["receivers/meter", 'did you mean "receivers/meters"?'],
  ["meters", 'did you mean "receivers/meters"?'],
  ["sinks/somewhere", ""],
] as const) {
  test(`unit commands: ${unit} is answered with the units there are`, async () => {
    await rejects(new Scene().ask("units-restart", { unit }), {
      code: "UNIT_UNKNOWN",
      message: `there is no unit "${unit}", there are log, receivers/meters`,
      fix,
    });
  });
}

test("unit commands: a unit that has stopped stays stopped, and is said to", async () => {
  const scene = new Scene();
  await scene.world.settle();
  await scene.world.root.find("receivers/meters")?.stop();
  await rejects(scene.ask("units-restart", { unit: "receivers/meters" }), {
    code: "UNIT_STOPPED",
    message:
      "receivers/meters is stopped; only a unit that runs, waits or is parked can be restarted",
  });
  equal(scene.status("receivers/meters"), "stopped");
});

test("unit commands: the unit that answers is not restarted by its own answer", async () => {
  const scene = new Scene();
  scene.world.root.start(scene.world.named("control"));
  await scene.world.settle();
  await rejects(scene.ask("units-restart", { unit: "control" }), { code: "CONTROL_REQUEST" });
  await scene.world.settle();
  equal(scene.world.root.find("control")?.state().epoch, 1);
});

for (const [command, given, message] of [
  ["units", { all: true }, "units takes no arguments, it got all"],
  ["status", { unit: "log" }, "status takes no arguments, it got unit"],
  ["units-restart", {}, "units-restart: unit is undefined, allowed are paths of units"],
  ["units-restart", { unit: 3 }, "units-restart: unit is 3, allowed are paths of units"],
  ["units-restart", { unit: "log", now: true }, "units-restart takes unit, it got now"],
] as const) {
  test(`unit commands: ${command} ${JSON.stringify(given)} is refused`, async () => {
    await rejects(new Scene().ask(command, given), { code: "CONTROL_REQUEST", message });
  });
}
