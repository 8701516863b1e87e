/**
 * One life of a unit: open, handle what is queued, run, close. It decides nothing; it reports what happened and does
 * what its supervisor says.
 *
 * It ends in one of two ways. A failed one is ended first (`end`: nothing it does has an effect any more) and closed
 * then. One that is stopped is closed first, so that it can finish and flush, and ended then.
 */
import assert from "node:assert";
import type { DropReason, UnitDefinition, UnitSession } from "../contract/unit.ts";
import { HoldfastError, toError } from "../errors.ts";
import type { Cancel, Clock } from "../host/clock.ts";
import { IncarnationContext, type Life } from "./context.ts";
import { Drain, type DrainParts, type Signal } from "./drain.ts";
import type { UnitLimits } from "./limits.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Shell, ShellParent } from "./shell.ts";
import { isSettledWithin, settledOr } from "./waits.ts";
import { Watchdog } from "./watchdog.ts";
import { type Watchable, Watches } from "./watches.ts";

/** Where a failure came from. Only after `handle` and `external` is there something that could go on. */
export type Phase = "open" | "handle" | "resume" | "run" | "external" | "deadline" | "fence";

/** Who keeps a unit over its incarnations, and what these share. Each names itself by its epoch. None may throw. */
export interface Keeper<Message> {
  readonly path: string;
  readonly definition: UnitDefinition<Message>;
  readonly limits: UnitLimits;
  /** Outlives each incarnation. */
  readonly mailbox: Mailbox<Signal, Message>;
  readonly shells: ShellParent;
  readonly clock: Clock;
  opened(epoch: number): void;
  /** Resumes or ends the incarnation before it returns: no message is handled in between. */
  failed(epoch: number, phase: Phase, error: Error): void;
  /** `run` resolved: the unit has done its work. */
  done(epoch: number): void;
  alive(epoch: number): void;
  /** A message was taken and not handled to its end. */
  dropped(epoch: number, why: DropReason, message: Message): void;
  /** Called once, synchronously: from now on nothing it does may have an effect. */
  over(epoch: number): void;
  /** Closing went wrong. Nothing follows from it. */
  closeFailed(epoch: number, error: Error): void;
  /** Called once: nothing of it is left, no call is in flight. */
  gone(epoch: number): void;
}

/** What a close gets after its signal was aborted, before the unit is named as not stopped. */
export const FORCED_CLOSE_MS = 1_000;

/** See the file's head. */
export class Incarnation<Message> implements Life, DrainParts<Message> {
  readonly #keeper: Keeper<Message>;
  readonly epoch: number;
  readonly #drain: Drain<Message> = new Drain(this);
  #stage: "opening" | "open" | "closing" = "opening";
  #session: UnitSession<Message> | undefined;
  #shell: Shell | undefined;
  /** Why it is over. Undefined while it is not. */
  #reason: Error | undefined;
  // Made when they are asked for: few units use them all.
  #abort: AbortController | undefined;
  #watches: Watches | undefined;
  #watchdog: Watchdog | undefined;
  #cancelDeadline: Cancel | undefined;
  // None of these ever rejects.
  #opening: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #closing: Promise<boolean> | undefined;

  constructor(keeper: Keeper<Message>, epoch: number) {
    this.#keeper = keeper;
    this.epoch = epoch;
  }

  /** Opens the unit, in a microtask of its own, and starts handling. Called once. */
  open(): void {
    const { clock, limits } = this.#keeper;
    const startMs = clock.monotonicMs();
    this.#cancelDeadline = clock.after(limits.openDeadlineMs, () =>
      this.#fail("deadline", this.#overdue("open", clock.monotonicMs() - startMs)),
    );
    this.#opening = Promise.resolve()
      .then(() => this.#openSession())
      .then((session) => this.#opened(session))
      .catch((cause: unknown) => this.#fail("open", cause))
      .finally(() => {
        this.#endDeadline();
        this.#opening = undefined;
      });
  }

  /** Something is in the mailbox. */
  ring(): void {
    this.#drain.ring();
  }

  /**
   * Goes on with its state after a failure. Its session hears of it before the next message and never beside a
   * handler. False when it cannot be told: it is not open, or has not taken notice of too many before.
   */
  resume(cause: Error): boolean {
    if (!this.isHandling()) return false;
    const { epoch } = this;
    if (!this.#keeper.mailbox.order({ kind: "resumed", epoch, cause })) return false;
    this.ring();
    return true;
  }

  /** From now on nothing it does has an effect. Synchronous; may be called twice. */
  end(reason: Error): void {
    if (this.#isOver()) return;
    this.#reason = reason;
    this.#drain.end();
    this.#watches?.clear();
    this.#watchdog?.stop();
    this.#endDeadline();
    this.#shell?.stop();
    // Refused first, told then: what the abort sets off must find the door closed.
    this.#keeper.over(this.epoch);
    this.#abort?.abort(reason);
  }

  /** Frees what it holds, within its deadline; whether nothing of it is left. May be called twice. */
  close(): Promise<boolean> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #isOver(): boolean {
    return this.#reason !== undefined;
  }

  // Opening

  async #openSession(): Promise<UnitSession<Message>> {
    // Stopped before it began.
    if (this.#reason !== undefined) throw this.#reason;
    const { definition, path, shells } = this.#keeper;
    const { epoch } = this;
    this.#shell = shells.spawn(`${definition.name}.${epoch}`, () => void this.#drain.answer());
    return definition.open(new IncarnationContext(path, epoch, this));
  }

  #opened(session: UnitSession<Message>): void {
    const keeper = this.#keeper;
    const { path, limits, clock } = keeper;
    assert(typeof session?.close === "function", `${path}: open has no session`);
    this.#session = session;
    // Whoever closes it waits for this.
    if (this.#isOver() || this.#stage === "closing") return;
    this.#stage = "open";
    if (limits.aliveWithinMs !== Infinity)
      this.#watchdog = new Watchdog(clock, limits.aliveWithinMs, (silentMs) =>
        this.#fail("deadline", this.#stalled(silentMs)),
      );
    keeper.opened(this.epoch);
    if (session.run !== undefined) this.#running = this.#run(session);
    this.#drain.begin(session, this.#shell);
  }

  async #run(session: UnitSession<Message>): Promise<void> {
    try {
      await session.run?.();
      if (!this.#isOver()) this.#keeper.done(this.epoch);
    } catch (cause) {
      this.#fail("run", cause);
    }
  }

  #endDeadline(): void {
    this.#cancelDeadline?.();
    this.#cancelDeadline = undefined;
  }

  // What its unit may ask for

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#reason !== undefined) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  fail(cause: unknown): void {
    this.#fail("external", cause);
  }

