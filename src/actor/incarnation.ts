/**
 * One life of a unit: open, handle what is queued, run, close. It decides nothing; it reports, once, how it ended.
 */
import type { UnitContext, UnitDefinition, UnitSession } from "../contract/unit.ts";
import { HoldfastError, toError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Shell, ShellParent } from "./shell.ts";

/** When a failure happened. */
export type Phase = "open" | "handle" | "run" | "external" | "deadline";

/** What an incarnation tells its supervisor. After `failed` it handles nothing until it is resumed or replaced. */
export interface Reports {
  opened(): void;
  failed(phase: Phase, error: Error): void;
  /** `run` resolved: the unit has done its work. */
  done(): void;
  alive(): void;
}

/** What makes an incarnation. */
export interface IncarnationParts<Message> {
  readonly definition: UnitDefinition<Message>;
  readonly path: string;
  readonly epoch: number;
  /** The unit's queue, which outlives this incarnation. */
  readonly mailbox: Mailbox<never, Message>;
  readonly shells: ShellParent;
  readonly clock: Clock;
  readonly reports: Reports;
}

/** Deadlines where a definition has none, milliseconds. */
export const DEADLINE_DEFAULTS = { open: 30_000, handle: 30_000, close: 5_000 } as const;
/** Messages handled before other work gets its turn. */
const DRAIN_MESSAGES_MAX = 256;
/** Milliseconds of handling before other work gets its turn. */
const DRAIN_MS_MAX = 2;

/** See the file's head. */
export class Incarnation<Message> {
  readonly #parts: IncarnationParts<Message>;
  readonly #abort = new AbortController();
  readonly #shell: Shell;
  #session: UnitSession<Message> | undefined;
  /** A ring is on its way: it belongs to this incarnation, so a new one rings anew. */
  #isRung = false;
  #isHandling = false;
  #isSuspended = true;
  #isClosed = false;

