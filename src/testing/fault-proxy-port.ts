/**
 * A loopback port that stays ours while nobody listens on it, so that a proxy can refuse for a while and
 * come back: a free port would be given to the next program that asks.
 *
 * A connection of our own is bound to it. The system gives such a port to nobody who asks for any; whoever asks
 * for it by number may still listen there.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

const HOST = "127.0.0.1";

/** A port that is held until `close`. */
export class HeldPort {
  readonly port: number;
  readonly #server: Server;
  readonly #holder: Socket;

  private constructor(server: Server, holder: Socket) {
    this.#server = server;
    this.#holder = holder;
    this.port = holder.localPort ?? 0;
  }

  /** Takes a free one. */
  static async take(): Promise<HeldPort> {
    const server = createServer((socket) => socket.on("error", () => socket.destroy()));
    server.listen(0, HOST);
    await once(server, "listening");
    const bound = server.address();
    const port = typeof bound === "object" && bound !== null ? bound.port : 0;
    // A local port that is asked for, even as "any", is bound before it connects, and can be listened on.
    const holder = connect({ host: HOST, port, localAddress: HOST, localPort: 0 });
    await once(holder, "connect");
    return new HeldPort(server, holder);
  }

  close(): void {
    this.#holder.destroy();
    this.#server.close();
  }
}
