/**
 * One supervised child: its epochs, its restart window, its backoff. It carries out what the strategy decides and hands
 * up what it cannot decide.
 *
 * ```
 * starting -> running -> (failed: decide) -> resume: running | backing-off -> starting | parked | stopped
 * ```
 * Every asynchronous step remembers the epoch in which it began, and does nothing when that is over.
 */
import { Incarnation, type Phase, type Reports } from "../src/actor/incarnation.ts";
import { Mailbox } from "../src/actor/mailbox.ts";
import type { ShellParent } from "../src/actor/shell.ts";
import type {
  Directive,
  Strategy,
  UnitDefinition,
  UnitEvent,
  UnitRef,
  UnitState,
  UnitStatus,
} from "../src/contract/unit.ts";
import { HoldfastError, isRetried, toError } from "../src/errors.ts";
import type { Cancel, Clock } from "../src/host/clock.ts";
import type { Random } from "../src/host/random.ts";
import { delayMs } from "./backoff.ts";
import { grantRestart, recentRestarts, type RestartTimes } from "./restart-window.ts";
import { decidesByDefault } from "./strategy.ts";

/** What a child is made with. */
export interface ChildParts<Message> {
  readonly path: string;
  readonly definition: UnitDefinition<Message>;
  readonly strategy: Strategy;
  readonly shells: ShellParent;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: (event: UnitEvent) => void;
  /** The strategy says `escalate`: the supervisor above decides. */
  readonly escalate: (error: Error) => void;
}

/** Messages that wait at most, where a definition does not say. */
export const MAILBOX_MAX_DEFAULT = 1_024;
/** How long a fenced incarnation's accepted work may take to settle before the next one opens anyway. */
const FENCE_DEADLINE_MS = 30_000;

/** See the file's head. */
export class Child<Message> implements UnitRef<Message> {
  readonly #parts: ChildParts<Message>;
  readonly #mailbox: Mailbox<never, Message>;
  readonly started: Promise<void>;
  #settleStarted: { resolve(): void; reject(cause: Error): void } | undefined;
  #incarnation: Incarnation<Message> | undefined;
  #epoch = 0;
  #status: UnitStatus = "starting";
  #sinceMs: number;
  #restartTimes: RestartTimes = [];
  #attempt = 0;
  #lastError: Error | undefined;
  #nextAttemptMs: number | undefined;
  #cancelBackoff: Cancel | undefined;
  #cancelHealth: Cancel | undefined;
  #isAlive = false;
  #wasFailing = false;
  #ending: Promise<boolean> | undefined;
  /** Settles when no earlier incarnation is being closed. */
  #retiring: Promise<unknown> = Promise.resolve();
  /** Number of the newest decision; what an older one still waits for does nothing. */
  #intent = 0;

  constructor(parts: ChildParts<Message>) {
    this.#parts = parts;
    this.#mailbox = new Mailbox(parts.definition.mailboxMax ?? MAILBOX_MAX_DEFAULT);
    this.#sinceMs = parts.clock.monotonicMs();
    this.started = new Promise((resolve, reject) => {
      this.#settleStarted = { resolve, reject };
    });
    // Nobody has to wait for it.
    this.started.catch(() => undefined);
    this.#open();
  }

  get path(): string {
    return this.#parts.path;
  }

