/**
 * A real server, the fault proxy before it, and clients that write down what they were told.
 */
import { once } from "node:events";
import * as net from "node:net";
import * as tls from "node:tls";
import { FaultProxy, type VirtualClock } from "../../src/testing/index.ts";

/** A server that sends back what it gets, and what it noticed of its connections. */
export class Echo implements AsyncDisposable {
  readonly server: net.Server;
  readonly sockets: net.Socket[] = [];
  received = "";

  private constructor(server: net.Server) {
    this.server = server;
    server.on(server instanceof tls.Server ? "secureConnection" : "connection", (socket) => {
      this.sockets.push(socket);
      socket.on("data", (chunk: Buffer) => {
        this.received += chunk.toString();
        socket.write(chunk);
      });
      socket.on("end", () => socket.end());
      socket.on("error", () => socket.destroy());
    });
  }

  static async on(server: net.Server = net.createServer({ allowHalfOpen: true })): Promise<Echo> {
    const echo = new Echo(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return echo;
  }

  get endpoint(): { readonly host: string; readonly port: number } {
    const bound = this.server.address();
    return { host: "127.0.0.1", port: typeof bound === "object" ? (bound?.port ?? 0) : 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, "close");
  }
}

/** A client that writes down all that its socket tells. */
export class Client {
  readonly socket: net.Socket;
  readonly told: string[] = [];
  text = "";

  constructor({ endpoint }: FaultProxy) {
    this.socket = net.connect({ ...endpoint, allowHalfOpen: true, noDelay: true });
    this.socket.on("connect", () => this.told.push("connect"));
    this.socket.on("data", (chunk: Buffer) => (this.text += chunk.toString()));
    this.socket.on("end", () => this.told.push("end"));
    this.socket.on("error", (cause: NodeJS.ErrnoException) => this.told.push(cause.code ?? ""));
    this.socket.on("close", () => this.told.push("close"));
  }

  /** Sends, and waits until so much has come back in all. */
  async echoes(text: string): Promise<void> {
    const bytes = this.text.length + text.length;
    this.socket.write(text);
    while (this.text.length < bytes) await once(this.socket, "data");
  }

  async gone(): Promise<void> {
    if (!this.told.includes("close"))
      await new Promise((resolve) => this.socket.on("close", resolve));
  }
}

/** Proxy and server; what is left of them ends with the test. */
export async function scene(
  body: (proxy: FaultProxy, echo: Echo) => Promise<void>,
  clock?: VirtualClock,
): Promise<void> {
  await using echo = await Echo.on();
  await using proxy = await FaultProxy.start({
    target: echo.endpoint,
    ...(clock === undefined ? {} : { clock }),
  });
  await body(proxy, echo);
}

/** A round trip of another client: whatever was on its way to the first one has had its chance. */
export async function roundTrip(proxy: FaultProxy): Promise<void> {
  await proxy.set({ kind: "none" });
  const other = new Client(proxy);
  await other.echoes("are you there?");
  other.socket.end();
  await other.gone();
}
