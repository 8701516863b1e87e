/**
 * A reference model of one supervised unit: what docs/supervision.md promises, written down a second time as plain
 * lists and numbers, without promises, actors or timers. Time moves by `advance`, from one due moment to the next.
 */
import type { DropReason } from "../../src/contract/unit.ts";
import { type Mail, MailModel, type Message } from "./mail-model.ts";
import { type Setting, TIMES } from "./unit-setting.ts";

/** `range`: resumed. `type`: restarted. `other`: as the setting says. */
type Thrown = "range" | "type" | "other";
const MINUTE_MS = 60_000;

/** What can be compared with the real unit after every command. */
export interface Seen {
  readonly status: string;
  readonly epoch: number;
  readonly restarts: number;
  readonly nextAttemptMs: number | undefined;
  /** What was handled and heard, in order. */
  readonly log: readonly string[];
  readonly dropped: readonly string[];
  readonly accepted: readonly number[];
  readonly refused: readonly number[];
  readonly parkedDelaysMs: readonly (number | undefined)[];
  readonly escalated: number;
}

export class UnitModel {
  readonly #setting: Setting;
  #nowMs = 0;
  #status = "running";
  #epoch = 1;
  // The window, the waits, the slow lane.
  #grantedMs: readonly number[] = [];
  #attempt = 0;
  #slowTries = 0;
  #slowUntilMs = -Infinity;
  #isAlive = false;
  #isStable = false;
  #stableAtMs = Infinity;
  /** Every ended incarnation is closed then. */
  #closedAtMs = 0;
  /** The wait that begins when it is closed. */
  #waitMs = 0;
  #attemptAtMs: number | undefined;
  readonly #mail: MailModel;
  #inFlight: { readonly message: Message; readonly endsAtMs: number } | undefined;
  readonly #wasSetAside = new Set<number>();
  #watched = new Set<number>();
  readonly #stopped = new Set<number>();
  readonly #log: string[] = [];
  readonly #parkedDelaysMs: (number | undefined)[] = [];
  #escalated = 0;

  constructor(setting: Setting) {
    this.#setting = setting;
    this.#mail = new MailModel(setting.overflow);
  }

