import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { inlineShells } from "../../src/actor/inline-shell.ts";
import { nactShells } from "../../src/actor/nact-shell.ts";
import type { ShellSystem } from "../../src/actor/shell.ts";
import type {
  Directive,
  OnExhausted,
  Supervisor,
  UnitContext,
  UnitEvent,
  UnitRef,
  UnitSession,
} from "../../src/contract/unit.ts";
import { createSupervisor } from "../../supervisors/index.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { manyRuns } from "../support/runs.ts";
import { strategy, type TimedEvent } from "../support/supervised.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { deciderOf } from "./unit-setting.ts";

type How = "handle" | "wait" | "throw" | "reject" | "hang" | "fail";
interface Message {
  readonly id: number;
  readonly how: How;
}
type Command =
  | { readonly kind: "tell"; readonly unit: number; readonly how: How }
  | { readonly kind: "fail" | "stale" | "restart" | "stop"; readonly unit: number }
  | { readonly kind: "advance"; readonly ms: number };

interface Setting {
  readonly maxRestarts: number;
  readonly directive: Directive | "throw";
  readonly onExhausted: OnExhausted;
  readonly isBroken: boolean;
}

const WITHIN_MS = 2_000;
const MAILBOX_MAX = 4;
const NAMES = ["a", "b"] as const;
/** Doubling from 100 ms to a second, as the strategy of the tests says. */
const DELAYS_MS = [100, 200, 400, 800, 1_000];

/** What befell one unit, from its own side. */
class Life {
  readonly contexts: UnitContext[] = [];
  readonly handled: number[] = [];
  accepted = 0;
  opened = 0;
  closed = 0;
  inFlight = 0;
  stops = 0;

  readonly name: string;
  readonly #clock: VirtualClock;
  readonly #stopped: string[];

  constructor(name: string, clock: VirtualClock, stopped: string[]) {
    this.name = name;
    this.#clock = clock;
    this.#stopped = stopped;
  }

  open(context: UnitContext): Promise<UnitSession<Message>> {
    this.contexts.push(context);
    this.opened++;
    ok(this.opened - this.closed === 1, `${this.name}: ${this.opened - this.closed} lives at once`);
    return Promise.resolve({
      handle: (message) => this.handle(message, context),
      close: () => {
        this.closed++;
        this.#stopped.push(this.name);
      },
    });
  }

  handle({ id, how }: Message, context: UnitContext): void | Promise<void> {
    equal(this.inFlight, 0, `${this.name}: two handlers at once`);
    ok(!context.signal.aborted, `${this.name}: epoch ${context.epoch} handles after its end`);
    switch (how) {
      case "handle":
        return void this.handled.push(id);
      case "wait":
        return this.#wait(id, context);
      case "throw":
        throw new RangeError("thrown");
      case "reject":
        return Promise.reject(new TypeError("rejected"));
      case "hang":
        return new Promise(() => undefined);
      case "fail":
        context.fail(new TypeError("from within"));
        return void this.handled.push(id);
    }
  }

  async #wait(id: number, { signal }: UnitContext): Promise<void> {
    this.inFlight++;
    try {
      await this.#clock.sleep(50, signal);
      this.handled.push(id);
    } finally {
      this.inFlight--;
    }
  }
}

class Play {
  readonly clock = new VirtualClock();
  readonly events: TimedEvent[] = [];
  readonly stopped: string[] = [];
  readonly lives: readonly Life[] = NAMES.map((name) => new Life(name, this.clock, this.stopped));
  readonly root: Supervisor;
  readonly units: readonly UnitRef<Message>[];
  readonly setting: Setting;
  #nextId = 0;

  constructor(setting: Setting, shells: ShellSystem) {
    this.setting = setting;
    const { maxRestarts, onExhausted } = setting;
    this.root = createSupervisor({
      name: "play",
      strategy: strategy({
        maxRestarts,
        withinMs: WITHIN_MS,
        onExhausted,
        decide: deciderOf(setting),
      }),
      clock: this.clock,
      random: createSeededRandom(1),
      shells,
      onEvent: (event) => this.#note(event),
    });
    this.units = this.lives.map((life) =>
      this.root.start<Message>({
        name: life.name,
        mailboxMax: MAILBOX_MAX,
        handleDeadlineMs: 300,
        closeDeadlineMs: 200,
        open: (context) => life.open(context),
      }),
    );
  }

