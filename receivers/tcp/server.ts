/**
 * The listening side: accepts connections within the limit, pauses and resumes them, and ends them in order.
 */
import type { ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import { Workspace } from "../../src/framing/index.ts";
import type { Connection, Endpoint, Listener } from "../../src/host/sockets.ts";
import { ConnectionGroup } from "../../src/record/connection-group.ts";
import { UnfinishedBytes } from "../../src/record/unfinished-bytes.ts";
import { type Access, accessOf, refusalOfCount, refusalOfNames } from "../../src/access.ts";
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
  readonly group: ConnectionGroup<TcpConnection>;
  readonly unfinished: UnfinishedBytes;
  #listener: Listener | undefined;
  #access: Access | undefined;

  constructor(context: ReceiverContext<TcpOptions>) {
    this.context = context;
    this.group = new ConnectionGroup(context);
    this.unfinished = new UnfinishedBytes(context.options.unfinishedBytesMax);
  }

  get address(): Endpoint {
    return this.#listener?.address ?? this.context.options;
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
    this.group.pause();
  }

  resume(): void {
    this.group.resume();
  }

  close(signal: AbortSignal): Promise<void> {
    return this.group.close(signal, async () => this.#listener?.close());
  }

  #accept(connection: Connection): void {
    const { options, alive } = this.context;
    if (this.group.isOver) return connection.destroy();
    const refusal =
      refusalOfCount(options, this.group.connectedCount) ??
      refusalOfNames(options, connection.peerNames);
    if (refusal !== undefined) {
      connection.destroy();
      return this.#access?.refused(connection.peer, refusal);
    }
    this.group.add(new TcpConnection(this, connection));
    alive();
  }
}
