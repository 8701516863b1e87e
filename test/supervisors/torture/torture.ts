/**
 * The counterpart of Pekko's SupervisorHierarchySpec: a large random tree in which everything fails at once, then calm,
 * and then nothing may be wedged, leaked or doubled.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { ShellSystem } from "../../../src/actor/shell.ts";
import type { Supervisor, UnitEvent } from "../../../src/contract/unit.ts";
import { codeOf } from "../../../src/errors.ts";
import { createSeededRandom } from "../../../src/testing/seeded-random.ts";
import { createSupervisor, oneForOne, withoutJitter } from "../../../supervisors/index.ts";
import { Chaos } from "./chaos.ts";
import { CoarseClock } from "./coarse-clock.ts";
import { CountedShells } from "./counted-shells.ts";
import { Forest } from "./forest.ts";
import type { TorturedUnit } from "./tortured-unit.ts";

/** What to torture, and for how long. */
export interface TortureOptions {
  readonly seed: number;
  readonly unitCount: number;
  /** Each of commands to one unit in five, and of up to half a second. */
  readonly rounds: number;
  readonly shells: ShellSystem;
  /** `calm`: all must serve again before it stops. `at-once`: it stops while everything fails. */
  readonly end: "calm" | "at-once";
}

/** What happened. */
export interface TortureReport {
  readonly units: number;
  readonly groups: number;
  readonly messages: number;
  readonly lives: number;
  /** By kind. */
  readonly blows: ReadonlyMap<string, number>;
  /** After the torture, before a hand started those that were parked, or the tree was stopped. */
  readonly standing: Readonly<Record<string, number>>;
}

/** Virtual time after which nothing of the torture goes on: closes that hang, one after the other, in a large group. */
const CALM_MS = 1_200_000;
/** More than a mailbox holds, and how often. */
const BURST = 50;
const BURSTS = 0.02;
/** The longest that something of a tortured unit takes. */
const LATE_MS = 10_000;
/** A stop of a calm tree takes no time, and a few turns for each unit. */
const STOP_TURNS_MAX = 100_000;
/** Between the telling of a message and its end, when all is calm. */
const SERVING_MS = 1_000;

/** Runs one torture. Fails with the first thing that is wrong, and the seed. */
export async function torture(options: TortureOptions): Promise<TortureReport> {
  const run = new Torture(options);
  try {
    return await run.run();
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`seed ${options.seed}, ${options.unitCount} units: ${text}`, { cause });
  }
}

class Torture {
  readonly #options: TortureOptions;
  readonly #clock = new CoarseClock();
  readonly #shells: CountedShells;
  readonly #chaos: Chaos;
  readonly #root: Supervisor;
  readonly #forest: Forest;
  readonly #violations: unknown[] = [];
  /** Once the tree has stopped. */
  #notStopped: readonly string[] | undefined;

