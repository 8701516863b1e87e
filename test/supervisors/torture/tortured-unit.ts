/** A unit that fails in every way there is, and notes what befell it. */
import { deepEqual, equal, ok } from "node:assert/strict";
import type {
  Overflow,
  UnitContext,
  UnitDefinition,
  UnitEvent,
  UnitRef,
  UnitSession,
} from "../../../src/contract/unit.ts";
import type { Clock } from "../../../src/host/clock.ts";
import type { Chaos } from "./chaos.ts";

/** What a unit of the tree may do to others from inside. */
export interface Neighbours {
  readonly chaos: Chaos;
  readonly clock: Clock;
  /** A unit somewhere in the tree. */
  any(): TorturedUnit;
  /** What no unit may ever see: the run fails with it. */
  violated(error: unknown): void;
}

/** What a unit is like for all its lives. */
interface Nature {
  readonly overflow: Overflow;
  /** It sets messages aside and is offered some, so they do not come in the order of their numbers. */
  readonly stashes: boolean;
  readonly isGuarded: boolean;
}

/** How often each step goes wrong. A run with these keeps most of its units alive. */
const ODDS = {
  open: 0.08,
  openHangs: 0.01,
  run: 0.01,
  watches: 0.1,
  silent: 0.1,
  timer: 0.02,
  lateTimer: 0.02,
  handle: 0.02,
  handleHangs: 0.003,
  handleFails: 0.01,
  waits: 0.05,
  talks: 0.1,
  stashes: 0.1,
  unstashes: 0.2,
  resumed: 0.1,
  terminated: 0.2,
  close: 0.05,
  closeHangs: 0.02,
  fence: 0.05,
  fenceHangs: 0.005,
  own: 0.002,
} as const;

/** Silence that a guarded unit may keep, and how often it gives a sign of life. */
const ALIVE_WITHIN_MS = 400;
const SIGN_EVERY_MS = 100;

/** See the file's head. */
export class TorturedUnit {
  readonly name: string;
  readonly #near: Neighbours;
  readonly #nature: Nature;
  ref: UnitRef<number> | undefined;
  /** Its last two contexts: an old one is failed on purpose. */
  contexts: readonly UnitContext[] = [];
  opened = 0;
  closed = 0;
  accepted = 0;
  dropped = 0;
  /** The epoch that the last fence let in; at first that is 1, which needs none. */
  fencedEpoch = 1;
  /** Sessions of incarnations that were not over when they opened. */
  #unclosed = 0;
  readonly #handledIds = new Set<number>();
  #lastId = -1;
  #nextId = 0;
  /** Of the incarnation that handles now. */
  #handling: AbortSignal | undefined;
  /** Whom the newest incarnation watches, and whether it was told. */
  #watched = new Map<string, { readonly unit: TorturedUnit; isTold: boolean }>();