  alive(): void {
    if (this.#isOver()) return;
    this.#watchdog?.alive();
    this.#keeper.alive(this.epoch);
  }

  watch(unit: Watchable): void {
    if (this.#isOver()) return;
    this.#watches ??= new Watches((watch) => {
      this.#keeper.mailbox.follow({ kind: "terminated", watch });
      this.ring();
    });
    this.#watches.add(unit);
  }

  unwatch(unit: Watchable): void {
    this.#watches?.remove(unit);
  }

  stash(): void {
    this.#drain.stash();
  }

  unstashAll(): void {
    this.#drain.unstashAll();
  }

  // What handling needs

  get path(): string {
    return this.#keeper.path;
  }

  get mailbox(): Mailbox<Signal, Message> {
    return this.#keeper.mailbox;
  }

  get limits(): UnitLimits {
    return this.#keeper.limits;
  }

  get clock(): Clock {
    return this.#keeper.clock;
  }

  isHandling(): boolean {
    return this.#stage === "open" && this.#reason === undefined;
  }

  failed(cause: unknown): void {
    this.#fail("handle", cause);
  }

  resumeFailed(cause: unknown): void {
    this.#fail("resume", cause);
  }

  overdue(tookMs: number): void {
    this.#fail("deadline", this.#overdue("handle", tookMs));
  }

  dropped(why: DropReason, message: Message): void {
    this.#keeper.dropped(this.epoch, why, message);
  }

  // Failing

  #fail(phase: Phase, cause: unknown): void {
    if (this.#isOwnEnd(cause)) return;
    this.#keeper.failed(this.epoch, phase, toError(cause));
  }

  /** It was told to end and did: that is no failure. */
  #isOwnEnd(cause: unknown): boolean {
    const reason = this.#reason;
    if (reason === undefined) return false;
    return cause === reason || (cause instanceof Error && cause.cause === reason);
  }

  #overdue(what: "open" | "handle" | "close", tookMs: number): HoldfastError {
    const { path, limits } = this.#keeper;
    return new HoldfastError(
      "UNIT_DEADLINE",
      `${path}: ${what} of epoch ${this.epoch} has not ended after ${Math.ceil(tookMs)} ms, allowed are ${limits[`${what}DeadlineMs`]} ms`,
      { fix: `find out what it waits for, or raise ${what}DeadlineMs` },
    );
  }

  #stalled(silentMs: number): HoldfastError {
    const { path, limits } = this.#keeper;
    return new HoldfastError(
      "UNIT_STALLED",
      `${path}: epoch ${this.epoch} made no progress for ${Math.ceil(silentMs)} ms, allowed are ${limits.aliveWithinMs} ms`,
      { fix: "look at the other side, or raise aliveWithinMs" },
    );
  }

  // Closing

  async #close(): Promise<boolean> {
    const keeper = this.#keeper;
    const { clock, limits, path } = keeper;
    const startMs = clock.monotonicMs();
    // What is not open yet has nothing to finish.
    if (this.#stage === "opening") this.end(stopped(path, this.epoch));
    this.#stage = "closing";
    this.#watchdog?.stop();
    const force = new AbortController();
    const gone = this.#finish(force.signal);
    if (await isSettledWithin(clock, gone, limits.closeDeadlineMs)) return true;
    const overdue = this.#overdue("close", clock.monotonicMs() - startMs);
    this.end(overdue);
    force.abort(overdue);
    if (await isSettledWithin(clock, gone, FORCED_CLOSE_MS)) return true;
    keeper.closeFailed(this.epoch, overdue);
    return false;
  }

  /** Never rejects. Goes on after the deadlines, so that a session which comes late is closed all the same. */
  async #finish(force: AbortSignal): Promise<void> {
    const keeper = this.#keeper;
    const { path } = keeper;
    await settledOr(this.#opening, force);
    // Its session is closed under no handler but one that hangs: closing may be what frees it.
    if (!this.#drain.isHung) await settledOr(this.#drain.handling, force);
    await this.#closeSession(force);
    this.end(stopped(path, this.epoch));
    await Promise.all([this.#opening, this.#drain.handling, this.#running]);
    await this.#closeSession(force);
    keeper.gone(this.epoch);
  }

  async #closeSession(force: AbortSignal): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    try {
      await session?.close(force);
    } catch (cause) {
      // The incarnation is over either way; the keeper makes it known.
      if (cause !== force.reason || !force.aborted)
        this.#keeper.closeFailed(this.epoch, toError(cause));
    }
  }
}

function stopped(path: string, epoch: number): HoldfastError {
  return new HoldfastError("UNIT_STOPPED", `${path}: epoch ${epoch} was stopped`);
}
