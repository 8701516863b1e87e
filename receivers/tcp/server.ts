/**
 * The listening side: accepts connections within the limit, pauses and resumes them, and ends them in order.
 */
import type { ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import { toError } from "../../src/errors.ts";
import { Workspace } from "../../src/framing/index.ts";
import type { Connection, Endpoint, Listener } from "../../src/host/sockets.ts";
import { type Access, accessOf, refusalOfNames } from "../../src/access.ts";
import { type ConnectionOwner, TcpConnection } from "./connection.ts";
import type { TcpOptions } from "./options.ts";
import { Sessions } from "./session.ts";

/** Connections that wait to be accepted. */
const BACKLOG = 511;

/** One incarnation of a tcp receiver. */
export class TcpServer implements ConnectionOwner, ReceiverSession {
  readonly context: ReceiverContext<TcpOptions>;
  readonly workspace: Workspace = new Workspace();
  readonly sessions: Sessions = new Sessions();
  /** Connected, or with something left to store. */
  readonly #connections = new Set<TcpConnection>();
  readonly #toAcknowledge = new Set<TcpConnection>();
  #connectedCount = 0;
  #isPaused = false;
  /** A limit that is hit again and again is told once, until it is left. */
  #isLimitTold = false;
  #listener: Listener | undefined;
  #access: Access | undefined;
  #closing: Promise<void> | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor(context: ReceiverContext<TcpOptions>) {
    this.context = context;
    const { signal, guard } = context;
    // It has failed: `close` comes later, and by then more might have been read.
    const stop = guard(() => this.#stopConnections());
    signal.addEventListener("abort", stop, { once: true });
  }

  get address(): Endpoint {
    return this.#listener?.address ?? this.context.options;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  async listen(): Promise<void> {
    const { options, sockets, guard, fail } = this.context;
    this.#access = await accessOf(this.context);
    const { host, port } = options;
    this.#listener = await sockets.listen(
      { host, port, backlog: BACKLOG, ...this.#access },
      guard((connection: Connection) => this.#accept(connection)),
      fail,
    );
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

  close(signal: AbortSignal): Promise<void> {
    this.#closing ??= this.#stop();
    const destroyAll = (): void => {
      for (const connection of this.#connections) connection.destroy(toError(signal.reason));
      this.#whenEmpty?.();
    };
    if (signal.aborted) destroyAll();
    else signal.addEventListener("abort", destroyAll, { once: true });
    return this.#closing.finally(() => signal.removeEventListener("abort", destroyAll));
  }

  acknowledgeSoon(connection: TcpConnection): void {
    // Blocks of one group commit resolve in one go; this runs after the last of them: one count for all.
    if (this.#toAcknowledge.size === 0)
      queueMicrotask(this.context.guard(() => this.#acknowledge()));
    this.#toAcknowledge.add(connection);
  }

  disconnected(): void {
    this.#connectedCount--;
    this.#isLimitTold &&= this.#connectedCount >= this.context.options.connectionsMax;
    this.context.connections(this.#connectedCount);
  }

  settled(connection: TcpConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }

  #accept(connection: Connection): void {
    const { options, logger, alive, connections } = this.context;
    if (this.#closing !== undefined || this.context.signal.aborted) return connection.destroy();
    if (this.#connectedCount >= options.connectionsMax) {
      connection.destroy();
      if (!this.#isLimitTold)
        logger.warn(
          `connection of ${connection.peer} refused: ${this.#connectedCount} are open, limit ${options.connectionsMax}`,
          { code: "CONNECTION_LIMIT" },
        );
      this.#isLimitTold = true;
      return;
    }
    const refusal = refusalOfNames(options, connection.peerNames);
    if (refusal !== undefined) {
      connection.destroy();
      return this.#access?.refused(connection.peer, refusal);
    }
    this.#connectedCount++;
    this.#connections.add(new TcpConnection(this, connection));
    alive();
    connections(this.#connectedCount);
  }

  #acknowledge(): void {
    const resolved = [...this.#toAcknowledge];
    this.#toAcknowledge.clear();
    for (const connection of resolved) connection.acknowledge();
  }

  #stopConnections(): void {
    for (const connection of this.#connections) connection.stop();
  }

  async #stop(): Promise<void> {
    const empty = new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
    });
    this.#stopConnections();
    await this.#listener?.close();
    if (this.#connections.size > 0) await empty;
  }
}
