import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { test } from "node:test";
import {
  DRAIN_TIMEOUT_MS,
  FIRST_STATUS_MS,
  GRACE_MS,
  Runner,
  SIGNAL_ECHO_MS,
  STATUS_INTERVAL_MS,
  STOP_DEADLINE_MS,
  Watch,
} from "../../src/cli/runner.ts";
import type { Ingest, StopReport } from "../../src/contract/ingest.ts";
import { HoldfastError } from "../../src/errors.ts";
import { rate } from "../../receivers/rate/index.ts";
import { deferred } from "../support/deferred.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const report: StopReport = { flushedRecords: 0, notStopped: [], nextOffset: 5, pipelines: [] };
const receiver = rate("demo", {});

/** A run on a virtual clock of an ingest that does what the test says. */
class Scene {
  readonly clock: VirtualClock = new VirtualClock();
  readonly printed: string[] = [];
  readonly complained: string[] = [];
  readonly stops: unknown[] = [];
  readonly lines: string[] = [];
  readonly started = deferred<undefined>();
  readonly stopped = deferred<StopReport>();
  readonly watch: Watch = new Watch();
  endedAtOnce = 0;
  storedCount = 0;
  handlers = 0;
  watchers = 0;
  /** What the init system was told. */
  readonly told: string[] = [];
  cutLifeline: () => void = () => undefined;
  signal: () => void = () => undefined;
  readonly ended: Promise<number>;

  constructor() {
    this.ended = new Runner({
      ingest: this.#ingest(),
      options: { directory: "./data", receivers: [receiver], pipelines: [] },
      watch: this.watch,
      version: "1.2.3",
      logger: {
        release: () => void this.lines.push("released"),
        discard: () => void this.lines.push("discarded"),
      },
      host: {
        clock: this.clock,
        process: {
          pid: 1,
          platform: "linux",
          machineId: () => Promise.resolve(""),
          lockFile: () => Promise.reject(new Error("not here")),
          residentBytes: () => 0,
          onSignals: (_, callback) => {
            this.handlers++;
            this.signal = () => callback("SIGINT");
            return () => void this.handlers--;
          },
        },
      },
      lifeline: {
        onCut: (callback) => {
          this.watchers++;
          this.cutLifeline = callback;
          return () => void this.watchers--;
        },
      },
      service: {
        ready: () => void this.told.push("ready"),
        stopping: () => void this.told.push("stopping"),
        end: () => {
          this.told.push("end");
          return Promise.resolve();
        },
      },
      terminal: {
        environment: {},
        directory: "/work",
        isInteractive: false,
        hasColor: false,
        print: (line) => void this.printed.push(line),
        complain: (line) => void this.complained.push(line),
        write: () => Promise.resolve(),
        endAtOnce: () => void this.endedAtOnce++,
      },
    }).run();
    // The test looks at it when it wants to.
    this.ended.catch(() => undefined);
  }

  async runs(): Promise<this> {
    this.started.resolve(undefined);
    await this.clock.settle();
    return this;
  }

  #ingest(): Ingest {
    const notHere = (): never => {
      throw new Error("not here");
    };
    return {
      start: () => this.started.promise,
      stopped: this.stopped.promise,
      stop: (options) => {
        this.stops.push(options);
        return this.stopped.promise;
      },
      snapshot: () => ({
        units: [],
        pools: [],
        pipelines: [{ pipeline: "p", batchId: 1, lagRecords: 1, watermarkMs: undefined }],
        log: {
          state: "running",
          oldestOffset: 0,
          nextOffset: this.storedCount,
          durableEnd: this.storedCount,
          bytes: 0,
          bytesMax: 1,
          unacknowledgedBytes: 0,
          gapRecords: 0,
          lastError: undefined,
        },
      }),
      health: () => ({ kind: "ready" }),
      address: () => {
        throw new HoldfastError("UNIT_UNKNOWN", "it does not listen");
      },
      run: notHere,
      drain: notHere,
      metricsText: notHere,
      addListener: notHere,
      [Symbol.asyncDispose]: notHere,
    };
  }
}

test("runner: first lines once it started, a last line when it ended", async () => {
  const scene = new Scene();
  await scene.clock.settle();
  deepEqual(scene.printed, []);
  await scene.runs();
  deepEqual(scene.printed, ["holdfast 1.2.3 | data /work/data", "demo rate"]);
  deepEqual(scene.lines, ["released"]);
  scene.stopped.resolve(report);
  equal(await scene.ended, 0);
  match(scene.printed.at(-1) ?? "", /^stopping: receivers closed, log at offset 5\./);
  deepEqual([scene.handlers, scene.watchers, scene.clock.timerCount], [0, 0, 0]);
  deepEqual(scene.told, ["ready", "end"]);
});

