/**
 * One life of a unit: open, handle what is queued, run, close. It decides nothing; it reports what happened and does
 * what its supervisor says.
 *
 * It ends in one of two ways. A failed one is ended first (`end`: nothing it does has an effect any more) and closed
 * then. One that is stopped is closed first, so that it can finish and flush, and ended then.
 */
import assert from "node:assert";
import type { UnitDefinition, UnitSession } from "../contract/unit.ts";
import { HoldfastError, toError } from "../errors.ts";
import type { Cancel, Clock } from "../host/clock.ts";
import type { UnitLimits } from "./limits.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Shell, ShellParent } from "./shell.ts";
import { isSettledWithin, settledOr } from "./waits.ts";

/** Where a failure came from. Only after `handle` and `external` is there something that could go on. */
export type Phase = "open" | "handle" | "resume" | "run" | "external" | "deadline" | "fence";

/** A notice in the system lane: the error that the unit of this epoch was resumed from. */
export interface Resumption {
  readonly epoch: number;
  readonly cause: Error;
}

/** What an incarnation tells its supervisor. None of these may throw. */
export interface Reports {
  opened(): void;
  /** The supervisor resumes or ends it before it returns: no message is handled in between. */
  failed(phase: Phase, error: Error): void;
  /** `run` resolved: the unit has done its work. */
  done(): void;
  alive(): void;
  /** A message was taken and not handled to its end. */
  dropped(why: string): void;
  /** Called once, synchronously: from now on nothing it does may have an effect. */
  over(): void;
  /** Closing went wrong. Nothing follows from it. */
  closeFailed(error: Error): void;
  /** Called once: nothing of it is left, no call is in flight. */
  gone(): void;
}

/** What makes an incarnation. */
export interface IncarnationParts<Message> {
  readonly definition: UnitDefinition<Message>;
  readonly limits: UnitLimits;
  readonly path: string;
  readonly epoch: number;
  /** The unit's queue, which outlives this incarnation. */
  readonly mailbox: Mailbox<Resumption, Message>;
  readonly shells: ShellParent;
  readonly clock: Clock;
  readonly reports: Reports;
}

/** Messages handled before other work gets its turn. */
export const DRAIN_MESSAGES_MAX = 256;
/** Milliseconds of handling before other work gets its turn. */
const DRAIN_MS_MAX = 2;
/** What a close gets after its signal was aborted, before the unit is named as not stopped. */
export const FORCED_CLOSE_MS = 1_000;

/** See the file's head. */
export class Incarnation<Message> {
  readonly #parts: IncarnationParts<Message>;
  readonly #abort = new AbortController();
  #stage: "opening" | "open" | "closing" = "opening";
  #session: UnitSession<Message> | undefined;
  #shell: Shell | undefined;
  #isOver = false;
  /** A ring is on its way or answered. It belongs to this incarnation, so a new one rings anew. */
  #isRung = false;
  /** The handler in flight has outlived its deadline. */
  #isHung = false;
  /** The message in flight is counted as dropped already. */
  #isGivenUp = false;
  /** Of `open` or of the handler in flight: there is never more than one. */
  #cancelDeadline: Cancel | undefined;
  // None of these three ever rejects.
  #opening: Promise<void> | undefined;
  #handling: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #closing: Promise<boolean> | undefined;

  constructor(parts: IncarnationParts<Message>) {
    this.#parts = parts;
  }

