/**
 * One supervised child: its epochs, its restart window, its backoff. It carries out what the strategy decides and hands
 * up what it cannot decide.
 *
 * ```
 * starting -> running -> (failed: judge) -> resume: running | backing-off -> starting | parked | stopped
 * ```
 * Whatever changes its course takes a new ticket; every asynchronous step holds the ticket under which it began and
 * does nothing when that is no longer the child's.
 */
import {
  Incarnation,
  type Phase,
  type Reports,
  type Resumption,
} from "../src/actor/incarnation.ts";
import { Aftermath } from "../src/actor/aftermath.ts";
import type { UnitLimits } from "../src/actor/limits.ts";
import { Mailbox } from "../src/actor/mailbox.ts";
import type { ShellParent } from "../src/actor/shell.ts";
import { type Deferred, deferred } from "../src/actor/waits.ts";
import type {
  Directive,
  Strategy,
  UnitDefinition,
  UnitEvent,
  UnitRef,
  UnitState,
  UnitStatus,
} from "../src/contract/unit.ts";
import { HoldfastError } from "../src/errors.ts";
import type { Clock } from "../src/host/clock.ts";
import type { Random } from "../src/host/random.ts";
import {
  AT_ONCE,
  type Escalation,
  type Guardian,
  type RestartOrder,
  type Sibling,
} from "./guardian.ts";
import { Pacing } from "./pacing.ts";
import { recentRestarts, type RestartTimes } from "./restart-window.ts";
import { judge, type Verdict } from "./verdict.ts";

/** What a child is made with. */
export interface ChildParts<Message> {
  readonly path: string;
  readonly definition: UnitDefinition<Message>;
  readonly limits: UnitLimits;
  readonly strategy: Strategy;
  readonly shells: ShellParent;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: (event: UnitEvent) => void;
  readonly guardian: Guardian;
}

/** How long what an ended incarnation had accepted may take to settle. Then that is a failure of its own. */
export const FENCE_DEADLINE_MS = 30_000;

/** See the file's head. */
export class Child<Message> implements UnitRef<Message>, Sibling {
  readonly #parts: ChildParts<Message>;
  readonly #mailbox: Mailbox<Resumption, Message>;
  readonly #started: Deferred = deferred();
  readonly #aftermath: Aftermath;
  readonly #pacing: Pacing;
  #incarnation: Incarnation<Message> | undefined;
  #epoch = 0;
  #ticket = 0;
  #status: UnitStatus = "starting";
  #sinceMs: number;
  #restartTimes: RestartTimes = [];
  #lastError: Error | undefined;
  #nextAttemptMs: number | undefined;
  #endBackoff: (() => void) | undefined;
  #ending: Promise<boolean> | undefined;

  constructor(parts: ChildParts<Message>) {
    this.#parts = parts;
    this.#mailbox = new Mailbox(parts.limits.mailboxMax);
    this.#aftermath = new Aftermath(parts.path, parts.clock);
    const { clock, random, strategy } = parts;
    const recovered = (): void =>
      this.#parts.emit({ kind: "recovered", unit: this.path, epoch: this.#epoch });
    this.#pacing = new Pacing({ backoff: strategy.backoff, clock, random, recovered });
    this.#sinceMs = clock.monotonicMs();
    this.#open();
  }

  get path(): string {
    return this.#parts.path;
  }

  get started(): Promise<void> {
    return this.#started.promise;
  }

  get isRestartable(): boolean {
    return this.#status !== "parked" && !this.#isEnding();
  }

  state(): UnitState {
    return Object.freeze({
      unit: this.path,
      status: this.#status,
      epoch: this.#epoch,
      restarts: this.#restartCount(),
      maxRestarts: this.#parts.strategy.maxRestarts,
      sinceMs: this.#sinceMs,
      nextAttemptMs: this.#nextAttemptMs,
      lastError: this.#lastError,
    });
  }

  tell(message: Message): "ok" | "full" | "dead" {
    if (!this.isRestartable) return "dead";
    const answer = this.#mailbox.offer(message);
    if (answer === "ok") this.#incarnation?.ring();
    return answer;
  }