  constructor(name: string, near: Neighbours) {
    const { random } = near.chaos;
    this.name = name;
    this.#near = near;
    this.#nature = {
      overflow: random.pick(["reject", "reject", "drop-oldest", "drop-newest"]),
      stashes: random.chance(0.2),
      isGuarded: random.chance(0.02),
    };
  }

  definition(): UnitDefinition<number> {
    return {
      name: this.name,
      openDeadlineMs: 500,
      handleDeadlineMs: 300,
      closeDeadlineMs: 200,
      mailboxMax: 32,
      overflow: this.#nature.overflow,
      ...(this.#nature.isGuarded ? { aliveWithinMs: ALIVE_WITHIN_MS } : {}),
      open: (context) => this.#check(() => this.#open(context)),
      fence: (nextEpoch) => this.#check(() => this.#fence(nextEpoch)),
    };
  }

  get handled(): number {
    return this.#handledIds.size;
  }

  tell(): void {
    const { chaos } = this.#near;
    const id = this.#nextId++;
    if (this.#nature.stashes && chaos.strikes("is offered", 0.2)) return void this.#offer(id);
    const answer = this.ref?.tell(id);
    // One that finds no room and is dropped is told as an event like those that were accepted.
    if (answer === "ok" || answer === "dropped") this.accepted++;
  }

  note(event: UnitEvent): void {
    if (event.kind === "message-dropped") this.dropped += event.count;
  }

  /** Fails an incarnation that is over: nothing may come of it. */
  failStale(): void {
    const before = this.ref?.state();
    for (const { signal, fail } of this.contexts)
      if (signal.aborted) fail(this.#near.chaos.cause());
    this.#check(() => deepEqual(this.ref?.state(), before));
  }

  /** Every message it accepted has met its end, unless it may have set some aside. */
  get isSettled(): boolean {
    return this.#nature.stashes || this.handled + this.dropped === this.accepted;
  }

  /** Names of units that have stopped without this one having heard of it. */
  unheard(): readonly string[] {
    if (this.ref?.state().status !== "running") return [];
    return [...this.#watched].flatMap(([path, { unit, isTold }]) =>
      unit.ref?.state().status === "stopped" && !isTold ? [path] : [],
    );
  }

  async #offer(id: number): Promise<void> {
    const { chaos } = this.#near;
    const impatient = new AbortController();
    if (chaos.random.chance(0.5)) void chaos.pause(500).then(() => impatient.abort());
    try {
      await this.ref?.offer(id, impatient.signal);
      this.accepted++;
    } catch {
      // Refused: it is the sender's again.
    }
  }

  /** An assertion that fails in here would be one more failure of the unit: it is kept for the end. */
  #check<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      if (error instanceof Error && error.name === "AssertionError") this.#near.violated(error);
      throw error;
    }
  }

  #fence(nextEpoch: number): Promise<void> {
    equal(nextEpoch, this.fencedEpoch + 1, `${this.name}: each epoch is fenced once`);
    this.fencedEpoch = nextEpoch;
    const { chaos } = this.#near;
    if (chaos.strikes("fence throws", ODDS.fence)) chaos.throw();
    if (chaos.strikes("fence rejects", ODDS.fence)) return chaos.reject();
    if (chaos.strikes("fence is slow", ODDS.fenceHangs)) return chaos.pause(5_000);
    return Promise.resolve();
  }

  // A life

  #open(context: UnitContext): Promise<UnitSession<number>> {
    for (const old of this.contexts)
      ok(old.signal.aborted, `${context.path}: epoch ${old.epoch} lives beside ${context.epoch}`);
    equal(this.fencedEpoch, context.epoch, `${context.path}: opened and not fenced`);
    equal(this.#unclosed, 0, `${context.path}: opened beside a session that was not closed`);
    this.contexts = [...this.contexts.slice(-1), context];
    this.#watched = new Map();
    const { chaos } = this.#near;
    if (chaos.strikes("open throws", ODDS.open / 2)) chaos.throw();
    if (chaos.strikes("open rejects", ODDS.open / 2)) return chaos.reject();
    return this.#openSlowly(context);
  }

  async #openSlowly(context: UnitContext): Promise<UnitSession<number>> {
    const { chaos, clock } = this.#near;
    if (chaos.strikes("open hangs", ODDS.openHangs)) await chaos.hang(context.signal);
    this.opened++;
    this.#setTimers(context);
    if (chaos.strikes("watches", ODDS.watches)) this.#watch(context);
    const session = this.#session(context);
    if (this.#nature.isGuarded) return { ...session, run: () => this.#showLife(context) };
    if (!chaos.strikes("run fails", ODDS.run)) return session;
    return { ...session, run: () => clock.sleep(300, context.signal).then(() => chaos.throw()) };
  }

  #session(context: UnitContext): UnitSession<number> {
    const { chaos } = this.#near;
    const isInTime = !context.signal.aborted;
    if (isInTime) this.#unclosed++;
    let isClosed = false;
    return {
      handle: (id) => this.#check(() => this.#handle(id, context)),
      resumed: () => {
        if (chaos.strikes("resumed throws", ODDS.resumed)) chaos.throw();
      },
      terminated: (path) => this.#check(() => this.#terminated(path, context)),
      close: (signal) =>
        this.#check(() => {
          equal(isClosed, false, `${context.path}: epoch ${context.epoch} is closed twice`);
          isClosed = true;
          this.closed++;
          if (isInTime) this.#unclosed--;
          return this.#close(signal);
        }),
    };
  }

  #setTimers({ signal, fail, alive }: UnitContext): void {
    const { chaos, clock } = this.#near;
    alive();
    if (chaos.strikes("a timer fails", ODDS.timer)) {
      const cancel = clock.after(chaos.random.integer(1, 2_000), () => fail(chaos.cause()));
      signal.addEventListener("abort", cancel, { once: true });
    }
    // It forgets to cancel this one: it fires in another life.
    if (chaos.strikes("a timer is late", ODDS.lateTimer))
      clock.after(chaos.random.integer(1, 2_000), () => {
        if (signal.aborted) fail(chaos.cause());
      });
  }

  /** Signs of life, until it falls silent or has nothing left to do. */
  async #showLife({ signal, alive }: UnitContext): Promise<void> {
    const { chaos, clock } = this.#near;
    while (!chaos.isCalm) {
      await clock.sleep(SIGN_EVERY_MS, signal);
      if (chaos.strikes("unit is silent", ODDS.silent)) await clock.sleep(1_000, signal);
      alive();
    }
  }

  #watch(context: UnitContext): void {
    const unit = this.#near.any();
    if (unit === this || unit.ref === undefined) return;
    this.#watched.set(unit.ref.path, { unit, isTold: false });
    context.watch(unit.ref);
  }

  #terminated(path: string, { signal }: UnitContext): void {
    const { chaos } = this.#near;
    const watch = this.#watched.get(path);
    ok(watch?.isTold === false, `${this.name}: told of ${path}, watched ${watch !== undefined}`);
    ok(!signal.aborted, `${this.name}: told after its end`);
    equal(watch.unit.ref?.state().status, "stopped", `${this.name}: told of ${path}`);
    watch.isTold = true;
    if (chaos.strikes("terminated throws", ODDS.terminated)) chaos.throw();
  }

  #close(signal: AbortSignal): Promise<void> | void {
    const { chaos } = this.#near;
    if (chaos.strikes("close throws", ODDS.close)) chaos.throw();
    if (chaos.strikes("close rejects", ODDS.close)) return chaos.reject();
    if (chaos.strikes("close hangs", ODDS.closeHangs)) return chaos.hang(signal);
  }

  // Messages

  #handle(id: number, context: UnitContext): Promise<void> | void {
    const { path, epoch, signal, fail } = context;
    ok(!signal.aborted, `${path}: epoch ${epoch} handles after its end`);
    ok(this.#handling === undefined || this.#handling.aborted, `${path}: two handlers at once`);
    ok(!this.#handledIds.has(id), `${path}: ${id} is handled twice`);
    ok(this.#nature.stashes || id > this.#lastId, `${path}: ${id} comes after ${this.#lastId}`);
    this.#lastId = id;
    if (this.#near.chaos.strikes("handler talks", ODDS.talks)) this.#near.any().tell();
    const waiting = this.#takesTime(context);
    if (waiting !== undefined) return this.#noting(id, waiting, signal);
    this.#atOnce(fail);
    if (this.#nature.stashes && this.#setsAside(context)) return;
    this.#handledIds.add(id);
  }

  #setsAside({ stash, unstashAll }: UnitContext): boolean {
    const { chaos } = this.#near;
    if (chaos.strikes("handler stashes", ODDS.stashes)) {
      stash();
      return true;
    }
    if (chaos.isCalm || chaos.strikes("handler unstashes", ODDS.unstashes)) unstashAll();
    return false;
  }

  #atOnce(fail: (cause: unknown) => void): void {
    const { chaos } = this.#near;
    if (chaos.strikes("handler throws", ODDS.handle)) chaos.throw();
    if (chaos.strikes("unit fails inside", ODDS.handleFails)) fail(chaos.cause());
    if (chaos.strikes("unit restarts itself", ODDS.own)) this.ref?.restart();
    if (chaos.strikes("unit stops itself", ODDS.own / 4)) void this.ref?.stop();
  }

  #takesTime({ signal }: UnitContext): Promise<void> | undefined {
    const { chaos } = this.#near;
    if (chaos.strikes("handler rejects", ODDS.handle)) return chaos.reject();
    if (chaos.strikes("handler hangs", ODDS.handleHangs)) return chaos.hang(signal);
    return chaos.strikes("handler waits", ODDS.waits) ? chaos.pause(50) : undefined;
  }

  /** Handled when it ends in time; what ends later, or with an error, its owner has counted as dropped. */
  #noting(id: number, waiting: Promise<void>, signal: AbortSignal): Promise<void> {
    this.#handling = signal;
    const ended = (isHandled: boolean): void => {
      if (isHandled && !signal.aborted) this.#handledIds.add(id);
      if (this.#handling === signal) this.#handling = undefined;
    };
    // Asked for before the owner does, so that nothing comes between this and what it sees.
    waiting.then(
      () => ended(true),
      () => ended(false),
    );
    return waiting;
  }
}