  /** Opens the unit, in a microtask of its own, and starts handling. Called once. */
  open(): void {
    const cancel = this.#startDeadline("open", this.#parts.limits.openDeadlineMs);
    this.#opening = Promise.resolve()
      .then(() => this.#openSession())
      .then((session) => this.#opened(session))
      .catch((cause: unknown) => this.#fail("open", cause))
      .finally(cancel);
  }

  /** Something is in the mailbox. */
  ring(): void {
    if (this.#isRung || !this.#isHandlingMail() || this.#parts.mailbox.length === 0) return;
    this.#isRung = true;
    this.#shell?.ring();
  }

  /**
   * Goes on with its state after a failure. Its session hears of it before the next message and never beside a
   * handler. False when it cannot be told: it is not open, or has not taken notice of too many before.
   */
  resume(cause: Error): boolean {
    if (this.#isOver || this.#stage !== "open") return false;
    if (!this.#parts.mailbox.order({ epoch: this.#parts.epoch, cause })) return false;
    this.ring();
    return true;
  }

  /** From now on nothing it does has an effect. Synchronous; may be called twice. */
  end(reason: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#giveUpHandler("its incarnation ended before its handler did");
    this.#cancelDeadline?.();
    this.#shell?.stop();
    // Refused first, told then: what the abort sets off must find the door closed.
    this.#parts.reports.over();
    this.#abort.abort(reason);
  }

  /** Frees what it holds, within its deadline; whether nothing of it is left. May be called twice. */
  close(): Promise<boolean> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // Opening

  async #openSession(): Promise<UnitSession<Message>> {
    // Stopped before it began.
    this.#abort.signal.throwIfAborted();
    const { definition, path, epoch, reports, shells } = this.#parts;
    this.#shell = shells.spawn(`${definition.name}.${epoch}`, () => void this.#drain());
    return definition.open({
      path,
      epoch,
      signal: this.#abort.signal,
      fail: (cause) => this.#fail("external", cause),
      alive: () => {
        if (!this.#isOver) reports.alive();
      },
    });
  }

  #opened(session: UnitSession<Message>): void {
    assert(typeof session?.close === "function", `${this.#parts.path}: open has no session`);
    this.#session = session;
    // Whoever closes it waits for this.
    if (this.#isOver || this.#stage === "closing") return;
    this.#stage = "open";
    this.#parts.reports.opened();
    if (session.run !== undefined) this.#running = this.#run(session);
    this.ring();
  }

  async #run(session: UnitSession<Message>): Promise<void> {
    try {
      await session.run?.();
      if (!this.#isOver) this.#parts.reports.done();
    } catch (cause) {
      this.#fail("run", cause);
    }
  }

  // Handling

  #isHandlingMail(): boolean {
    return this.#stage === "open" && !this.#isOver;
  }

  /** One ring's work. Between two messages nothing else of this unit runs. */
  async #drain(): Promise<void> {
    const { mailbox, clock } = this.#parts;
    const untilMs = clock.monotonicMs() + DRAIN_MS_MAX;
    for (let count = 0; count < DRAIN_MESSAGES_MAX && this.#isHandlingMail(); count++) {
      const mail = mailbox.take();
      if (mail === undefined) break;
      const pending =
        mail.lane === "system" ? this.#resumed(mail.message) : this.#handle(mail.message);
      // Awaited only when there is something to wait for: most handlers are synchronous.
      if (pending !== undefined) await pending;
      if (clock.monotonicMs() >= untilMs) break;
    }
    this.#isRung = false;
    this.ring();
  }

  #resumed({ epoch, cause }: Resumption): undefined {
    if (epoch !== this.#parts.epoch) return;
    try {
      this.#session?.resumed?.(cause);
    } catch (thrown) {
      this.#fail("resume", thrown);
    }
  }

  #handle(message: Message): Promise<void> | undefined {
    const { reports } = this.#parts;
    const session = this.#session;
    if (session?.handle === undefined) {
      reports.dropped("the unit handles no messages");
      return undefined;
    }
    this.#isGivenUp = false;
    try {
      const pending = session.handle(message);
      if (pending === undefined) return undefined;
      this.#handling = this.#awaitHandler(pending);
      return this.#handling;
    } catch (cause) {
      this.#handlerFailed(cause);
      return undefined;
    }
  }

  async #awaitHandler(pending: Promise<void>): Promise<void> {
    const cancel = this.#startDeadline("handle", this.#parts.limits.handleDeadlineMs, () => {
      this.#isHung = true;
      this.#giveUpHandler("its handler did not end in time");
    });
    try {
      await pending;
    } catch (cause) {
      this.#handlerFailed(cause);
    } finally {
      cancel();
      this.#handling = undefined;
    }
  }