  state(): UnitState {
    const { clock, strategy } = this.#parts;
    return Object.freeze({
      unit: this.path,
      status: this.#status,
      epoch: this.#epoch,
      restarts: recentRestarts(this.#restartTimes, clock.monotonicMs(), strategy.withinMs).length,
      maxRestarts: strategy.maxRestarts,
      sinceMs: this.#sinceMs,
      nextAttemptMs: this.#nextAttemptMs,
      lastError: this.#lastError,
    });
  }

  tell(message: Message): "ok" | "full" | "dead" {
    if (this.#isOver() || this.#status === "parked") return "dead";
    const answer = this.#mailbox.offer(message);
    if (answer === "ok") this.#incarnation?.ring();
    return answer;
  }

  restart(): void {
    if (this.#isOver()) return;
    this.#restartTimes = [];
    this.#attempt = 0;
    if (this.#incarnation === undefined) return void this.#openAgain();
    void this.#replace(0, new HoldfastError("UNIT_STOPPED", `${this.path}: restarted by hand`));
  }

  async stop(): Promise<void> {
    await this.end();
  }

  /** Stops for good; whether it did so within its deadlines. */
  end(): Promise<boolean> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  // Epochs

  #open(): void {
    this.#epoch++;
    const epoch = this.#epoch;
    this.#cancelBackoff = undefined;
    this.#nextAttemptMs = undefined;
    this.#isAlive = false;
    this.#become("starting");
    const { definition, shells, clock } = this.#parts;
    this.#incarnation = new Incarnation({
      definition,
      path: this.path,
      epoch,
      mailbox: this.#mailbox,
      shells,
      clock,
      reports: this.#reports(epoch),
    });
    void this.#incarnation.open();
  }

  #reports(epoch: number): Reports {
    const isCurrent = (): boolean =>
      epoch === this.#epoch && (this.#status === "starting" || this.#status === "running");
    return {
      opened: () => {
        if (isCurrent()) this.#opened();
      },
      failed: (phase, error) => {
        if (isCurrent()) this.#failed(phase, error);
        else this.#emit({ kind: "late-result-ignored", unit: this.path, epoch, error });
      },
      done: () => {
        if (isCurrent()) void this.end();
      },
      alive: () => {
        if (epoch === this.#epoch) this.#isAlive = true;
      },
    };
  }

  #opened(): void {
    this.#become("running");
    this.#settleStarted?.resolve();
    this.#emit({
      kind: "started",
      unit: this.path,
      epoch: this.#epoch,
      restarted: this.#epoch > 1,
    });
    this.#watchHealth();
  }

  /** The backoff begins anew only after a stable time with progress: a peer that accepts and then kicks is not health. */
  #watchHealth(): void {
    const { clock, strategy } = this.#parts;
    this.#cancelHealth?.();
    if (!this.#wasFailing) return;
    const check = (): void => {
      this.#cancelHealth = undefined;
      if (this.#status !== "running") return;
      if (!this.#isAlive) return this.#watchHealth();
      this.#attempt = 0;
      this.#wasFailing = false;
      this.#emit({ kind: "recovered", unit: this.path, epoch: this.#epoch });
    };
    // At least a millisecond: a check of zero would spin.
    this.#cancelHealth = clock.after(
      Math.max(strategy.backoff.resetAfterMs, HEALTH_CHECK_MS_MIN),
      check,
    );
  }

  // Failures

  #failed(phase: Phase, error: Error): void {
    this.#lastError = error;
    this.#wasFailing = true;
    this.#incarnation?.suspend();
    const { strategy, clock } = this.#parts;
    const decided = this.#decide(error);
    const isUnmendable = decidesByDefault(strategy) && !isRetried(error);
    const restarts = recentRestarts(
      this.#restartTimes,
      clock.monotonicMs(),
      strategy.withinMs,
    ).length;
    this.#emit({
      kind: "failed",
      unit: this.path,
      epoch: this.#epoch,
      error,
      directive: decided,
      restarts,
      maxRestarts: strategy.maxRestarts,
    });
    if (this.#isOver()) return;
    if (isUnmendable) return void this.#park(error);
    // A unit that never opened has no state to go on with.
    if (decided === "resume" && phase !== "open" && this.#incarnation?.resume(error) === true)
      return;
    this.#carryOut(decided === "resume" ? "restart" : decided, error);
  }

  #decide(error: Error): Directive {
    try {
      return this.#parts.strategy.decide(error);
    } catch {
      // A decider that throws knows no answer: the one above has to.
      return "escalate";
    }
  }

  #carryOut(directive: Exclude<Directive, "resume">, error: Error): void {
    switch (directive) {
      case "restart":
        return this.#restartWithin(error);
      case "stop":
        return void this.end();
      case "escalate":
        return void this.#escalate(error);
    }
  }

  #restartWithin(error: Error): void {
    const { strategy, clock, random } = this.#parts;
    const granted = grantRestart(this.#restartTimes, clock.monotonicMs(), strategy);
    if (granted === undefined) return this.#exhausted(error);
    this.#restartTimes = granted;
    const delay = delayMs(strategy.backoff, this.#attempt, random.next());
    this.#attempt++;
    void this.#replace(delay, error);
  }

  #exhausted(error: Error): void {
    switch (this.#parts.strategy.onExhausted) {
      case "park":
        return void this.#park(error);
      case "stop":
        return void this.end();
      case "escalate":
        return void this.#escalate(error);
    }
  }

  /** Opens at once, but never beside an incarnation that is still being closed. */
  async #openAgain(): Promise<void> {
    this.#cancelBackoff?.();
    this.#become("backing-off");
    const intent = ++this.#intent;
    await this.#retiring;
    if (intent === this.#intent) this.#open();
  }

  /** Fence, settle, wait, open: in this order, so that nothing of the old epoch has an effect in the new one. */
  async #replace(delay: number, error: Error): Promise<void> {
    if (!(await this.#retire("backing-off", error))) return;
    const { clock } = this.#parts;
    this.#nextAttemptMs = clock.monotonicMs() + delay;
    this.#emit({ kind: "backing-off", unit: this.path, epoch: this.#epoch, delayMs: delay });
    // Always through the clock, also for no delay: a restart loop leaves turns to timers and IO.
    this.#cancelBackoff = clock.after(delay, () => this.#open());
  }

  async #park(error: Error): Promise<void> {
    if (!(await this.#retire("parked", error))) return;
    this.#drop("the unit is parked");
    this.#emit({ kind: "parked", unit: this.path, epoch: this.#epoch, error });
    this.#settleStarted?.reject(error);
  }

  async #escalate(error: Error): Promise<void> {
    if (!(await this.#retire("parked", error))) return;
    this.#emit({ kind: "escalated", unit: this.path, epoch: this.#epoch, error });
    this.#settleStarted?.reject(error);
    this.#parts.escalate(error);
  }

  /**
   * Ends the incarnation: refused at once, closed and settled within their deadlines. False when something else was
   * decided meanwhile: a restart by hand, or the end.
   */
  async #retire(status: UnitStatus, reason: Error): Promise<boolean> {
    const intent = ++this.#intent;
    const incarnation = this.#incarnation;
    this.#become(status);
    this.#cancelHealth?.();
    this.#incarnation = undefined;
    const settled = this.#fence(this.#epoch + 1);
    incarnation?.fence(reason);
    this.#retiring = Promise.all([incarnation?.close(), settled, this.#retiring]);
    await this.#retiring;
    return intent === this.#intent;
  }

  #fence(nextEpoch: number): Promise<void> {
    const { definition, clock } = this.#parts;
    let settling: Promise<void> | undefined;
    try {
      settling = definition.fence?.(nextEpoch);
    } catch (cause) {
      settling = Promise.reject(cause);
    }
    if (settling === undefined) return Promise.resolve();
    const work = settling;
    return new Promise((resolve) => {
      const cancel = clock.after(FENCE_DEADLINE_MS, resolve);
      // What could not settle was refused: the next incarnation may open.
      work
        .catch((cause: unknown) =>
          this.#emit({
            kind: "late-result-ignored",
            unit: this.path,
            epoch: nextEpoch - 1,
            error: toError(cause),
          }),
        )
        .finally(() => {
          cancel();
          resolve();
        });
    });
  }

  // The end

  async #end(): Promise<boolean> {
    this.#intent++;
    const incarnation = this.#incarnation;
    this.#become("stopping");
    this.#cancelBackoff?.();
    this.#cancelHealth?.();
    const isInTime = (await incarnation?.close()) ?? true;
    await this.#retiring;
    await this.#fence(this.#epoch + 1);
    this.#incarnation = undefined;
    this.#nextAttemptMs = undefined;
    this.#become("stopped");
    this.#drop("the unit is stopped");
    this.#settleStarted?.reject(
      this.#lastError ?? new HoldfastError("UNIT_STOPPED", `${this.path} was stopped`),
    );
    this.#emit({ kind: "stopped", unit: this.path, epoch: this.#epoch });
    return isInTime;
  }

  #drop(why: string): void {
    const count = this.#mailbox.drop();
    for (let index = 0; index < count; index++)
      this.#emit({ kind: "message-dropped", unit: this.path, epoch: this.#epoch, why });
  }

  #isOver(): boolean {
    return this.#status === "stopping" || this.#status === "stopped";
  }

  #become(status: UnitStatus): void {
    if (this.#status === status) return;
    this.#status = status;
    this.#sinceMs = this.#parts.clock.monotonicMs();
  }

  #emit(event: UnitEvent): void {
    this.#parts.emit(event);
  }
}

const HEALTH_CHECK_MS_MIN = 1;
