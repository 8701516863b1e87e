/**
 * What a unit or a group tells of itself: events, the messages it drops, and that it has stopped. Everything goes
 * through the tree's outbox, in the order in which it happened.
 */
import type { Directive, DropReason, UnitEvent } from "../src/contract/unit.ts";
import { Dropped } from "./dropped.ts";
import type { Outbox } from "./outbox.ts";
import type { Restarts } from "./restarts.ts";

/** Who listens to a tree. */
export interface Audience {
  readonly outbox: Outbox;
  readonly onEvent: (event: UnitEvent) => void;
}

/** See the file's head. */
export class Announcer {
  readonly unit: string;
  readonly #audience: Audience;
  // Made when they are used: few units drop messages or are watched.
  #dropped: Dropped | undefined;
  #stopListeners: Set<() => void> | undefined;

  constructor(unit: string, audience: Audience) {
    this.unit = unit;
    this.#audience = audience;
  }

  emit(event: UnitEvent): void {
    // Drops before it and after it are not one.
    this.#dropped?.seal();
    this.#post(() => event);
  }

  failed(
    epoch: number,
    { count, maxRestarts }: Restarts,
    error: Error,
    directive: Directive,
  ): void {
    const { unit } = this;
    this.emit({ kind: "failed", unit, epoch, error, directive, restarts: count, maxRestarts });
  }

  dropped(epoch: number, why: DropReason, message: unknown): void {
    this.#dropped ??= new Dropped(this.unit, (event) => this.#post(event));
    this.#dropped.add(epoch, why, message);
  }

  droppedAll(epoch: number, why: DropReason, messages: readonly unknown[]): void {
    if (messages.length === 0) return;
    this.#dropped ??= new Dropped(this.unit, (event) => this.#post(event));
    this.#dropped.addAll(epoch, why, messages);
  }

  /** Calls once, after {@link stopped} or, when it has stopped, soon. The result takes it back. */
  onStopped(listener: () => void, hasStopped: boolean): () => void {
    if (hasStopped) {
      this.#audience.outbox.post(listener);
      return () => undefined;
    }
    // Each call is one of its own, even with the same function.
    const called = (): void => listener();
    this.#stopListeners ??= new Set();
    this.#stopListeners.add(called);
    return () => void this.#stopListeners?.delete(called);
  }

  stopped(epoch: number): void {
    this.emit({ kind: "stopped", unit: this.unit, epoch });
    for (const listener of this.#stopListeners ?? []) this.#audience.outbox.post(listener);
    this.#stopListeners = undefined;
  }

  #post(event: () => UnitEvent): void {
    const { outbox, onEvent } = this.#audience;
    outbox.post(() => onEvent(event()));
  }
}
