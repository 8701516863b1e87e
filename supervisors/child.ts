/**
 * One supervised child: its epochs and its course. It carries out what the strategy decides and hands up what it
 * cannot decide.
 *
 * ```
 * starting -> running -> (failed: judge) -> resume: running | backing-off -> starting | parked | stopped
 * ```
 * Whatever changes its course takes a new ticket; every asynchronous step holds the ticket under which it began and
 * does nothing when that is no longer the child's.
 */
import type { Phase } from "../src/actor/incarnation.ts";
import type { UnitLimits } from "../src/actor/limits.ts";
import { type Deferred, deferred, DONE, Latch } from "../src/actor/waits.ts";
import type {
  Directive,
  UnitDefinition,
  UnitRef,
  UnitState,
  UnitStatus,
} from "../src/contract/unit.ts";
import { HoldfastError } from "../src/errors.ts";
import { Announcer } from "./announcer.ts";
import { Attempt } from "./attempt.ts";
import type { GroupParts } from "./group.ts";
import type {
  Escalation,
  Guardian,
  Member,
  Parking,
  RestartOrder,
  RestartSteps,
  Sibling,
} from "./guardian.ts";
import { Inbox } from "./inbox.ts";
import { Lives, type LivesOwner } from "./lives.ts";
import { Restarts } from "./restarts.ts";
import type { Verdict } from "./verdict.ts";

/** What a child is made with. */
export interface ChildParts<Message> {
  readonly path: string;
  /** Of a stopped unit that had this name, or 0. */
  readonly lastEpoch: number;
  readonly definition: UnitDefinition<Message>;
  readonly limits: UnitLimits;
  readonly guardian: Guardian;
  readonly group: GroupParts;
}

/** How long what an ended incarnation had accepted may take to settle. Then that is a failure of its own. */
export const FENCE_DEADLINE_MS = 30_000;

/** A restart that waits for nobody. */
const AT_ONCE: RestartOrder = { closeAfter: DONE, waitAfter: DONE, openAfter: DONE };

/** See the file's head. */
export class Child<Message> implements Sibling, Member, LivesOwner {
  readonly #group: GroupParts;
  readonly #guardian: Guardian;
  readonly #announcer: Announcer;
  readonly #inbox: Inbox<Message>;
  readonly #lives: Lives<Message>;
  readonly #started = new Latch();
  // Made at the first failure: most units have none.
  #restarts: Restarts | undefined;
  /** A restart after its delay, or the slow lane. */
  #attempt: Attempt | undefined;
  #ticket = 0;
  #status: UnitStatus = "starting";
  #sinceMs: number;
  #lastError: Error | undefined;
  /** Whose next attempt starts this parked unit: its own, or that of whom it was parked with. */
  #parkedWith: Member | undefined;
  /** Others wait until this restart has led to an open incarnation, or to none. */
  #opening: Deferred | undefined;
  #ending: Promise<void> | undefined;