test("runner: status lines come after a short while, then at their interval, only when something changed", async () => {
  const scene = await new Scene().runs();
  scene.printed.length = 0;
  scene.storedCount = 3;
  await scene.clock.advance(FIRST_STATUS_MS - 1);
  deepEqual(scene.printed, []);
  scene.watch.listener.onBatchCompleted?.({
    kind: "batch-completed",
    atMs: 0,
    pipeline: "p",
    batchId: 1,
    recordCount: 2,
    schedulingDelayMs: 0,
    processingMs: 12,
  });
  await scene.clock.advance(1);
  deepEqual(scene.printed, ["stored 3 (1.5/s) | processed 2 | lag 1 | batch 12 ms"]);
  await scene.clock.advance(STATUS_INTERVAL_MS * 3);
  equal(scene.printed.length, 1);
  scene.storedCount = 1003;
  await scene.clock.advance(STATUS_INTERVAL_MS);
  equal(scene.printed[1], "stored 1,003 (100/s) | processed 1,002 | lag 1 | batch 12 ms");
});

test("runner: a signal stops it, and its echo is the same signal", async () => {
  const scene = await new Scene().runs();
  scene.signal();
  await scene.clock.advance(SIGNAL_ECHO_MS - 1);
  scene.signal();
  deepEqual([scene.stops, scene.endedAtOnce], [[{ timeoutMs: DRAIN_TIMEOUT_MS }], 0]);
  scene.stopped.resolve(report);
  equal(await scene.ended, 0);
  deepEqual(scene.told, ["ready", "stopping", "end"]);
});

test("runner: when its supervisor is gone it stops in order", async () => {
  const scene = await new Scene().runs();
  scene.cutLifeline();
  deepEqual(scene.complained, ["the supervisor is gone, stopping"]);
  deepEqual(scene.stops, [{ timeoutMs: DRAIN_TIMEOUT_MS }]);
  scene.stopped.resolve(report);
  equal(await scene.ended, 0);
  deepEqual([scene.watchers, scene.handlers, scene.clock.timerCount], [0, 0, 0]);
});

test("runner: a supervisor that goes while it stops changes nothing", async () => {
  const scene = await new Scene().runs();
  scene.signal();
  await scene.clock.advance(SIGNAL_ECHO_MS);
  scene.cutLifeline();
  deepEqual([scene.stops.length, scene.endedAtOnce], [1, 0]);
  scene.stopped.resolve(report);
  equal(await scene.ended, 0);
});

test("runner: a second signal ends the process at once", async () => {
  const scene = await new Scene().runs();
  scene.signal();
  await scene.clock.advance(SIGNAL_ECHO_MS);
  scene.signal();
  equal(scene.endedAtOnce, 1);
  match(scene.complained.at(-1) ?? "", /ended at once.*replayed/);
});

test("runner: a stop that does not come back says so, and is ended after its deadline", async () => {
  const scene = await new Scene().runs();
  scene.signal();
  await scene.clock.advance(GRACE_MS);
  match(scene.complained.join(), /still stopping/);
  await scene.clock.advance(STOP_DEADLINE_MS - 1);
  equal(scene.endedAtOnce, 0);
  await scene.clock.advance(1);
  equal(scene.endedAtOnce, 1);
});

test("runner: a stop in time is not ended later", async () => {
  const scene = await new Scene().runs();
  scene.signal();
  scene.stopped.resolve(report);
  await scene.ended;
  await scene.clock.advance(STOP_DEADLINE_MS * 2);
  deepEqual([scene.complained, scene.endedAtOnce], [[], 0]);
});

test("runner: what keeps it from starting is its failure", async () => {
  const scene = new Scene();
  scene.started.reject(new HoldfastError("PORT_IN_USE", "127.0.0.1:9000 is taken"));
  await rejects(scene.ended, { code: "PORT_IN_USE" });
  deepEqual([scene.printed, scene.handlers], [[], 0]);
  equal(scene.lines[0], "discarded");
  deepEqual(scene.told, ["end"]);
});

test("runner: a signal while it starts is a stop, not a failure", async () => {
  const scene = new Scene();
  scene.signal();
  scene.started.reject(new Error("stopped before it was started"));
  scene.stopped.resolve(report);
  equal(await scene.ended, 0);
  equal(scene.printed.length, 1);
});

test("runner: an ingest that gave up is a failure", async () => {
  const scene = await new Scene().runs();
  scene.stopped.reject(new HoldfastError("LOG_FAILED", "the disk is gone"));
  await rejects(scene.ended, { code: "LOG_FAILED" });
});