  constructor(options: TortureOptions) {
    this.#options = options;
    this.#shells = new CountedShells(options.shells);
    const clock = this.#clock;
    const random = createSeededRandom(options.seed);
    const chaos = new Chaos(random, clock);
    this.#chaos = chaos;
    const backoff = withoutJitter({ minMs: 10, maxMs: 100, resetAfterMs: 100 });
    this.#root = createSupervisor({
      name: "torture",
      strategy: oneForOne({ maxRestarts: Infinity, withinMs: 1_000, backoff }),
      clock,
      random,
      shells: this.#shells.system,
      onEvent: (event) => this.#heard(event),
      onEscalated: () => {
        if (chaos.strikes("listener throws", 0.5)) chaos.throw();
      },
    });
    this.#forest = new Forest(this.#root, {
      chaos,
      clock,
      any: () => random.pick(this.#forest.units),
      violated: (error) => void this.#violations.push(error),
    });
  }

  async run(): Promise<TortureReport> {
    this.#forest.grow(this.#options.unitCount);
    for (let round = 0; round < this.#options.rounds; round++) {
      this.#commands();
      await this.#clock.advance(this.#chaos.random.integer(10, 500));
    }
    if (this.#options.end === "calm") await this.#calm();
    const standing = this.#standing();
    await (this.#options.end === "calm" ? this.#stopCalm() : this.#stopAtOnce());
    this.#checkEnd();
    return {
      units: this.#forest.units.length,
      groups: this.#forest.groupCount,
      messages: sum(this.#forest.units, ({ accepted }) => accepted),
      lives: sum(this.#forest.units, ({ opened }) => opened),
      blows: this.#chaos.blows,
      standing,
    };
  }

  // Torture

  #heard(event: UnitEvent): void {
    const unit = this.#forest.byPath.get(event.unit);
    unit?.note(event);
    const chaos = this.#chaos;
    if (chaos.strikes("listener restarts", 0.002)) unit?.ref?.restart();
    if (chaos.strikes("listener stops", 0.0002)) void unit?.ref?.stop();
    if (chaos.strikes("listener throws", 0.05)) chaos.throw();
  }

  #commands(): void {
    const { random } = this.#chaos;
    const { units } = this.#forest;
    for (let count = Math.ceil(units.length / 5); count > 0; count--) {
      const unit = random.pick(units);
      const messages = random.chance(BURSTS) ? BURST : random.integer(1, 3);
      for (let more = messages; more > 0; more--) unit.tell();
      if (random.chance(0.1)) this.#interfere(unit);
    }
    if (random.chance(0.5)) this.#plant();
  }

  #interfere(unit: TorturedUnit): void {
    const { ref, contexts } = unit;
    const chaos = this.#chaos;
    const { random } = chaos;
    if (random.chance(0.4)) contexts.at(-1)?.fail(chaos.cause());
    if (random.chance(0.4)) unit.failStale();
    if (random.chance(0.2) || ref?.state().status === "parked") ref?.restart();
    if (random.chance(0.002)) void ref?.stop();
  }

  #plant(): void {
    try {
      this.#forest.plant();
    } catch (error) {
      equal(codeOf(error), "UNIT_STOPPED");
    }
  }

  // Calm

  async #calm(): Promise<void> {
    this.#chaos.calm();
    await this.#clock.advance(CALM_MS);
  }

  #standing(): Readonly<Record<string, number>> {
    const standing: Record<string, number> = {};
    for (const { status } of this.#root.states()) standing[status] = (standing[status] ?? 0) + 1;
    return standing;
  }

  async #checkServing(): Promise<void> {
    await this.#serve();
    for (const { ref } of this.#forest.units) if (ref?.state().status === "parked") ref.restart();
    await this.#clock.advance(SERVING_MS);
    await this.#serve();
  }

  /** Each unit runs, is parked or stopped; the running ones handle what they are told, the others refuse. */
  async #serve(): Promise<void> {
    const told: { readonly unit: TorturedUnit; readonly handled: number }[] = [];
    for (const unit of this.#forest.units) {
      ok(unit.isSettled, `${unit.name} has messages that nobody takes`);
      const { status } = unit.ref?.state() ?? { status: "none" };
      ok(["running", "parked", "stopped"].includes(status), `${unit.name} is ${status}`);
      const { accepted, handled } = unit;
      unit.tell();
      equal(unit.accepted - accepted, Number(status === "running"), `${unit.name} is ${status}`);
      if (status === "running") told.push({ unit, handled });
    }
    await this.#clock.advance(SERVING_MS);
    for (const { unit, handled } of told) {
      // And what it had set aside before.
      ok(unit.handled > handled, `${unit.name} is wedged`);
      deepEqual(unit.unheard(), [], `${unit.name} was not told of a stop`);
    }
  }

  #stop(): void {
    void this.#root.stop().then(({ notStopped }) => (this.#notStopped = notStopped));
  }

  async #stopCalm(): Promise<void> {
    await this.#checkServing();
    const { living } = this.#shells;
    ok(living <= this.#forest.units.length, `${living} shells`);
    this.#stop();
    for (let turn = 0; this.#notStopped === undefined && turn < STOP_TURNS_MAX; turn++)
      await this.#clock.settle();
    // In no time: whatever still waits would be left over in a process that has to go.
    deepEqual(this.#notStopped, []);
  }

  async #stopAtOnce(): Promise<void> {
    this.#stop();
    for (let ms = 0; this.#notStopped === undefined && ms < CALM_MS; ms += LATE_MS)
      await this.#clock.advance(LATE_MS);
    this.#chaos.calm();
    // What hung has ended by then; only what should have been cancelled is longer.
    await this.#clock.advance(LATE_MS);
    deepEqual(await this.#root.stop(), { notStopped: [] });
  }

  #checkEnd(): void {
    deepEqual(Object.keys(this.#standing()), ["stopped"]);
    equal(this.#clock.timerCount, 0, "timers are left");
    equal(this.#shells.living, 0, "shells are left");
    for (const unit of this.#forest.units) checkAccounts(unit);
    deepEqual(this.#violations, []);
  }
}

function checkAccounts(unit: TorturedUnit): void {
  const { name, ref, opened, closed, accepted, handled, dropped, fencedEpoch } = unit;
  equal(closed, opened, `${name}: ${opened} sessions opened, ${closed} closed`);
  equal(handled + dropped, accepted, `${name}: ${handled} handled, ${dropped} dropped`);
  equal(fencedEpoch, (ref?.state().epoch ?? 0) + 1, `${name}: an epoch was not fenced`);
}

function sum(units: readonly TorturedUnit[], of: (unit: TorturedUnit) => number): number {
  return units.reduce((total, unit) => total + of(unit), 0);
}
