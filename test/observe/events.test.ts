import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnyEvent, Listener } from "../../src/contract/events.ts";
import { createEvents, type EventStream } from "../../src/observe/events.ts";
import { type Line, recordingLogger } from "./recording-logger.ts";
import { manualClock } from "./manual-clock.ts";

function stream(): { readonly events: EventStream; readonly lines: readonly Line[] } {
  const { logger, lines } = recordingLogger();
  return {
    events: createEvents({ clock: manualClock({ wallMs: 1_700_000_000_000 }), logger }),
    lines,
  };
}

const REPLAYED = { pipeline: "p", sink: "s", batchId: 7 };
const COMPLETED = {
  pipeline: "p",
  batchId: 1,
  recordCount: 3,
  schedulingDelayMs: 0,
  processingMs: 1,
};
const reports = (lines: readonly Line[]): readonly Line[] =>
  lines.filter(({ message }) => message.startsWith("a listener threw"));

test("events: a listener gets the event by its name and by onEvent, with kind and time", () => {
  const { events } = stream();
  const seen: [string, AnyEvent][] = [];
  events.addListener({
    onEvent: (event) => seen.push(["any", event]),
    onBatchCompleted: (event) => seen.push(["own", event]),
    onBatchFailed: () => assert.fail("another kind"),
  });
  events.emit("batch-completed", COMPLETED);
  const event = { ...COMPLETED, kind: "batch-completed", atMs: 1_700_000_000_000 };
  assert.deepEqual(seen, [
    ["any", event],
    ["own", event],
  ]);
});

test("events: a kind reaches the method of its name, and no other", () => {
  const { events } = stream();
  const error = new Error("broken");
  const seen: string[] = [];
  const hear = ({ kind }: { readonly kind: string }): void => void seen.push(kind);
  // `Required` makes the compiler name a kind that is missing here.
  const listener: Required<Omit<Listener, "onEvent">> = {
    onReceiverStarted: hear,
    onReceiverStopped: hear,
    onReceiverFailed: hear,
    onReceiverPaused: hear,
    onReceiverResumed: hear,
    onReceiverDropped: hear,
    onUnitFailed: hear,
    onUnitStarting: hear,
    onUnitStarted: hear,
    onUnitRestarted: hear,
    onUnitParked: hear,
    onUnitEscalated: hear,
    onUnitRecovered: hear,
    onUnitStopping: hear,
    onUnitStopped: hear,
    onUnitBackingOff: hear,
    onUnitLateResultIgnored: hear,
    onUnitMessageDropped: hear,
    onLogRecovered: hear,
    onLogFull: hear,
    onLogGap: hear,
    onSourceGap: hear,
    onLogQuarantined: hear,
    onLogFailed: hear,
    onLogReserved: hear,
    onLogUnsuitable: hear,
    onBatchPlanned: hear,
    onBatchStarted: hear,
    onBatchCompleted: hear,
    onBatchFailed: hear,
    onPipelineChanged: hear,
    onPipelineStarted: hear,
    onDeadLetter: hear,
    onSinkWritten: hear,
    onSinkReplayed: hear,
    onSinkConflict: hear,
    onPoolDown: hear,
    onPoolUp: hear,
    onPoolLeak: hear,
  };
  events.addListener(listener);
  events.emit("receiver-started", { receiver: "r", epoch: 1, address: undefined });
  events.emit("receiver-failed", {
    receiver: "r",
    epoch: 1,
    error,
    directive: "restart",
    restarts: 1,
    maxRestarts: 3,
  });
  events.emit("unit-stopped", { unit: "u", epoch: 1 });
  events.emit("log-quarantined", { file: "f", bytes: 1 });
  events.emit("dead-letter", { pipeline: "p", stage: "decode", error, offset: 9 });
  events.emit("sink-replayed", REPLAYED);
  assert.deepEqual(seen, [
    "receiver-started",
    "receiver-failed",
    "unit-stopped",
    "log-quarantined",
    "dead-letter",
    "sink-replayed",
  ]);
});

test("events: a throwing listener is reported once, stays, and disturbs nobody", () => {
  const { events, lines } = stream();
  let calls = 0;
  let others = 0;
  events.addListener({
    onBatchCompleted: () => {
      calls++;
      throw new RangeError("mine");
    },
    onSinkReplayed: () => {
      throw new Error("again");
    },
  });
  events.addListener({ onBatchCompleted: () => void others++ });
  for (let round = 0; round < 3; round++) events.emit("batch-completed", COMPLETED);
  events.emit("sink-replayed", REPLAYED);
  assert.deepEqual([calls, others], [3, 3]);
  assert.equal(reports(lines).length, 1);
  assert.equal(reports(lines)[0]?.fields["method"], "onBatchCompleted");
});

test("events: a second broken listener is reported too", () => {
  const { events, lines } = stream();
  const broken = (): never => {
    throw new Error("broken");
  };
  events.addListener({ onEvent: broken });
  events.addListener({ onEvent: broken });
  events.emit("sink-replayed", REPLAYED);
  events.emit("sink-replayed", REPLAYED);
  assert.equal(reports(lines).length, 2);
});

test("events: the rejection of an async listener is reported and does not get out", async () => {
  const { events, lines } = stream();
  events.addListener({ onEvent: () => Promise.reject(new Error("later")) });
  events.emit("sink-replayed", REPLAYED);
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(reports(lines).length, 1);
});

test("events: a listener that is disposed of hears no more, and may be disposed of twice", () => {
  const { events } = stream();
  let heard = 0;
  const subscription = events.addListener({ onEvent: () => void heard++ });
  events.emit("sink-replayed", REPLAYED);
  subscription[Symbol.dispose]();
  subscription[Symbol.dispose]();
  events.emit("sink-replayed", REPLAYED);
  assert.equal(heard, 1);
});

test("events: the same listener added twice hears twice, and ends one at a time", () => {
  const { events } = stream();
  let heard = 0;
  const listener: Listener = { onEvent: () => void heard++ };
  const first = events.addListener(listener);
  events.addListener(listener);
  events.emit("sink-replayed", REPLAYED);
  assert.equal(heard, 2);
  first[Symbol.dispose]();
  events.emit("sink-replayed", REPLAYED);
  assert.equal(heard, 3);
});

test("events: a listener may add and remove listeners; the running round is not changed by it", () => {
  const { events } = stream();
  const order: string[] = [];
  const own = events.addListener({
    onEvent: () => {
      order.push("first");
      own[Symbol.dispose]();
      events.addListener({ onEvent: () => void order.push("added") });
    },
  });
  events.addListener({ onEvent: () => void order.push("second") });
  events.emit("sink-replayed", REPLAYED);
  assert.deepEqual(order, ["first", "second"]);
  events.emit("sink-replayed", REPLAYED);
  assert.deepEqual(order, ["first", "second", "second", "added"]);
});

test("events: an event cannot be changed by a listener", () => {
  const { events, lines } = stream();
  const seen: number[] = [];
  events.addListener({ onSinkReplayed: (event) => void Reflect.set(event, "batchId", 0) });
  events.addListener({ onSinkReplayed: (event) => void seen.push(event.batchId) });
  events.emit("sink-replayed", REPLAYED);
  assert.deepEqual(seen, [7]);
  assert.equal(reports(lines).length, 0);
});
