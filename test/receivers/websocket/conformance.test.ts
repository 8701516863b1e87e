import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { websocket, websocketClient } from "../../../receivers/websocket/index.ts";
import type { Endpoint } from "../../../src/host/sockets.ts";
import {
  receiverConformance,
  type ReceiverSubject,
  type TrialUpstream,
} from "../../../src/testing/index.ts";

/** Who sends messages over one websocket after the other, and keeps what is not counted. */
class Sender {
  readonly #sent: string[] = [];
  readonly #keeps: boolean;
  #socket: WebSocket | undefined;
  /** Messages that were counted on earlier connections: the first on this one has this index. */
  #base = 0;
  #acknowledged = 0;

  constructor(keeps: boolean) {
    this.#keeps = keeps;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  send(messages: readonly string[]): void {
    this.#sent.push(...messages);
    for (const message of messages) this.#write(message);
  }

  /** A new connection: what was not counted goes first. */
  take(socket: WebSocket): void {
    this.#socket?.removeAllListeners("message");
    this.#socket = socket;
    this.#base = this.#acknowledged;
    socket.on("error", () => undefined);
    socket.on("message", (message: Buffer) => {
      const { stored }: { readonly stored: number } = JSON.parse(message.toString());
      this.#acknowledged = this.#base + stored;
    });
    if (this.#keeps) for (const message of this.#sent.slice(this.#base)) this.#write(message);
  }

  close(): void {
    this.#socket?.terminate();
  }

  #write(message: string): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(message);
  }
}

/** A client of the `websocket` receiver. */
class Client implements TrialUpstream {
  readonly #address: () => Endpoint;
  readonly #sender: Sender;

  constructor(address: () => Endpoint, keeps: boolean) {
    this.#address = address;
    this.#sender = new Sender(keeps);
  }

  async send(messages: readonly string[]): Promise<void> {
    this.#sender.send(messages);
  }

  acknowledged(): number {
    return this.#sender.acknowledged;
  }

  async reconnect(): Promise<void> {
    this.#sender.close();
    this.#sender.take(await this.#dial());
  }

  async sendGarbage(bytes: Uint8Array): Promise<void> {
    const socket = connect(this.#address()).on("error", () => undefined);
    socket.resume().end(bytes);
    await new Promise<void>((resolve) => socket.once("close", () => resolve()));
    const open = await this.#dial();
    // What comes in a websocket that is open, too.
    const raw: unknown = Reflect.get(open, "_socket");
    if (typeof raw === "object" && raw !== null && "end" in raw && typeof raw.end === "function")
      raw.end(bytes);
    await once(open, "close");
  }

  async sendLarge(byteCount: number): Promise<void> {
    const socket = await this.#dial();
    socket.send(Buffer.alloc(byteCount));
    await once(socket, "close");
  }

  async close(): Promise<void> {
    this.#sender.close();
  }

  async #dial(): Promise<WebSocket> {
    const { host, port } = this.#address();
    const socket = new WebSocket(`ws://${host}:${port}/`, { perMessageDeflate: false });
    await once(socket, "open");
    socket.on("error", () => undefined);
    return socket;
  }
}

function listening(acknowledges: boolean): ReceiverSubject {
  return {
    name: `websocket, ${acknowledges ? "with" : "without"} counts`,
    create: (options) =>
      websocket("panel", {
        port: 0,
        acknowledge: acknowledges ? "count-json" : "none",
        ...options,
      }),
    async connect(address) {
      const client = new Client(address, acknowledges);
      await client.reconnect();
      return client;
    },
    acknowledges,
  };
}

/** A server that the `websocket-client` receiver connects to. */
class Feed implements TrialUpstream {
  readonly #server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  readonly #sender: Sender;
  #connections = 0;
  #seen = 0;

  constructor(keeps: boolean) {
    this.#sender = new Sender(keeps);
    this.#server.on("connection", (socket) => {
      this.#connections++;
      this.#sender.take(socket);
    });
  }

  async listening(): Promise<void> {
    await once(this.#server, "listening");
  }

  get url(): string {
    // It listens on a port.
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  async send(messages: readonly string[]): Promise<void> {
    this.#sender.send(messages);
  }

  acknowledged(): number {
    return this.#sender.acknowledged;
  }

  /** The receiver connects; it may have done so already. */
  async reconnect(): Promise<void> {
    if (this.#connections === this.#seen) await once(this.#server, "connection");
    this.#seen = this.#connections;
  }

  async close(): Promise<void> {
    this.#sender.close();
    this.#server.close();
  }
}

function dialling(acknowledges: boolean): ReceiverSubject {
  let current: Feed | undefined;
  const feed = (): Feed => {
    if (current === undefined) throw new Error("the feed has not started");
    return current;
  };
  return {
    name: `websocket-client, ${acknowledges ? "with" : "without"} counts`,
    create: (options) =>
      websocketClient("feed", {
        url: feed().url,
        acknowledge: acknowledges ? "count-json" : "none",
        ...options,
      }),
    async prepare() {
      const started = new Feed(acknowledges);
      current = started;
      await started.listening();
      return () => started.close();
    },
    async connect() {
      await feed().reconnect();
      return feed();
    },
    acknowledges,
  };
}

for (const acknowledges of [true, false])
  for (const subject of [listening(acknowledges), dialling(acknowledges)])
    for (const { title, run } of receiverConformance(subject)) test(title, run);