  #handlerFailed(cause: unknown): void {
    if (!this.#isGivenUp) this.#parts.reports.dropped("its handler failed");
    // Counted: what the failure leads to must not count it again.
    this.#isGivenUp = true;
    this.#fail("handle", cause);
  }

  #giveUpHandler(why: string): void {
    if (this.#handling === undefined || this.#isGivenUp) return;
    this.#isGivenUp = true;
    this.#parts.reports.dropped(why);
  }

  // Failing

  #fail(phase: Phase, cause: unknown): void {
    if (this.#isOver && this.#isOwnAbort(cause)) return;
    this.#parts.reports.failed(phase, toError(cause));
  }

  /** It was told to end and did: that is no failure. */
  #isOwnAbort(cause: unknown): boolean {
    const { reason } = this.#abort.signal;
    return cause === reason || (cause instanceof Error && cause.cause === reason);
  }

  #startDeadline(what: "open" | "handle", limitMs: number, passed?: () => void): Cancel {
    const { clock } = this.#parts;
    const startMs = clock.monotonicMs();
    this.#cancelDeadline = clock.after(limitMs, () => {
      passed?.();
      this.#fail("deadline", this.#overdue(what, clock.monotonicMs() - startMs, limitMs));
    });
    return this.#cancelDeadline;
  }

  #overdue(what: "open" | "handle" | "close", tookMs: number, limitMs: number): HoldfastError {
    const { path, epoch } = this.#parts;
    return new HoldfastError(
      "UNIT_DEADLINE",
      `${path}: ${what} of epoch ${epoch} has not ended after ${Math.ceil(tookMs)} ms, allowed are ${limitMs} ms`,
      { fix: `find out what it waits for, or raise ${what}DeadlineMs` },
    );
  }

  // Closing

  async #close(): Promise<boolean> {
    const { clock, limits, path, epoch, reports } = this.#parts;
    const startMs = clock.monotonicMs();
    // What is not open yet has nothing to finish.
    if (this.#stage === "opening") this.end(stopped(path, epoch));
    this.#stage = "closing";
    const force = new AbortController();
    const gone = this.#finish(force.signal);
    if (await isSettledWithin(clock, gone, limits.closeDeadlineMs)) return true;
    const tookMs = clock.monotonicMs() - startMs;
    const overdue = this.#overdue("close", tookMs, limits.closeDeadlineMs);
    this.end(overdue);
    force.abort(overdue);
    if (await isSettledWithin(clock, gone, FORCED_CLOSE_MS)) return true;
    reports.closeFailed(overdue);
    return false;
  }

  /** Never rejects. Goes on after the deadlines, so that a session which comes late is closed all the same. */
  async #finish(force: AbortSignal): Promise<void> {
    const { path, epoch, reports } = this.#parts;
    await settledOr(this.#opening, force);
    // Its session is closed under no handler but one that hangs: closing may be what frees it.
    if (!this.#isHung) await settledOr(this.#handling, force);
    await this.#closeSession(force);
    this.end(stopped(path, epoch));
    await Promise.all([this.#opening, this.#handling, this.#running]);
    await this.#closeSession(force);
    reports.gone();
  }

  async #closeSession(force: AbortSignal): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    try {
      await session?.close(force);
    } catch (cause) {
      // The incarnation is over either way; the supervisor makes it known.
      if (cause !== force.reason || !force.aborted) this.#parts.reports.closeFailed(toError(cause));
    }
  }
}

function stopped(path: string, epoch: number): HoldfastError {
  return new HoldfastError("UNIT_STOPPED", `${path}: epoch ${epoch} was stopped`);
}