  #note(event: UnitEvent): void {
    this.events.push({ ...event, atMs: this.clock.monotonicMs() });
    if (this.setting.isBroken) throw new Error("a listener that throws");
  }

  async carryOut(command: Command): Promise<void> {
    if (command.kind === "advance") return await this.clock.advance(command.ms);
    const unit = this.units[command.unit];
    const life = this.lives[command.unit];
    if (unit === undefined || life === undefined) throw new Error("no such unit");
    switch (command.kind) {
      case "tell":
        if (unit.tell({ id: this.#nextId++, how: command.how }) === "ok") life.accepted++;
        return;
      case "fail":
        return life.contexts.at(-1)?.fail(new Error("external"));
      case "stale":
        return this.#failStale(unit, life);
      case "restart":
        return unit.restart();
      case "stop":
        life.stops++;
        return void unit.stop();
    }
  }

  #failStale(unit: UnitRef<Message>, life: Life): void {
    const before = unit.state();
    for (const context of life.contexts.slice(0, -1)) context.fail(new Error("stale"));
    deepEqual(unit.state(), before);
  }

  of(life: Life): readonly TimedEvent[] {
    return this.events.filter(({ unit }) => unit === life.name);
  }
}

/** A wait after a failure: a restart by hand has none. */
function isWait(event: TimedEvent): event is TimedEvent & { readonly kind: "backing-off" } {
  return event.kind === "backing-off" && event.delayMs > 0;
}

/** Restarts that were granted lie apart as the window says. A hand that starts a parked unit empties it. */
function checkWindow(events: readonly TimedEvent[], maxRestarts: number): void {
  let grantedMs: number[] = [];
  let failedMs = 0;
  for (const event of events) {
    if (event.kind === "parked") grantedMs = [];
    if (event.kind === "failed") failedMs = event.atMs;
    if (event.kind === "failed") ok(event.restarts <= event.maxRestarts);
    if (isWait(event)) grantedMs.push(failedMs);
    for (const [index, firstMs] of grantedMs.entries()) {
      const lastMs = grantedMs[index + maxRestarts];
      ok(lastMs === undefined || lastMs - firstMs >= WITHIN_MS, `${maxRestarts + 1} in the window`);
    }
  }
}

/** Each delay is that of a later attempt than the one before, until the unit was healthy or parked. */
function checkDelays(events: readonly TimedEvent[]): void {
  let attempt = 0;
  for (const event of events) {
    if (event.kind === "recovered" || event.kind === "parked") attempt = 0;
    if (!isWait(event)) continue;
    const reached = DELAYS_MS.indexOf(event.delayMs);
    ok(
      reached >= Math.min(attempt, DELAYS_MS.length - 1),
      `${event.delayMs} ms, attempt ${attempt}`,
    );
    attempt = reached + 1;
  }
}

function checkLife(play: Play, life: Life): void {
  const events = play.of(life);
  const dropped = events.reduce(
    (sum, event) => sum + (event.kind === "message-dropped" ? event.count : 0),
    0,
  );
  equal(life.handled.length + dropped, life.accepted, `${life.name}: messages got lost`);
  deepEqual(
    life.handled,
    [...new Set(life.handled)].toSorted((left, right) => left - right),
  );
  equal(life.closed, life.opened, `${life.name}: each life is closed once`);
  const kinds = events.map(({ kind }) => kind);
  equal(kinds.lastIndexOf("stopped"), kinds.indexOf("stopped"));
  ok(kinds.lastIndexOf("started") < kinds.indexOf("stopped"));
  checkWindow(events, play.setting.maxRestarts);
  checkDelays(events);
}

async function checkPlay(
  setting: Setting,
  script: readonly Command[],
  shells: ShellSystem,
): Promise<void> {
  const play = new Play(setting, shells);
  await play.clock.settle();
  for (const command of script) await play.carryOut(command);
  for (const unit of play.units) ok(unit.state().restarts <= setting.maxRestarts);
  const areRunning = play.units.every((each) => each.state().status === "running");
  const eventCount = play.events.length;
  play.stopped.length = 0;
  const stopping = play.root.stop();
  await play.clock.advance(60_000);
  await stopping;
  deepEqual(
    play.units.map((each) => each.state().status),
    ["stopped", "stopped"],
  );
  // One that fails or was stopped by hand does not wait for its turn.
  const isInTurn =
    play.lives.every(({ stops }) => stops === 0) &&
    play.events.slice(eventCount).every(({ kind }) => kind !== "failed");
  if (areRunning && isInTurn) deepEqual(play.stopped, ["b", "a"]);
  for (const life of play.lives) checkLife(play, life);
  equal(play.clock.timerCount, 0);
}

const unit = fc.integer({ min: 0, max: 1 });
const how = fc.constantFrom<How>("handle", "handle", "wait", "throw", "reject", "hang", "fail");
const deed = fc.constantFrom<"fail" | "stale" | "restart" | "stop">(
  ...(["fail", "fail", "fail", "stale", "stale", "restart", "restart", "stop"] as const),
);
const script = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("tell" as const), unit, how }) },
    { weight: 3, arbitrary: fc.record({ kind: deed, unit }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("advance" as const),
        ms: fc.constantFrom(0, 30, 110, 350, 1_500, 7_000),
      }),
    },
  ),
  { maxLength: 60 },
);
const setting: fc.Arbitrary<Setting> = fc.record({
  maxRestarts: fc.constantFrom(0, 1, 2, 3, Infinity),
  directive: fc.constantFrom<Directive | "throw">(
    ...(["restart", "restart", "resume", "stop", "escalate", "throw"] as const),
  ),
  onExhausted: fc.constantFrom<OnExhausted>("park", "stop", "escalate"),
  isBroken: fc.boolean(),
});

for (const [name, shells] of [
  ["inline", inlineShells],
  ["nact", nactShells],
] as const)
  test(`supervisor on ${name}: random commands keep order, window, one life, one handler, and lose nothing`, () =>
    fc.assert(
      fc.asyncProperty(setting, script, (given, commands) => checkPlay(given, commands, shells)),
      manyRuns,
    ));
