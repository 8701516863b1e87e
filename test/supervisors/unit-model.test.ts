import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { inlineShells } from "../../src/actor/inline-shell.ts";
import { nactShells } from "../../src/actor/nact-shell.ts";
import type { ShellSystem } from "../../src/actor/shell.ts";
import type {
  Supervisor,
  UnitContext,
  UnitEvent,
  UnitRef,
  UnitSession,
} from "../../src/contract/unit.ts";
import { oneForOne, createSupervisor, withoutJitter } from "../../supervisors/index.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { manyRuns } from "../support/runs.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { foldEvents, told } from "./event-fold.ts";
import { type How, MAILBOX_MAX, type Message } from "./mail-model.ts";
import { type Seen, UnitModel } from "./unit-model.ts";
import { deciderOf, type Setting, TARGETS, TIMES } from "./unit-setting.ts";

/** Messages told in one turn, at most. */
const TOLD_MAX = 6;
type Command =
  | { readonly kind: "tell"; readonly hows: readonly How[] }
  | { readonly kind: "offer"; readonly how: How }
  | { readonly kind: "fail" | "stale" | "alive" | "restart" | "stop" }
  | { readonly kind: "watch" | "stop-target"; readonly target: number }
  | { readonly kind: "advance"; readonly ms: number };

/** The real unit, and what can be seen of it. */
class RealUnit {
  readonly clock = new VirtualClock();
  readonly #events: UnitEvent[] = [];
  readonly #log: string[] = [];
  readonly #accepted: number[] = [];
  readonly #refused: number[] = [];
  readonly #root: Supervisor;
  readonly #unit: UnitRef<Message>;
  readonly #targets: readonly UnitRef[];
  readonly #contexts: UnitContext[] = [];
  readonly #wasSetAside = new Set<number>();
  #escalated = 0;
  #opened = 0;
  #closed = 0;
  #handling = 0;