  constructor({ path, lastEpoch, definition, limits, guardian, group }: ChildParts<Message>) {
    const { clock, shells } = group;
    this.#group = group;
    this.#guardian = guardian;
    const announcer = new Announcer(path, group.audience);
    this.#announcer = announcer;
    this.#inbox = new Inbox(limits, announcer);
    const { mailbox } = this.#inbox;
    this.#lives = new Lives({
      definition,
      limits,
      mailbox,
      shells,
      clock,
      lastEpoch,
      owner: this,
      announcer,
    });
    this.#sinceMs = clock.monotonicMs();
    this.#open();
  }

  get path(): string {
    return this.#announcer.unit;
  }

  get started(): Promise<void> {
    return this.#started.promise;
  }

  get isRestartable(): boolean {
    return this.#status !== "parked" && !this.#isEnding();
  }

  get nextAttemptMs(): number | undefined {
    return this.#attempt?.dueMs;
  }

  state(): UnitState {
    const cause = this.#parkedWith ?? this;
    return Object.freeze({
      unit: this.path,
      status: this.#status,
      epoch: this.#lives.epoch,
      restarts: this.#restarts?.count ?? 0,
      maxRestarts: this.#guardian.strategy.maxRestarts,
      sinceMs: this.#sinceMs,
      nextAttemptMs: cause.nextAttemptMs,
      lastError: this.#lastError,
    });
  }

  tell(message: Message): ReturnType<UnitRef["tell"]> {
    if (!this.isRestartable) return "dead";
    const answer = this.#inbox.tell(message, this.#lives.epoch);
    if (answer === "ok") this.#lives.current?.ring();
    return answer;
  }

  offer(message: Message, signal?: AbortSignal): Promise<void> {
    if (!this.isRestartable) return Promise.reject(this.#closedError());
    const accepted = this.#inbox.offer(message, signal);
    this.#lives.current?.ring();
    return accepted;
  }

  onStopped(listener: () => void): () => void {
    return this.#announcer.onStopped(listener, this.#status === "stopped");
  }

  restart(): void {
    if (this.#isEnding() || this.#guardian.isStopping()) return;
    if (this.#status === "parked") this.#restarts?.forgive();
    if (this.isParkedWith(this)) return this.#guardian.wake(this);
    this.restartAfter(0, new HoldfastError("UNIT_STOPPED", `${this.path}: restarted by hand`));
  }

  async stop(): Promise<void> {
    await this.end();
  }

  // As a member of its group

  units(): readonly Sibling[] {
    return [this];
  }

  async halt(): Promise<readonly string[]> {
    return (await this.end()) ? [] : [this.path];
  }

  isParkedWith(cause: Member): boolean {
    return this.#status === "parked" && this.#parkedWith === cause;
  }

  restartAfter(waitMs: number, reason: Error, order: RestartOrder = AT_ONCE): RestartSteps {
    this.#interrupt(reason, order.closeAfter);
    const settled = this.#lives.settled(FENCE_DEADLINE_MS);
    // What the end of an incarnation sets off may stop the unit.
    if (this.#isEnding()) return { settled, opened: DONE };
    this.#become("backing-off");
    this.#announcer.emit({ kind: "backing-off", ...this.#identity(), delayMs: waitMs });
    this.#opening = order === AT_ONCE ? undefined : deferred();
    void this.#reopen(this.#ticket, settled, { ...order, waitMs });
    return { settled, opened: this.#opening?.promise ?? DONE };
  }

  park({ error, cause, delayMs }: Parking): void {
    const identity = this.#identity();
    this.#interrupt(error);
    if (this.#isEnding()) return;
    this.#lastError = error;
    this.#become("parked");
    this.#parkedWith = cause;
    this.#inbox.close(this.#lives.epoch, "unit-parked", this.#closedError());
    this.#announcer.emit({ kind: "parked", ...identity, error, delayMs });
    this.#started.reject(error);
  }

  /** Stops for good; whether nothing of the unit is left when its deadlines are over. */
  async end(): Promise<boolean> {
    this.#ending ??= this.#end();
    await this.#ending;
    // Asked again later, what hung may be gone.
    return this.#lives.isGone;
  }

  // As the owner of its lives

  opened(): void {
    this.#become("running");
    const restarted = !this.#lives.isFirst;
    this.#announcer.emit({ kind: "started", ...this.#identity(), restarted });
    this.#started.resolve();
    this.#opening?.resolve();
    this.#restarts?.watch();
  }

  done(): void {
    void this.end();
  }

  alive(): void {
    this.#restarts?.alive();
    this.#guardian.alive();
  }

  failed(phase: Phase, error: Error): void {
    this.#lastError = error;
    if (this.#guardian.isStopping()) return this.#failedWhileStopping(error);
    const isRunning = this.#status === "running";
    const isResumable = isRunning && (phase === "handle" || phase === "external");
    const verdict = this.#counted().judge(error, isResumable);
    if (verdict.deciderError !== undefined) this.#tellFailure(verdict.deciderError, "escalate");
    this.#tellFailure(error, verdict.directive);
    this.#carryOut(verdict, { error, isResumable });
  }

  // Epochs

  #open(): void {
    this.#ticket++;
    this.#become("starting");
    this.#announcer.emit({ kind: "starting", unit: this.path, epoch: this.#lives.epoch + 1 });
    this.#lives.begin();
  }

  #interrupt(reason: Error, closeAfter: Promise<unknown> = DONE): void {
    this.#leaveCourse();
    this.#lives.end(reason, closeAfter);
  }

  /** Whatever was to come next does not. */
  #leaveCourse(): void {
    this.#ticket++;
    this.#restarts?.end();
    this.#attempt?.cancel();
    this.#opening?.resolve();
  }

  async #reopen(
    ticket: number,
    settled: Promise<Error | undefined>,
    { waitMs, waitAfter, openAfter }: RestartOrder & { readonly waitMs: number },
  ): Promise<void> {
    const unsettled = await settled;
    if (ticket !== this.#ticket) return;
    if (unsettled !== undefined) return this.failed("fence", unsettled);
    await waitAfter;
    if (!this.#mayOpen(ticket)) return;
    await this.#backOff(waitMs);
    await openAfter;
    // A restart loop leaves turns to timers and IO, whatever its delay is.
    await this.#group.clock.yield();
    if (this.#mayOpen(ticket)) this.#open();
  }

  #mayOpen(ticket: number): boolean {
    return ticket === this.#ticket && !this.#isEnding() && !this.#guardian.isStopping();
  }

  /** Does not come back when the child leaves its course: whoever made it leave has gone another way. */
  #backOff(waitMs: number): Promise<void> {
    if (waitMs === 0) return DONE;
    return new Promise((resolve) => this.#schedule(waitMs, resolve));
  }

  #schedule(delayMs: number, due: () => void): void {
    this.#attempt ??= new Attempt(this.#group.clock);
    this.#attempt.schedule(delayMs, due);
  }

  // Failures

  #counted(): Restarts {
    const { clock, random } = this.#group;
    const { strategy } = this.#guardian;
    this.#restarts ??= new Restarts({ strategy, clock, random }, () =>
      this.#announcer.emit({ kind: "recovered", ...this.#identity() }),
    );
    return this.#restarts;
  }

  #carryOut({ action, isTriedAgain }: Verdict, escalation: Escalation): void {
    const { error } = escalation;
    switch (action) {
      case "resume":
        return this.#resume(error);
      case "restart":
        return this.#guardian.restart(this, this.#counted().nextDelayMs(), error);
      case "stop":
        this.#interrupt(error);
        this.#become("stopping");
        return this.#guardian.stop(this);
      case "park":
        return this.#park(error, isTriedAgain);
      case "escalate":
        return this.#escalate(escalation);
    }
  }

  #resume(error: Error): void {
    if (this.#lives.current?.resume(error) === true) return this.#restarts?.watch();
    this.#carryOut(this.#counted().judge(error, false), { error, isResumable: false });
  }

  #park(error: Error, isTriedAgain: boolean): void {
    const delayMs = isTriedAgain ? this.#counted().nextSlowDelayMs() : undefined;
    this.#guardian.park(this, error, delayMs);
    if (delayMs !== undefined && this.isParkedWith(this))
      this.#schedule(delayMs, () => this.#guardian.wake(this));
  }

  #escalate(escalation: Escalation): void {
    const { error } = escalation;
    this.#announcer.emit({ kind: "escalated", ...this.#identity(), error });
    this.#started.reject(error);
    const incarnation = this.#lives.current;
    const outcome = this.#guardian.escalate(escalation);
    if (outcome === "resume" && incarnation?.resume(error) === true) return;
    if (outcome !== "handled") return this.park({ error, cause: this, delayMs: undefined });
    if (incarnation === undefined || incarnation !== this.#lives.current) return;
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

  async #end(): Promise<void> {
    this.#leaveCourse();
    // From here on a failure changes nothing: a stop overtakes a restart.
    this.#become("stopping");
    this.#lives.close();
    await this.#lives.settled(this.#lives.limits.closeDeadlineMs);
    this.#become("stopped");
    this.#inbox.close(this.#lives.epoch, "unit-stopped", this.#closedError());
    this.#announcer.stopped(this.#lives.epoch);
    this.#started.reject(this.#lastError ?? this.#closedError());
  }

  #isEnding(): boolean {
    return this.#status === "stopping" || this.#status === "stopped";
  }

  /** A stop is left only for its end, whatever was under way when it came. */
  #become(status: UnitStatus): void {
    if (this.#status === status || (this.#isEnding() && status !== "stopped")) return;
    if (status === "stopping") this.#announcer.emit({ kind: "stopping", ...this.#identity() });
    this.#status = status;
    this.#parkedWith = undefined;
    this.#sinceMs = this.#group.clock.monotonicMs();
  }

  // Telling

  #identity(): { readonly unit: string; readonly epoch: number } {
    return { unit: this.path, epoch: this.#lives.epoch };
  }

  /** To those who come too late. */
  #closedError(): HoldfastError {
    return this.#status === "parked"
      ? new HoldfastError(
          "UNIT_PARKED",
          `${this.path} is parked: ${this.#lastError?.message ?? ""}`,
        )
      : new HoldfastError("UNIT_STOPPED", `${this.path} was stopped`);
  }

  #tellFailure(error: Error, directive: Directive): void {
    this.#announcer.failed(this.#lives.epoch, this.#counted(), error, directive);
  }
}
