/**
 * Handling: takes what waits in a unit's mailbox, one after the other, for one incarnation. Between two messages
 * nothing else of this unit runs.
 *
 * A message in flight ends in one place: handled, set aside, or dropped with a reason.
 */
import assert from "node:assert";
import type { DropReason, UnitSession } from "../contract/unit.ts";
import { HoldfastError } from "../errors.ts";
import type { Cancel, Clock } from "../host/clock.ts";
import type { UnitLimits } from "./limits.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Shell } from "./shell.ts";
import type { Watch } from "./watches.ts";

/** What comes to a unit beside its messages. */
export type Signal =
  /** The unit of this epoch was resumed from this error. */
  | { readonly kind: "resumed"; readonly epoch: number; readonly cause: Error }
  | { readonly kind: "terminated"; readonly watch: Watch };

/** The incarnation that messages are handled for. */
export interface DrainParts<Message> {
  readonly path: string;
  readonly epoch: number;
  readonly mailbox: Mailbox<Signal, Message>;
  readonly limits: UnitLimits;
  readonly clock: Clock;
  /** It is open and not closing. */
  isHandling(): boolean;
  failed(cause: unknown): void;
  /** Its `resumed` threw: nothing is left that could go on. */
  resumeFailed(cause: unknown): void;
  overdue(tookMs: number): void;
  dropped(why: DropReason, message: Message): void;
}

/** Messages handled before other work gets its turn. */
export const DRAIN_MESSAGES_MAX = 256;
/** Milliseconds of handling before other work gets its turn. */
const DRAIN_MS_MAX = 2;

/** See the file's head. */
export class Drain<Message> {
  readonly #parts: DrainParts<Message>;
  #session: UnitSession<Message> | undefined;
  #shell: Shell | undefined;
  /** A ring is on its way or answered. It belongs to this incarnation, so a new one rings anew. */
  #isRung = false;
  /** The handler in flight has outlived its deadline. */
  #isHung = false;
  /** What becomes of the message in flight when its handler ends now. */
  #flight: "none" | "handled" | "stashed" | "dropped" = "none";
  #message: Message | undefined;
  /** Of a handler that is awaited. Never rejects. */
  #handling: Promise<void> | undefined;
  #cancelDeadline: Cancel | undefined;

  constructor(parts: DrainParts<Message>) {
    this.#parts = parts;
  }

  /** Closing need not wait for a handler that hangs: it may be what frees it. */
  get isHung(): boolean {
    return this.#isHung;
  }

  /** Of the handler in flight. Never rejects. */
  get handling(): Promise<void> | undefined {
    return this.#handling;
  }

  /** Handling begins. */
  begin(session: UnitSession<Message>, shell: Shell | undefined): void {
    this.#session = session;
    this.#shell = shell;
    this.ring();
  }

