import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { ServiceLink } from "../../src/cli/service-link.ts";
import type { Health } from "../../src/contract/status.ts";
import { CLOSED_LOG } from "../../src/live-log.ts";
import { deferred } from "../support/deferred.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const READY = "READY=1 STATUS=ready";
const ALIVE = "WATCHDOG=1 STATUS=ready";

/** A link to an init system that the test is. */
class Scene {
  readonly clock = new VirtualClock();
  readonly told: string[] = [];
  readonly complained: string[] = [];
  health: Health = { kind: "ready" };
  unacknowledgedBytes = 0;
  /** What it does with a message. */
  take: () => Promise<void> = () => Promise.resolve();
  readonly link: ServiceLink;

  constructor(watchdogMs: number | undefined, isListening = true) {
    const initSystem = {
      watchdogMs,
      tell: (assignments: readonly string[]) => {
        this.told.push(assignments.join(" "));
        return this.take();
      },
    };
    this.link = new ServiceLink({
      initSystem: isListening ? initSystem : undefined,
      clock: this.clock,
      terminal: { complain: (line) => void this.complained.push(line) },
      ingest: {
        health: () => this.health,
        snapshot: () => ({
          units: [],
          pools: [],
          pipelines: [],
          log: { ...CLOSED_LOG, unacknowledgedBytes: this.unacknowledgedBytes },
        }),
      },
    });
  }

  async ended(): Promise<void> {
    await this.link.end();
    await this.clock.settle();
    equal(this.clock.timerCount, 0);
  }
}

test("service link: ready, two signs of life in the time for one, stopping", async () => {
  const scene = new Scene(60_000);
  scene.link.ready();
  await scene.clock.advance(29_999);
  deepEqual(scene.told, [READY]);
  await scene.clock.advance(1);
  await scene.clock.advance(30_000);
  deepEqual(scene.told, [READY, ALIVE, ALIVE]);
  scene.link.stopping();
  await scene.clock.advance(30_000);
  deepEqual(scene.told.slice(3), ["STOPPING=1", ALIVE]);
  await scene.ended();
  deepEqual(scene.complained, []);
});

test("service link: a log that is stuck is complained of once, and no sign is sent until it goes on", async () => {
  const scene = new Scene(20_000);
  scene.link.ready();
  scene.unacknowledgedBytes = 9;
  await scene.clock.advance(30_000);
  equal(scene.told.length, 4);
  await scene.clock.advance(60_000);
  equal(scene.told.length, 4);
  deepEqual(scene.complained, [
    "watchdog: nothing has become durable for 30 s, and the log has accepted more; no sign of life is sent",
  ]);
  scene.unacknowledgedBytes = 0;
  await scene.clock.advance(10_000);
  equal(scene.told.length, 5);
  await scene.ended();
});

test("service link: a sink that is away is in the status, and no reason to be silent", async () => {
  const scene = new Scene(20_000);
  const reasons = ["a", "b", "c", "d", "e"].map((name) => ({
    unit: `pipelines/${name}`,
    code: "SINK_FAILED",
    message: "two\nlines",
  }));
  scene.health = { kind: "not-ready", reasons };
  scene.link.ready();
  await scene.clock.advance(10_000);
  equal(
    scene.told.at(-1),
    "WATCHDOG=1 STATUS=not ready: pipelines/a SINK_FAILED, pipelines/b SINK_FAILED, pipelines/c SINK_FAILED, and 2 more",
  );
  await scene.ended();
});

test("service link: one message at a time, and the end waits for the last", async () => {
  const scene = new Scene(20_000);
  const taken = deferred<undefined>();
  scene.take = async () => void (await taken.promise);
  scene.link.ready();
  await scene.clock.advance(100_000);
  scene.link.stopping();
  const ended = scene.link.end();
  await scene.clock.settle();
  deepEqual(scene.told, [READY]);
  taken.resolve(undefined);
  await ended;
  deepEqual(scene.told, [READY, ALIVE, "STOPPING=1"]);
  equal(scene.clock.timerCount, 0);
});

test("service link: one that does not hear is complained of once, until it hears again", async () => {
  const scene = new Scene(20_000);
  const deaf = (): Promise<void> => Promise.reject(new Error("cannot tell"));
  scene.take = deaf;
  scene.link.ready();
  await scene.clock.advance(30_000);
  deepEqual(scene.complained, ["cannot tell"]);
  scene.take = () => Promise.resolve();
  await scene.clock.advance(10_000);
  scene.take = deaf;
  await scene.clock.advance(20_000);
  equal(scene.complained.length, 2);
  await scene.ended();
});

test("service link: without a watchdog there are no signs of life", async () => {
  const scene = new Scene(undefined);
  scene.link.ready();
  await scene.clock.advance(600_000);
  deepEqual([scene.told, scene.clock.timerCount], [[READY], 0]);
  await scene.ended();
});

test("service link: where nobody listens nothing is told", async () => {
  const scene = new Scene(20_000, false);
  scene.link.ready();
  await scene.clock.advance(100_000);
  scene.link.stopping();
  await scene.ended();
  deepEqual([scene.told, scene.complained], [[], []]);
});