  seen(): Seen {
    return {
      status: this.#status,
      epoch: this.#epoch,
      restarts: this.#recent().length,
      nextAttemptMs: this.#attemptAtMs,
      log: [...this.#log],
      dropped: [...this.#mail.dropped],
      accepted: [...this.#mail.accepted],
      refused: [...this.#mail.refused],
      parkedDelaysMs: [...this.#parkedDelaysMs],
      escalated: this.#escalated,
    };
  }

  // Commands

  tell(message: Message): "ok" | "full" | "dropped" | "dead" {
    return this.#takesMessages() ? this.#mail.tell(message) : "dead";
  }

  offer(message: Message): void {
    if (this.#takesMessages()) this.#mail.offer(message);
    else this.#mail.refused.push(message.id);
  }

  fail(): void {
    if (this.#status === "running") this.#fail("other", true);
  }

  alive(): void {
    if (this.#status !== "running") return;
    this.#isAlive = true;
    this.#recover();
  }

  restart(): void {
    if (this.#status === "stopping" || this.#status === "stopped") return;
    if (this.#status === "parked") this.#forgive();
    this.#end("epoch-ended");
    this.#backOff(0);
  }

  stop(): void {
    if (this.#status === "stopping" || this.#status === "stopped") return;
    this.#leave();
    this.#status = "stopping";
    this.#watched.clear();
    if (this.#inFlight?.message.how === "hang") {
      this.#hung();
      // From here on the close's deadline is the one that counts.
      this.#inFlight = { message: this.#inFlight.message, endsAtMs: Infinity };
    }
    if (this.#inFlight === undefined) this.#mail.giveBack();
    this.#stopWhenClosed();
  }

  watch(target: number): void {
    if (this.#status !== "running" || this.#watched.has(target)) return;
    this.#watched.add(target);
    if (this.#stopped.has(target)) this.#mail.follow(target);
  }

  stopTarget(target: number): void {
    if (this.#stopped.has(target)) return;
    this.#stopped.add(target);
    if (this.#watched.has(target)) this.#mail.follow(target);
  }

  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let next = this.#next(); next !== undefined && next.atMs <= untilMs; next = this.#next()) {
      this.#nowMs = next.atMs;
      next.happens();
      this.settle();
    }
    this.#nowMs = untilMs;
  }

  // Time

  #next(): { readonly atMs: number; readonly happens: () => void } | undefined {
    const due = [
      { atMs: this.#stableAtMs, happens: () => this.#becomeStable() },
      { atMs: this.#inFlight?.endsAtMs ?? Infinity, happens: () => this.#handlerEnds() },
      { atMs: this.#attemptAtMs ?? Infinity, happens: () => this.#attemptIsDue() },
      { atMs: this.#settlesAtMs(), happens: () => this.#settled() },
      { atMs: this.#forcedAtMs, happens: () => this.#forced() },
    ].filter(({ atMs }) => atMs < Infinity);
    return due.toSorted((left, right) => left.atMs - right.atMs)[0];
  }

  get #forcedAtMs(): number {
    const isHanging = this.#status === "stopping" && this.#inFlight?.message.how === "hang";
    return isHanging ? this.#closedAtMs - TIMES.forcedCloseMs : Infinity;
  }

  /** A handler that hangs is given up when its unit's close is forced. */
  #forced(): void {
    if (this.#inFlight !== undefined) this.#mail.drop("epoch-ended", this.#inFlight.message);
    this.#inFlight = undefined;
    this.#mail.giveBack();
  }

  #settlesAtMs(): number {
    if (this.#status === "backing-off" && this.#attemptAtMs === undefined) return this.#closedAtMs;
    if (this.#status !== "stopping" || this.#inFlight !== undefined) return Infinity;
    return this.#closedAtMs;
  }

  #settled(): void {
    if (this.#status === "stopping") return this.#stopWhenClosed();
    if (this.#waitMs === 0) return this.#open();
    this.#attemptAtMs = this.#nowMs + this.#waitMs;
  }

  #attemptIsDue(): void {
    this.#attemptAtMs = undefined;
    if (this.#status === "parked") {
      this.#status = "backing-off";
      return this.#backOff(0);
    }
    this.#open();
  }

  #handlerEnds(): void {
    const { message } = this.#inFlight ?? {};
    if (message === undefined) return;
    this.#inFlight = undefined;
    if (message.how === "wait") this.#log.push(`${message.id}`);
    else this.#mail.drop("handler-overdue", message);
    if (message.how === "hang") {
      this.#hung();
      this.#fail("other", false);
    }
    this.#stopWhenClosed();
  }

  #becomeStable(): void {
    this.#stableAtMs = Infinity;
    this.#isStable = true;
    this.#recover();
  }

  #recover(): void {
    if (!this.#isStable || !this.#isAlive) return;
    this.#isStable = false;
    this.#attempt = 0;
    this.#slowTries = 0;
  }

  // Course

  #open(): void {
    this.#status = "running";
    this.#epoch++;
    this.#watch();
    this.settle();
  }

  #watch(): void {
    this.#isStable = false;
    this.#stableAtMs =
      this.#attempt === 0 && this.#slowTries === 0 ? Infinity : this.#nowMs + TIMES.resetAfterMs;
  }

  #leave(): void {
    this.#attemptAtMs = undefined;
    this.#stableAtMs = Infinity;
    this.#isAlive = false;
    this.#isStable = false;
  }

  /** The incarnation is over at once. */
  #end(why: DropReason): void {
    this.#leave();
    if (this.#inFlight !== undefined) {
      this.#mail.drop(why, this.#inFlight.message);
      if (this.#inFlight.message.how === "hang") this.#hung();
      this.#inFlight = undefined;
    }
    this.#watched.clear();
    this.#mail.over();
  }

  /** Its handler never ends, so closing takes all the time there is. */
  #hung(): void {
    const closeMs = TIMES.closeDeadlineMs + TIMES.forcedCloseMs;
    this.#closedAtMs = Math.max(this.#closedAtMs, this.#nowMs + closeMs);
  }

  #backOff(waitMs: number): void {
    this.#status = "backing-off";
    this.#waitMs = waitMs;
    this.#attemptAtMs = undefined;
    if (this.#closedAtMs <= this.#nowMs) this.#settled();
  }

  #park(isTriedAgain: boolean): void {
    this.#end("epoch-ended");
    this.#status = "parked";
    this.#mail.close("unit-parked");
    let delayMs: number | undefined;
    if (isTriedAgain) {
      if (this.#nowMs >= this.#slowUntilMs) this.#slowTries = 0;
      this.#slowTries++;
      delayMs = MINUTE_MS * Math.min(60, this.#slowTries * this.#slowTries + this.#slowTries);
      this.#slowUntilMs = this.#nowMs + 2 * delayMs;
      this.#attemptAtMs = this.#nowMs + delayMs;
    }
    this.#parkedDelaysMs.push(delayMs);
  }

  #forgive(): void {
    this.#grantedMs = [];
    this.#attempt = 0;
    this.#slowTries = 0;
  }

  #stopWhenClosed(): void {
    if (this.#status !== "stopping" || this.#inFlight !== undefined) return;
    if (this.#closedAtMs > this.#nowMs) return;
    this.#status = "stopped";
    this.#mail.giveBack();
    this.#mail.close("unit-stopped");
  }

  // Failures

  #recent(): readonly number[] {
    return this.#grantedMs.filter((grantedMs) => this.#nowMs - grantedMs < TIMES.withinMs);
  }

  #fail(thrown: Thrown, isResumable: boolean): void {
    const { maxRestarts, onExhausted } = this.#setting;
    const directive = this.#directive(thrown);
    if (directive === "resume" && isResumable) return this.#watch();
    if (directive === "stop") return this.#stopNow();
    if (directive === "escalate") return this.#escalate();
    const isSlow = this.#slowTries > 0 && this.#nowMs < this.#slowUntilMs;
    if (isSlow || this.#recent().length >= maxRestarts) {
      if (onExhausted === "stop") return this.#stopNow();
      if (onExhausted === "escalate") return this.#escalate();
      return this.#park(maxRestarts > 0);
    }
    this.#grantedMs = [...this.#recent(), this.#nowMs];
    const delayMs = Math.min(TIMES.maxMs, TIMES.minMs * 2 ** this.#attempt);
    this.#attempt++;
    this.#end("epoch-ended");
    this.#backOff(delayMs);
  }

  #directive(thrown: Thrown): "resume" | "restart" | "stop" | "escalate" {
    if (thrown === "range") return "resume";
    if (thrown === "type") return "restart";
    return this.#setting.directive === "throw" ? "escalate" : this.#setting.directive;
  }

  #stopNow(): void {
    this.#end("epoch-ended");
    this.#status = "stopping";
    this.#stopWhenClosed();
  }

  #escalate(): void {
    this.#escalated++;
    this.#park(false);
  }

  // Messages

  #takesMessages(): boolean {
    return this.#status === "running" || this.#status === "backing-off";
  }

  /** Handles what waits, until there is something to wait for. */
  settle(): void {
    while (this.#status === "running" && this.#inFlight === undefined) {
      const mail = this.#mail.take();
      if (mail === undefined) return;
      this.#take(mail);
    }
  }

  #take(mail: Mail): void {
    if (mail.kind === "message") this.#handle(mail.message);
    else this.#log.push(`end of ${mail.target}`);
  }

  #handle(message: Message): void {
    const { id, how } = message;
    switch (how) {
      case "handle":
        return void this.#log.push(`${id}`);
      case "wait":
        this.#inFlight = { message, endsAtMs: this.#nowMs + TIMES.waitMs };
        return;
      case "hang":
        this.#inFlight = { message, endsAtMs: this.#nowMs + TIMES.handleDeadlineMs };
        return;
      case "throw":
        return this.#failHandling(message, "range");
      case "reject":
        return this.#failHandling(message, "type");
      case "fail":
        this.#log.push(`${id}`);
        return this.#fail("type", true);
      case "set-aside":
      case "set-aside-and-fail":
        return this.#setAside(message);
      case "give-back":
        this.#log.push(`${id}`);
        return this.#mail.giveBack();
    }
  }

  #setAside(message: Message): void {
    if (this.#wasSetAside.has(message.id)) return void this.#log.push(`${message.id}`);
    if (!this.#mail.setAside(message)) return this.#failHandling(message, "other");
    this.#wasSetAside.add(message.id);
    if (message.how === "set-aside-and-fail") this.#fail("type", true);
  }

  #failHandling(message: Message, thrown: Thrown): void {
    this.#mail.drop("handler-failed", message);
    this.#fail(thrown, true);
  }
}