  restart(): void {
    if (this.#isEnding() || this.#parts.guardian.isStopping()) return;
    if (this.#status === "parked") {
      this.#restartTimes = [];
      this.#pacing.reset();
    }
    void this.restartAfter(0, new HoldfastError("UNIT_STOPPED", `${this.path}: restarted by hand`));
  }

  async stop(): Promise<void> {
    await this.end();
  }

  // What the supervisor does

  restartAfter(waitMs: number, reason: Error, order: RestartOrder = AT_ONCE): Promise<unknown> {
    this.#interrupt(reason, order.closeAfter);
    this.#become("backing-off");
    const settled = this.#aftermath.settled(FENCE_DEADLINE_MS);
    void this.#reopen(this.#ticket, settled, { waitMs, openAfter: order.openAfter });
    return settled;
  }

  park(error: Error): void {
    const epoch = this.#epoch;
    this.#interrupt(error);
    // What the end of an incarnation sets off may stop the unit.
    if (this.#isEnding()) return;
    this.#lastError = error;
    this.#become("parked");
    this.#dropMessages("the unit is parked");
    this.#parts.emit({ kind: "parked", unit: this.path, epoch, error });
    this.#started.reject(error);
  }

  end(): Promise<boolean> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  // Epochs

  #open(): void {
    this.#ticket++;
    this.#epoch++;
    this.#nextAttemptMs = undefined;
    this.#become("starting");
    const { definition, limits, shells, clock } = this.#parts;
    const reports = this.#reports(this.#epoch, () => this.#incarnation === incarnation);
    const incarnation: Incarnation<Message> = new Incarnation({
      definition,
      limits,
      path: this.path,
      epoch: this.#epoch,
      mailbox: this.#mailbox,
      shells,
      clock,
      reports,
    });
    this.#incarnation = incarnation;
    this.#aftermath.begun();
    incarnation.open();
  }

  #reports(epoch: number, isLatest: () => boolean): Reports {
    const { definition } = this.#parts;
    const isCurrent = (): boolean => isLatest() && !this.#isEnding();
    const ignore = (error: Error): void =>
      this.#parts.emit({ kind: "late-result-ignored", unit: this.path, epoch, error });
    return {
      opened: () => {
        if (isCurrent()) this.#opened();
      },
      failed: (phase, error) => (isCurrent() ? this.#failed(phase, error) : ignore(error)),
      done: () => {
        if (isCurrent()) void this.end();
      },
      alive: () => {
        if (!isCurrent()) return;
        this.#pacing.alive();
        this.#parts.guardian.alive();
      },
      dropped: (why) => this.#dropped(1, why, epoch),
      over: () => this.#aftermath.fence(() => definition.fence?.(epoch + 1), ignore),
      closeFailed: ignore,
      gone: () => this.#aftermath.gone(),
    };
  }

  #opened(): void {
    this.#become("running");
    this.#parts.emit({
      kind: "started",
      unit: this.path,
      epoch: this.#epoch,
      restarted: this.#epoch > 1,
    });
    this.#started.resolve();
    this.#pacing.watch();
  }

  #interrupt(reason: Error, closeAfter: Promise<unknown> = AT_ONCE.closeAfter): void {
    const incarnation = this.#incarnation;
    this.#leaveCourse();
    this.#incarnation = undefined;
    if (incarnation === undefined) return;
    incarnation.end(reason);
    this.#aftermath.closing(closeAfter.then(() => incarnation.close()));
  }

  /** Whatever was to come next does not. */
  #leaveCourse(): void {
    this.#ticket++;
    this.#nextAttemptMs = undefined;
    this.#pacing.end();
    this.#endBackoff?.();
    this.#endBackoff = undefined;
  }

  async #reopen(
    ticket: number,
    settled: Promise<Error | undefined>,
    { waitMs, openAfter }: { readonly waitMs: number; readonly openAfter: Promise<unknown> },
  ): Promise<void> {
    const unsettled = await settled;
    if (ticket !== this.#ticket) return;
    if (unsettled !== undefined) return this.#failed("fence", unsettled);
    await openAfter;
    if (!this.#mayOpen(ticket)) return;
    await this.#backOff(waitMs);
    // A restart loop leaves turns to timers and IO, whatever its delay is.
    await this.#parts.clock.yield();
    if (this.#mayOpen(ticket)) this.#open();
  }

  #mayOpen(ticket: number): boolean {
    return ticket === this.#ticket && !this.#isEnding() && !this.#parts.guardian.isStopping();
  }

  #backOff(waitMs: number): Promise<void> {
    if (waitMs === 0) return Promise.resolve();
    const { clock } = this.#parts;
    this.#nextAttemptMs = clock.monotonicMs() + waitMs;
    this.#parts.emit({ kind: "backing-off", unit: this.path, epoch: this.#epoch, delayMs: waitMs });
    return new Promise((resolve) => {
      const cancel = clock.after(waitMs, resolve);
      this.#endBackoff = () => {
        cancel();
        resolve();
      };
    });
  }

  // Failures

  #failed(phase: Phase, error: Error): void {
    this.#lastError = error;
    if (this.#parts.guardian.isStopping()) return this.#failedWhileStopping(error);
    const isRunning = this.#status === "running";
    const isResumable = isRunning && (phase === "handle" || phase === "external");
    const verdict = this.#judge(error, isResumable);
    if (verdict.deciderError !== undefined) this.#tellFailure(verdict.deciderError, "escalate");
    this.#tellFailure(error, verdict.directive);
    this.#carryOut(verdict, { error, isResumable });
  }

  #judge(error: Error, isResumable: boolean): Verdict {
    const { strategy, clock } = this.#parts;
    const verdict = judge(strategy, {
      error,
      isResumable,
      restartTimes: this.#restartTimes,
      nowMs: clock.monotonicMs(),
    });
    this.#restartTimes = verdict.restartTimes;
    return verdict;
  }

  #carryOut({ action }: Verdict, escalation: Escalation): void {
    const { error } = escalation;
    switch (action) {
      case "resume":
        return this.#resume(error);
      case "restart":
        return this.#parts.guardian.restart(this, this.#pacing.nextDelayMs(), error);
      case "stop":
        this.#interrupt(error);
        return void this.end();
      case "park":
        return this.park(error);
      case "escalate":
        return this.#escalate(escalation);
    }
  }

  #resume(error: Error): void {
    if (this.#incarnation?.resume(error) === true) return this.#pacing.watch();
    this.#carryOut(this.#judge(error, false), { error, isResumable: false });
  }

  #escalate(escalation: Escalation): void {
    const { error } = escalation;
    this.#parts.emit({ kind: "escalated", unit: this.path, epoch: this.#epoch, error });
    this.#started.reject(error);
    const incarnation = this.#incarnation;
    const outcome = this.#parts.guardian.escalate(escalation);
    if (outcome === "resume" && incarnation?.resume(error) === true) return;
    if (outcome !== "handled") return this.park(error);
    if (incarnation === undefined || incarnation !== this.#incarnation) return;
    // Its group stops in order; what has failed is over before its turn comes.
    this.#interrupt(error);
    this.#become("stopping");
  }

  /** Nothing is started any more, so there is nothing to decide. */
  #failedWhileStopping(error: Error): void {
    this.#tellFailure(error, "stop");
    this.#interrupt(error);
    void this.end();
  }

  // The end

  async #end(): Promise<boolean> {
    const incarnation = this.#incarnation;
    this.#leaveCourse();
    // From here on a failure changes nothing: a stop overtakes a restart.
    this.#become("stopping");
    if (incarnation !== undefined) this.#aftermath.closing(incarnation.close());
    const unsettled = await this.#aftermath.settled(this.#parts.limits.closeDeadlineMs);
    this.#incarnation = undefined;
    this.#become("stopped");
    this.#dropMessages("the unit is stopped");
    this.#parts.emit({ kind: "stopped", unit: this.path, epoch: this.#epoch });
    this.#started.reject(
      this.#lastError ?? new HoldfastError("UNIT_STOPPED", `${this.path} was stopped`),
    );
    return this.#aftermath.isGone && unsettled === undefined;
  }

  #isEnding(): boolean {
    return this.#status === "stopping" || this.#status === "stopped";
  }

  #restartCount(): number {
    const { clock, strategy } = this.#parts;
    return recentRestarts(this.#restartTimes, clock.monotonicMs(), strategy.withinMs).length;
  }

  /** A stop is left only for its end, whatever was under way when it came. */
  #become(status: UnitStatus): void {
    if (this.#status === status || (this.#isEnding() && status !== "stopped")) return;
    this.#status = status;
    this.#sinceMs = this.#parts.clock.monotonicMs();
  }

  #dropMessages(why: string): void {
    this.#dropped(this.#mailbox.drop(), why, this.#epoch);
  }

  #dropped(count: number, why: string, epoch: number): void {
    if (count === 0) return;
    this.#parts.emit({ kind: "message-dropped", unit: this.path, epoch, why, count });
  }

  #tellFailure(error: Error, directive: Directive): void {
    this.#parts.emit({
      kind: "failed",
      unit: this.path,
      epoch: this.#epoch,
      error,
      directive,
      restarts: this.#restartCount(),
      maxRestarts: this.#parts.strategy.maxRestarts,
    });
  }
}