  constructor(parts: IncarnationParts<Message>) {
    this.#parts = parts;
    this.#shell = parts.shells.spawn(`${parts.definition.name}.${parts.epoch}`, () =>
      this.#drain(),
    );
  }

  /** Opens the unit within its deadline and starts handling. */
  async open(): Promise<void> {
    const { definition, path, epoch, reports } = this.#parts;
    const context: UnitContext = {
      path,
      epoch,
      signal: this.#abort.signal,
      fail: (cause) => reports.failed("external", toError(cause)),
      alive: () => reports.alive(),
    };
    const opening = Promise.resolve().then(() => definition.open(context));
    let session: UnitSession<Message>;
    try {
      session = await this.#within(
        opening,
        definition.openDeadlineMs ?? DEADLINE_DEFAULTS.open,
        "open",
      );
    } catch (cause) {
      // One that opens after its deadline holds something: it is closed as soon as it is there.
      opening.then((late) => this.#closeSession(late)).catch(() => undefined);
      reports.failed(phaseOf(cause, "open"), toError(cause));
      return;
    }
    if (this.#isClosed) return void (await this.#closeSession(session));
    this.#session = session;
    this.#isSuspended = false;
    reports.opened();
    this.ring();
    if (session.run === undefined) return;
    Promise.resolve()
      .then(() => session.run?.())
      .then(
        () => reports.done(),
        (cause: unknown) => reports.failed("run", toError(cause)),
      );
  }

  /** Something is in the mailbox. */
  ring(): void {
    if (this.#isRung || this.#isSuspended || this.#isClosed || this.#parts.mailbox.length === 0)
      return;
    this.#isRung = true;
    this.#shell.ring();
  }

  /** Handles nothing until `resume`. */
  suspend(): void {
    this.#isSuspended = true;
  }

  /** Goes on with its state after an error that was decided so. Whether it could: an unopened unit has no state. */
  resume(cause: Error): boolean {
    if (this.#session === undefined || this.#isClosed) return false;
    try {
      this.#session.resumed?.(cause);
    } catch (thrown) {
      this.#parts.reports.failed("handle", toError(thrown));
      return true;
    }
    this.#isSuspended = false;
    this.ring();
    return true;
  }

  /** From now on nothing it does has an effect. Synchronous. */
  fence(reason: Error): void {
    this.#isClosed = true;
    this.#isSuspended = true;
    this.#shell.stop();
    this.#abort.abort(reason);
  }

  /** Frees what it holds. Resolves within the deadline; false when it did not make it. */
  async close(): Promise<boolean> {
    const session = this.#session;
    this.#session = undefined;
    this.#isClosed = true;
    this.#isSuspended = true;
    this.#shell.stop();
    const closed = session === undefined ? true : await this.#closeSession(session);
    this.#abort.abort(
      new HoldfastError("UNIT_STOPPED", `${this.#parts.path}: epoch ${this.#parts.epoch} is over`),
    );
    return closed;
  }

  async #closeSession(session: UnitSession<Message>): Promise<boolean> {
    const force = new AbortController();
    const limitMs = this.#parts.definition.closeDeadlineMs ?? DEADLINE_DEFAULTS.close;
    const closing = Promise.resolve().then(() => session.close(force.signal));
    // Its error is not the unit's any more: the incarnation is over. It must not become the process's either.
    const settled = closing.then(
      () => true,
      () => true,
    );
    const isInTime = await this.#race(settled, limitMs);
    if (isInTime) return true;
    force.abort(
      new HoldfastError(
        "UNIT_DEADLINE",
        `${this.#parts.path}: close took longer than ${limitMs} ms`,
      ),
    );
    return await this.#race(settled, FORCED_CLOSE_MS);
  }

  #race(settled: Promise<boolean>, limitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.#parts.clock.after(limitMs, () => resolve(false));
      void settled.then(resolve).finally(cancel);
    });
  }

  #within<T>(work: Promise<T>, limitMs: number, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = (): void =>
        reject(
          new HoldfastError(
            "UNIT_DEADLINE",
            `${this.#parts.path}: ${what} took longer than ${limitMs} ms`,
          ),
        );
      const cancel = this.#parts.clock.after(limitMs, late);
      work.then(resolve, reject).finally(cancel);
    });
  }

  #drain(): void {
    this.#isRung = false;
    if (this.#isHandling) return;
    const { mailbox, clock, definition } = this.#parts;
    const startMs = clock.monotonicMs();
    for (
      let count = 0;
      count < DRAIN_MESSAGES_MAX && clock.monotonicMs() - startMs < DRAIN_MS_MAX;
      count++
    ) {
      if (this.#isSuspended) return;
      const mail = mailbox.take();
      if (mail === undefined) return;
      if (mail.lane === "system") continue;
      let pending: void | Promise<void>;
      try {
        pending = this.#session?.handle?.(mail.message);
      } catch (cause) {
        return this.#parts.reports.failed("handle", toError(cause));
      }
      if (pending instanceof Promise)
        return void this.#await(pending, definition.handleDeadlineMs ?? DEADLINE_DEFAULTS.handle);
    }
    this.ring();
  }

  /** One handler at a time: the next message waits for it, within the deadline. */
  async #await(pending: Promise<void>, limitMs: number): Promise<void> {
    this.#isHandling = true;
    try {
      await this.#within(pending, limitMs, "handle");
      this.#isHandling = false;
      this.ring();
    } catch (cause) {
      this.#isHandling = false;
      this.#parts.reports.failed(phaseOf(cause, "handle"), toError(cause));
    }
  }
}

function phaseOf(cause: unknown, phase: Phase): Phase {
  return cause instanceof HoldfastError && cause.code === "UNIT_DEADLINE" ? "deadline" : phase;
}

/** What a forced close gets before the unit is named as not stopped. */
const FORCED_CLOSE_MS = 1_000;