  /** Something is in the mailbox. */
  ring(): void {
    if (this.#isRung || !this.#parts.isHandling() || this.#parts.mailbox.isEmpty) return;
    this.#isRung = true;
    this.#shell?.ring();
  }

  /** The incarnation is over. What is in flight is dropped, what is set aside is the next one's. */
  end(): void {
    if (this.#handling !== undefined) this.#drop("epoch-ended");
    // A handler that ends its own incarnation is still running: what it has set aside is set aside.
    else if (this.#flight === "stashed") this.#land();
    this.#cancelDeadline?.();
    this.#parts.mailbox.unstash();
    this.#session = undefined;
  }

  /** One ring's work. Never rejects. */
  async answer(): Promise<void> {
    const { mailbox, clock } = this.#parts;
    const untilMs = clock.monotonicMs() + DRAIN_MS_MAX;
    for (let count = 0; count < DRAIN_MESSAGES_MAX && this.#parts.isHandling(); count++) {
      const signal = mailbox.takeSignal();
      if (signal === undefined && mailbox.messageCount === 0) break;
      const pending =
        signal === undefined ? this.#handle(mailbox.takeMessage()) : this.#notice(signal);
      // Awaited only when there is something to wait for: most handlers are synchronous.
      if (pending !== undefined) await pending;
      if (clock.monotonicMs() >= untilMs) break;
    }
    this.#isRung = false;
    this.ring();
  }

  // What handlers ask for

  stash(): void {
    const { mailbox, path } = this.#parts;
    if (this.#flight === "stashed" || this.#flight === "dropped") return;
    // Called too late, by something that its unit has left behind.
    if (this.#flight === "none" && !this.#parts.isHandling()) return;
    assert(this.#flight === "handled", `${path}: stash() while no message is being handled`);
    if (mailbox.isStashFull)
      throw new HoldfastError(
        "UNIT_STASH_FULL",
        `${path}: ${this.#parts.limits.mailboxMax} messages are set aside, which is the most`,
        { fix: "call unstashAll() when what is waited for has come, or raise mailboxMax" },
      );
    this.#flight = "stashed";
  }

  unstashAll(): void {
    if (!this.#parts.isHandling()) return;
    this.#parts.mailbox.unstash();
    this.ring();
  }

  // Messages

  #handle(message: Message): Promise<void> | undefined {
    const session = this.#session;
    if (session?.handle === undefined) {
      this.#parts.dropped("no-handler", message);
      return undefined;
    }
    this.#message = message;
    this.#flight = "handled";
    try {
      const pending = session.handle(message);
      if (pending !== undefined) return this.#wait(pending);
      this.#land();
    } catch (cause) {
      this.#handlerFailed(cause);
    }
    return undefined;
  }

  #notice(signal: Signal): Promise<void> | undefined {
    if (signal.kind === "resumed") return this.#resumed(signal);
    const session = this.#session;
    if (!signal.watch.isOn) return undefined;
    const { path } = signal.watch;
    try {
      if (session?.terminated === undefined) throw unheard(this.#parts.path, path);
      const pending = session.terminated(path);
      return pending === undefined ? undefined : this.#wait(pending);
    } catch (cause) {
      this.#handlerFailed(cause);
      return undefined;
    }
  }

  #resumed({ epoch, cause }: Extract<Signal, { kind: "resumed" }>): undefined {
    if (epoch !== this.#parts.epoch) return;
    try {
      this.#session?.resumed?.(cause);
    } catch (thrown) {
      this.#parts.resumeFailed(thrown);
    }
  }

  #wait(pending: Promise<void>): Promise<void> {
    this.#handling = this.#awaitHandler(pending);
    return this.#handling;
  }

  async #awaitHandler(pending: Promise<void>): Promise<void> {
    const { clock, limits } = this.#parts;
    const startMs = clock.monotonicMs();
    const cancel = clock.after(limits.handleDeadlineMs, () => {
      // A close has a deadline of its own, and until then what is in flight may end.
      if (this.#session !== undefined && !this.#parts.isHandling()) return;
      this.#isHung = true;
      this.#drop("handler-overdue");
      this.#parts.overdue(clock.monotonicMs() - startMs);
    });
    this.#cancelDeadline = cancel;
    try {
      await pending;
      this.#land();
    } catch (cause) {
      this.#handlerFailed(cause);
    } finally {
      cancel();
      this.#cancelDeadline = undefined;
      this.#handling = undefined;
    }
  }

  #handlerFailed(cause: unknown): void {
    this.#drop("handler-failed");
    this.#flight = "none";
    this.#parts.failed(cause);
  }

  /** The handler has ended well. */
  #land(): void {
    // There is a message where one is set aside; it may be undefined itself.
    if (this.#flight === "stashed") this.#parts.mailbox.stash(this.#message as Message);
    this.#flight = "none";
    this.#message = undefined;
  }

  #drop(why: DropReason): void {
    if (this.#flight === "none" || this.#flight === "dropped") return;
    this.#flight = "dropped";
    this.#parts.dropped(why, this.#message as Message);
    this.#message = undefined;
  }
}

function unheard(path: string, watched: string): HoldfastError {
  return new HoldfastError(
    "UNIT_TERMINATED",
    `${path}: watches ${watched}, which has stopped, and its session has no terminated()`,
    { fix: "give the session a terminated(path)" },
  );
}