  constructor(setting: Setting, shells: ShellSystem) {
    const { withinMs, minMs, maxMs, resetAfterMs, handleDeadlineMs, closeDeadlineMs } = TIMES;
    const { maxRestarts, onExhausted, overflow } = setting;
    const backoff = withoutJitter({ minMs, maxMs, resetAfterMs });
    const decide = deciderOf(setting);
    this.#root = createSupervisor({
      name: "model",
      strategy: oneForOne({ maxRestarts, withinMs, decide, backoff, onExhausted }),
      clock: this.clock,
      random: createSeededRandom(1),
      shells,
      onEvent: (event) => void this.#events.push(event),
      onEscalated: () => void this.#escalated++,
    });
    const close = (): void => undefined;
    this.#targets = TARGETS.map((target) =>
      this.#root.start({ name: `target-${target}`, open: () => Promise.resolve({ close }) }),
    );
    this.#unit = this.#root.start<Message>({
      name: "unit",
      mailboxMax: MAILBOX_MAX,
      overflow,
      handleDeadlineMs,
      closeDeadlineMs,
      open: (context) => Promise.resolve(this.#open(context)),
    });
  }

  seen(): Seen {
    const { status, epoch, restarts, nextAttemptMs } = this.#unit.state();
    const events = this.#events.filter(({ unit }) => unit === "unit");
    return {
      status,
      epoch,
      restarts,
      nextAttemptMs,
      log: [...this.#log],
      dropped: events.flatMap((event) =>
        event.kind === "message-dropped"
          ? // Told by whoever was given them: these are the messages of this test.
            event.messages.map((message) => `${event.why} ${(message as Message).id}`)
          : [],
      ),
      accepted: [...this.#accepted],
      refused: [...this.#refused],
      parkedDelaysMs: events.flatMap((event) => (event.kind === "parked" ? [event.delayMs] : [])),
      escalated: this.#escalated,
    };
  }

  /** Invariant 24: the events alone tell where each unit stands. */
  checkEvents(): void {
    const events = this.#events.filter(({ unit }) => unit === "unit");
    deepEqual(foldEvents(events), told([this.#unit.state()]));
  }

  tell(message: Message): "ok" | "full" | "dropped" | "dead" {
    return this.#unit.tell(message);
  }

  offer(message: Message): void {
    this.#unit.offer(message).then(
      () => void this.#accepted.push(message.id),
      () => void this.#refused.push(message.id),
    );
  }

  fail(): void {
    if (this.#unit.state().status === "running") this.#newest()?.fail(new Error("external"));
  }

  /** What older incarnations do has no effect. */
  stale(): void {
    const before = this.#unit.state();
    const isOver = (context: UnitContext): boolean => context.signal.aborted;
    for (const context of this.#contexts.filter(isOver)) {
      context.fail(new Error("stale"));
      context.alive();
      context.unstashAll();
      context.stash();
      for (const target of this.#targets) context.watch(target);
    }
    deepEqual(this.#unit.state(), before);
  }

  alive(): void {
    this.#newest()?.alive();
  }

  restart(): void {
    this.#unit.restart();
  }

  stop(): void {
    void this.#unit.stop();
  }

  watch(target: number): void {
    const unit = this.#targets[target];
    if (unit !== undefined && this.#unit.state().status === "running") this.#newest()?.watch(unit);
  }

  stopTarget(target: number): void {
    void this.#targets[target]?.stop();
  }

  /** Ends everything and looks for what is left. */
  async end(): Promise<void> {
    const stopping = this.#root.stop();
    await this.clock.advance(100_000);
    await stopping;
    equal(this.#unit.state().status, "stopped");
    equal(this.#closed, this.#opened, "each session is closed once");
    equal(this.clock.timerCount, 0);
  }

  #newest(): UnitContext | undefined {
    return this.#contexts.at(-1);
  }

  #open(context: UnitContext): UnitSession<Message> {
    this.#contexts.push(context);
    this.#opened++;
    equal(this.#opened - this.#closed, 1, "one life at a time");
    return {
      handle: (message) => this.#handle(message, context),
      terminated: (path) => {
        equal(this.#handling, 0, "a signal beside a handler");
        this.#log.push(`end of ${path.slice("target-".length)}`);
      },
      close: () => void this.#closed++,
    };
  }

  #handle({ id, how }: Message, context: UnitContext): void | Promise<void> {
    equal(this.#handling, 0, "two handlers at once");
    ok(!context.signal.aborted, "a handler of an incarnation that is over");
    switch (how) {
      case "handle":
        return void this.#log.push(`${id}`);
      case "wait":
        return this.#wait(id, context);
      case "hang":
        return new Promise(() => undefined);
      case "throw":
        throw new RangeError("thrown");
      case "reject":
        return Promise.reject(new TypeError("rejected"));
      case "fail":
        this.#log.push(`${id}`);
        return context.fail(new TypeError("from within"));
      case "set-aside":
      case "set-aside-and-fail":
        if (this.#wasSetAside.has(id)) return void this.#log.push(`${id}`);
        context.stash();
        this.#wasSetAside.add(id);
        if (how === "set-aside-and-fail") context.fail(new TypeError("set aside"));
        return undefined;
      case "give-back":
        this.#log.push(`${id}`);
        return context.unstashAll();
    }
  }

  async #wait(id: number, { signal }: UnitContext): Promise<void> {
    this.#handling++;
    try {
      await this.clock.sleep(TIMES.waitMs, signal);
      this.#log.push(`${id}`);
    } finally {
      this.#handling--;
    }
  }
}

async function carryOut(
  command: Command,
  id: number,
  real: RealUnit,
  model: UnitModel,
): Promise<void> {
  switch (command.kind) {
    case "tell":
      for (const [index, each] of command.hows.entries()) {
        const message = { id: id * TOLD_MAX + index, how: each };
        equal(real.tell(message), model.tell(message));
      }
      break;
    case "offer":
      real.offer({ id: id * TOLD_MAX, how: command.how });
      model.offer({ id: id * TOLD_MAX, how: command.how });
      break;
    case "stale":
      real.stale();
      break;
    case "watch":
      real.watch(command.target);
      model.watch(command.target);
      break;
    case "stop-target":
      real.stopTarget(command.target);
      model.stopTarget(command.target);
      break;
    case "advance":
      model.advance(command.ms);
      await real.clock.advance(command.ms);
      break;
    case "fail":
    case "alive":
    case "restart":
    case "stop":
      real[command.kind]();
      model[command.kind]();
      break;
  }
  model.settle();
  await real.clock.advance(0);
}

async function play(
  setting: Setting,
  script: readonly Command[],
  shells: ShellSystem,
): Promise<void> {
  const real = new RealUnit(setting, shells);
  const model = new UnitModel(setting);
  await real.clock.settle();
  try {
    for (const [id, command] of script.entries()) {
      await carryOut(command, id, real, model);
      real.checkEvents();
      deepEqual(real.seen(), model.seen(), `after command ${id}, ${JSON.stringify(command)}`);
    }
  } finally {
    await real.end();
  }
}

const how = fc.constantFrom<How>(
  ...(["handle", "handle", "wait", "wait", "throw", "reject", "hang", "fail"] as const),
  ...([
    "set-aside",
    "set-aside",
    "set-aside",
    "set-aside-and-fail",
    "give-back",
    "give-back",
  ] as const),
);
const hows = fc.array(how, { minLength: 1, maxLength: TOLD_MAX });
const target = fc.constantFrom(...TARGETS);
const deed = fc.constantFrom<"fail" | "stale" | "alive" | "restart">(
  ...(["fail", "fail", "stale", "alive", "alive", "restart"] as const),
);
const script: fc.Arbitrary<readonly Command[]> = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: fc.record({ kind: fc.constant("tell" as const), hows }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("offer" as const), how }) },
    { weight: 6, arbitrary: fc.record({ kind: deed }) },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constantFrom("watch" as const, "watch", "stop-target"),
        target,
      }),
    },
    {
      weight: 10,
      arbitrary: fc.record({
        kind: fc.constant("advance" as const),
        ms: fc.constantFrom(1, 37, 113, 359, 1_511, 2_053, 7_019, 130_003, 400_009, 1_000_003),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("stop" as const) }) },
  ),
  { minLength: 5, maxLength: 60, size: "max" },
);
const setting: fc.Arbitrary<Setting> = fc.record({
  maxRestarts: fc.constantFrom(0, 1, 2, 3, Infinity),
  directive: fc.constantFrom(
    ...(["restart", "restart", "restart", "resume", "resume", "stop"] as const),
    ...(["escalate", "throw"] as const),
  ),
  onExhausted: fc.constantFrom("park", "park", "park", "park", "stop", "escalate"),
  overflow: fc.constantFrom("reject", "drop-oldest", "drop-newest"),
});

for (const [name, shells] of Object.entries({ inline: inlineShells, nact: nactShells }))
  test(`unit on ${name}: any commands lead where the model says, after each of them`, () =>
    fc.assert(
      fc.asyncProperty(setting, script, (given, commands) => play(given, commands, shells)),
      manyRuns,
    ));
