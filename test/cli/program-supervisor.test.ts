import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { KILL_AFTER_MS, ProgramSupervisor } from "../../src/cli/program-supervisor.ts";
import type { RestartPolicy } from "../../src/cli/restart-policy.ts";
import type { Child, ChildEnd, Children } from "../../src/host/children.ts";
import type { HostSignal } from "../../src/host/process.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { withoutJitter } from "../../supervisors/index.ts";
import { deferred } from "../support/deferred.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const policy: RestartPolicy = {
  limit: { maxRestarts: 2, withinMs: 60_000 },
  backoff: withoutJitter({ minMs: 1_000, maxMs: 8_000, resetAfterMs: 0 }),
};

/** A child that lives until the test ends it. */
class FakeChild implements Child {
  readonly signals: string[] = [];
  readonly #ended = deferred<ChildEnd>();

  get ended(): Promise<ChildEnd> {
    return this.#ended.promise;
  }

  signal(signal: string): void {
    this.signals.push(signal);
  }

  end(end: ChildEnd): void {
    this.#ended.resolve(end);
  }
}

/** A supervisor on a virtual clock, its children, and the signals that the test sends to it. */
class Scene {
  readonly clock = new VirtualClock();
  readonly complained: string[] = [];
  readonly children: FakeChild[] = [];
  readonly started: (readonly string[])[] = [];
  listened: readonly HostSignal[] = [];
  send: (signal: HostSignal) => void = () => undefined;
  readonly code: Promise<number>;

  constructor(given: RestartPolicy = policy) {
    this.code = new ProgramSupervisor({
      children: this.#children(),
      clock: this.clock,
      random: createSeededRandom(1),
      policy: given,
      arguments: ["run", "a.yaml", "--log-level", "info"],
      terminal: { complain: (line) => void this.complained.push(line) },
      process: {
        onSignals: (signals, callback) => {
          this.listened = signals;
          this.send = callback;
          return () => {
            this.listened = [];
          };
        },
      },
    }).run();
  }

  get child(): FakeChild {
    const child = this.children.at(-1);
    if (child === undefined) throw new Error("no child was started");
    return child;
  }

  /** The newest child ends after so long. */
  async endAfter(ms: number, end: ChildEnd): Promise<void> {
    await this.clock.advance(ms);
    this.child.end(end);
    await this.clock.settle();
  }

  /** What must hold after the end, whatever it was. */
  async ended(): Promise<number> {
    const code = await this.code;
    await this.clock.settle();
    deepEqual([this.listened, this.clock.timerCount], [[], 0]);
    return code;
  }

  #children(): Children {
    return {
      startSelf: (args) => {
        const child = new FakeChild();
        this.children.push(child);
        this.started.push(args);
        return child;
      },
    };
  }
}

const failed: ChildEnd = { kind: "exited", code: 1 };

test("supervise: a child that ends in order is the end, and nothing is said", async () => {
  const scene = new Scene();
  deepEqual(scene.started, [["run", "a.yaml", "--log-level", "info"]]);
  await scene.endAfter(5_000, { kind: "exited", code: 0 });
  equal(await scene.ended(), 0);
  deepEqual([scene.children.length, scene.complained], [1, []]);
});

test("supervise: one that fails is started again after its delay, until the window is used up", async () => {
  const scene = new Scene();
  await scene.endAfter(3_000, failed);
  await scene.clock.advance(999);
  equal(scene.children.length, 1);
  await scene.clock.advance(1);
  equal(scene.children.length, 2);
  await scene.endAfter(1_000, { kind: "killed", signal: "SIGKILL", number: 9 });
  await scene.clock.advance(2_000);
  equal(scene.children.length, 3);
  await scene.endAfter(0, { kind: "exited", code: 69 });
  equal(await scene.ended(), 69);
  deepEqual(scene.complained, [
    "supervise: run ended with code 1 after 3.0s; restart 1 of 2 within 1m, in 1.0s",
    "supervise: run was ended by SIGKILL after 1.0s; restart 2 of 2 within 1m, in 2.0s",
    "supervise: run ended with code 69 after 0.0s; 2 restarts within 1m are used up",
  ]);
});

test("supervise: one that ran for the interval counts as new", async () => {
  const scene = new Scene();
  for (let round = 0; round < 5; round += 1) {
    await scene.endAfter(60_000, failed);
    await scene.clock.advance(1_000);
  }
  equal(scene.children.length, 6);
  equal(
    scene.complained.every((line) => line.includes("; restart 1 of 2")),
    true,
  );
  await scene.endAfter(0, { kind: "exited", code: 78 });
  equal(await scene.ended(), 78);
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  test(`supervise: ${signal} is passed on, each time it comes, and the next end is the last`, async () => {
    const scene = new Scene();
    scene.send(signal);
    scene.send(signal);
    deepEqual(scene.child.signals, [signal, signal]);
    await scene.endAfter(2_000, { kind: "killed", signal: "SIGKILL", number: 9 });
    equal(await scene.ended(), 137);
    deepEqual([scene.children.length, scene.complained], [1, []]);
  });
}

for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
  test(`supervise: ${signal} is passed on, and changes nothing else`, async () => {
    const scene = new Scene();
    scene.send(signal);
    deepEqual(scene.child.signals, [signal]);
    await scene.endAfter(1_000, failed);
    await scene.clock.advance(1_000);
    equal(scene.children.length, 2);
    await scene.endAfter(0, { kind: "exited", code: 0 });
    equal(await scene.ended(), 0);
  });
}

test("supervise: a stop while it waits starts nothing more", async () => {
  const scene = new Scene();
  await scene.endAfter(0, failed);
  scene.send("SIGTERM");
  equal(await scene.ended(), 0);
  deepEqual([scene.children.length, scene.child.signals], [1, []]);
});

test("supervise: other signals while it waits do not end the wait", async () => {
  const scene = new Scene();
  await scene.endAfter(0, failed);
  scene.send("SIGUSR2");
  await scene.clock.advance(1_000);
  equal(scene.children.length, 2);
  await scene.endAfter(0, { kind: "exited", code: 0 });
  equal(await scene.ended(), 0);
});

test("supervise: a child that does not end after the signal is killed", async () => {
  const scene = new Scene();
  scene.send("SIGTERM");
  await scene.clock.advance(KILL_AFTER_MS - 1);
  deepEqual(scene.child.signals, ["SIGTERM"]);
  await scene.clock.advance(1);
  deepEqual(scene.child.signals, ["SIGTERM", "SIGKILL"]);
  match(scene.complained.join(), /^supervise: run has not ended 35 s after the signal, killed$/);
  await scene.endAfter(0, { kind: "killed", signal: "SIGKILL", number: 9 });
  equal(await scene.ended(), 137);
});

test("supervise: a child that the system refuses to start is tried again", async () => {
  const scene = new Scene();
  await scene.endAfter(0, { kind: "not-started", cause: new Error("spawn EAGAIN") });
  await scene.clock.advance(1_000);
  equal(scene.children.length, 2);
  match(scene.complained.join(), /could not be started \(spawn EAGAIN\) after/);
  await scene.endAfter(0, { kind: "exited", code: 0 });
  equal(await scene.ended(), 0);
});
