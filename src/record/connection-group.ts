/**
 * All connections of one incarnation: paused, resumed, acknowledged and ended together.
 */
import type { ReceiverContext } from "../contract/receiver.ts";
import { toError } from "../errors.ts";
import { PeerWarnings } from "./peer-warnings.ts";

/** A connection as its group sees it. */
export interface GroupedConnection {
  pause(): void;
  /** There is room again: what was held goes first. */
  resume(): void;
  /** Reads nothing more; what was read is settled. May be called twice. */
  stop(): void;
  /** Ends at once; what is held is lost for this reason. */
  destroy(cause: Error): void;
  /** Tells its peer what is on disk, if that has grown. */
  acknowledge(): void;
}

type GroupContext = Pick<
  ReceiverContext<unknown>,
  "guard" | "signal" | "connections" | "clock" | "logger"
>;

/** See the file's head. */
export class ConnectionGroup<C extends GroupedConnection> {
  /** What is said of connections that end before their time. */
  readonly warnings: PeerWarnings;
  readonly #context: GroupContext;
  /** Connected, or with something left to store. */
  readonly #connections = new Set<C>();
  readonly #toAcknowledge = new Set<C>();
  #connectedCount = 0;
  #isPaused = false;
  #closing: Promise<void> | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor(context: GroupContext) {
    this.#context = context;
    this.warnings = new PeerWarnings(context);
    // It has failed: `close` comes later, and by then more might have been read.
    const stop = context.guard(() => this.#stopAll());
    context.signal.addEventListener("abort", stop, { once: true });
  }

  get connectedCount(): number {
    return this.#connectedCount;
  }

  /** Between `pause` and `resume` of the engine. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Nobody is let in any more. */
  get isOver(): boolean {
    return this.#closing !== undefined || this.#context.signal.aborted;
  }

  add(connection: C): void {
    this.#connections.add(connection);
    this.#connectedCount++;
    this.#context.connections(this.#connectedCount);
  }

  /** The socket of one is gone; it may have something left to store. */
  disconnected(): void {
    this.#connectedCount--;
    this.#context.connections(this.#connectedCount);
  }

  /** One is gone and has nothing left to store. */
  settled(connection: C): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  /** Calls `acknowledge` of the connection once, after everything that resolved in this turn: one count per group commit. */
  acknowledgeSoon(connection: C): void {
    // Blocks of one group commit resolve in one go; this runs after the last of them.
    if (this.#toAcknowledge.size === 0)
      queueMicrotask(this.#context.guard(() => this.#acknowledge()));
    this.#toAcknowledge.add(connection);
  }

  pause(): void {
    this.#isPaused = true;
    for (const connection of this.#connections) connection.pause();
  }

  resume(): void {
    this.#isPaused = false;
    for (const connection of this.#connections) {
      // What is held may fill the log again: then `pause` was called inside.
      if (this.#isPaused) return;
      connection.resume();
    }
  }

  /**
   * Calls `closeListener`, stops all, and resolves when none has anything left and the listener is closed; its signal
   * aborts when none is left. Ends all at once when `signal` aborts. May be called twice.
   */
  close(
    signal: AbortSignal,
    closeListener: (settled: AbortSignal) => Promise<void>,
  ): Promise<void> {
    this.#closing ??= this.#stop(closeListener);
    const destroyAll = (): void => {
      for (const connection of this.#connections) connection.destroy(toError(signal.reason));
      this.#whenEmpty?.();
    };
    if (signal.aborted) destroyAll();
    else signal.addEventListener("abort", destroyAll, { once: true });
    return this.#closing.finally(() => signal.removeEventListener("abort", destroyAll));
  }

  async #stop(closeListener: (settled: AbortSignal) => Promise<void>): Promise<void> {
    const empty = new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
    const settled = new AbortController();
    const closed = closeListener(settled.signal);
    this.#stopAll();
    if (this.#connections.size > 0) await empty;
    settled.abort();
    await closed;
  }

  #stopAll(): void {
    for (const connection of this.#connections) connection.stop();
  }

  #acknowledge(): void {
    const resolved = [...this.#toAcknowledge];
    this.#toAcknowledge.clear();
    for (const connection of resolved) connection.acknowledge();
  }
}
