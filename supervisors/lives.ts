/**
 * The incarnations of one unit, one after the other: each is over before the next begins, and of what they report only
 * the newest one's counts.
 */
import { Aftermath } from "../src/actor/aftermath.ts";
import type { Signal } from "../src/actor/drain.ts";
import { Incarnation, type Keeper, type Phase } from "../src/actor/incarnation.ts";
import type { UnitLimits } from "../src/actor/limits.ts";
import type { Mailbox } from "../src/actor/mailbox.ts";
import type { ShellParent } from "../src/actor/shell.ts";
import type { DropReason, UnitDefinition } from "../src/contract/unit.ts";
import type { Clock } from "../src/host/clock.ts";
import type { Announcer } from "./announcer.ts";

/** Hears of the incarnation that counts. */
export interface LivesOwner {
  opened(): void;
  /** Resumes or ends the incarnation before it returns. */
  failed(phase: Phase, error: Error): void;
  /** The unit has done its work. */
  done(): void;
  alive(): void;
}

/** What lives are made with. */
export interface LivesParts<Message> {
  readonly definition: UnitDefinition<Message>;
  readonly limits: UnitLimits;
  readonly mailbox: Mailbox<Signal, Message>;
  readonly shells: ShellParent;
  readonly clock: Clock;
  /** Of a stopped unit that had this name, or 0. */
  readonly lastEpoch: number;
  readonly owner: LivesOwner;
  readonly announcer: Announcer;
}

/** See the file's head. */
export class Lives<Message> implements Keeper<Message> {
  readonly definition: UnitDefinition<Message>;
  readonly limits: UnitLimits;
  readonly mailbox: Mailbox<Signal, Message>;
  readonly shells: ShellParent;
  readonly clock: Clock;
  readonly #owner: LivesOwner;
  readonly #announcer: Announcer;
  readonly #firstEpoch: number;
  /** Made when the first incarnation ends. */
  #aftermath: Aftermath | undefined;
  #epoch: number;
  /** Incarnations of which something is left. */
  #remaining = 0;
  #current: Incarnation<Message> | undefined;
  /** The last one is being closed: nothing it reports leads to anything. */
  #isClosing = false;

  constructor(parts: LivesParts<Message>) {
    const { definition, limits, mailbox, shells, clock, lastEpoch, owner, announcer } = parts;
    this.definition = definition;
    this.limits = limits;
    this.mailbox = mailbox;
    this.shells = shells;
    this.clock = clock;
    this.#owner = owner;
    this.#announcer = announcer;
    this.#firstEpoch = lastEpoch + 1;
    this.#epoch = lastEpoch;
  }

  get path(): string {
    return this.#announcer.unit;
  }

  /** Of the newest incarnation. */
  get epoch(): number {
    return this.#epoch;
  }

  get isFirst(): boolean {
    return this.#epoch === this.#firstEpoch;
  }

  /** The incarnation that counts; undefined between two. */
  get current(): Incarnation<Message> | undefined {
    return this.#current;
  }

  /** Nothing of any incarnation is left, nothing that was accepted is unsettled. */
  get isGone(): boolean {
    return this.#remaining === 0;
  }

  /** The next one begins. */
  begin(): void {
    this.#epoch++;
    this.#current = new Incarnation(this, this.#epoch);
    this.#remaining++;
    this.#current.open();
  }

  /** The current one is over at once; it is closed when `closeAfter` has resolved. */
  end(reason: Error, closeAfter: Promise<unknown>): void {
    const ended = this.#current;
    this.#current = undefined;
    if (ended === undefined) return;
    ended.end(reason);
    this.#left().closing(closeAfter.then(() => ended.close()));
  }

  /** The current one is closed in order, its work still counts until then. None follows. */
  close(): void {
    this.#isClosing = true;
    if (this.#current !== undefined) this.#left().closing(this.#current.close());
  }

  /** Resolves when everything is closed and what was accepted is settled; with an error when it takes too long. */
  settled(limitMs: number): Promise<Error | undefined> {
    return this.#left().settled(limitMs);
  }

  // As the keeper of each

  opened(epoch: number): void {
    if (this.#counts(epoch)) this.#owner.opened();
  }

  failed(epoch: number, phase: Phase, error: Error): void {
    if (this.#counts(epoch)) this.#owner.failed(phase, error);
    else this.closeFailed(epoch, error);
  }

  done(epoch: number): void {
    if (this.#counts(epoch)) this.#owner.done();
  }

  alive(epoch: number): void {
    if (this.#counts(epoch)) this.#owner.alive();
  }

  dropped(epoch: number, why: DropReason, message: Message): void {
    this.#announcer.dropped(epoch, why, message);
  }

  over(epoch: number): void {
    this.#remaining++;
    this.#left().fence(
      () => this.#fence(epoch + 1),
      (error) => this.closeFailed(epoch, error),
    );
  }

  closeFailed(epoch: number, error: Error): void {
    this.#announcer.emit({ kind: "late-result-ignored", unit: this.path, epoch, error });
  }

  gone(): void {
    this.#remaining--;
  }

  async #fence(nextEpoch: number): Promise<void> {
    try {
      await this.definition.fence?.(nextEpoch);
    } finally {
      this.#remaining--;
    }
  }

  #counts(epoch: number): boolean {
    return this.#current?.epoch === epoch && !this.#isClosing;
  }

  #left(): Aftermath {
    this.#aftermath ??= new Aftermath(this.path, this.clock);
    return this.#aftermath;
  }
}
