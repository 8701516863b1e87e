/**
 * A broker on loopback for one client: keeps its session, sends what the window allows, sends it again after a reconnect.
 */
import { createServer, type Server, type Socket } from "node:net";
import { generate, type Packet, parser } from "mqtt-packet";
import { BrokerSession } from "./broker-session.ts";

const LIMITS = { window: 100, ids: 65_535 } as const;

/** How it speaks. */
export interface SessionBrokerOptions {
  readonly protocolVersion: 4 | 5;
  readonly qos: 1 | 2;
}

/** See the file's head. Messages can be published before the client comes. */
export class SessionBroker {
  readonly port: number;
  readonly #session = new BrokerSession(LIMITS);
  readonly #server: Server;
  readonly #options: SessionBrokerOptions;
  readonly #sent: string[] = [];
  #client: Socket | undefined;

  private constructor(server: Server, port: number, options: SessionBrokerOptions) {
    this.#server = server;
    this.port = port;
    this.#options = options;
    server.on("connection", (socket) => this.#join(socket));
  }

  /** Listens on a free port. */
  static async start(options: SessionBrokerOptions): Promise<SessionBroker> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const bound = server.address();
    return new SessionBroker(
      server,
      typeof bound === "object" && bound !== null ? bound.port : 0,
      options,
    );
  }

  async send(messages: readonly string[]): Promise<void> {
    for (const text of messages) this.#session.publish(this.#options.qos, text);
    this.#sent.push(...messages);
    this.#pump();
  }

  /** Of all messages sent, from the first on: with QoS 2 those that the client has said to hold. */
  acknowledged(): number {
    const { acknowledged, inFlight } = this.#session;
    const known = new Set(acknowledged.map(({ text }) => text));
    for (const { text, state } of inFlight.values()) if (state === "release") known.add(text);
    const first = this.#sent.findIndex((text) => !known.has(text));
    return first === -1 ? this.#sent.length : first;
  }

  /** The client's part. */
  async reconnect(): Promise<void> {}

  async sendLarge(byteCount: number): Promise<void> {
    this.#session.publish(this.#options.qos, "x".repeat(byteCount));
    this.#pump();
  }

  async close(): Promise<void> {
    this.#client?.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(socket: Socket): void {
    const packets = parser(this.#options);
    packets.on("packet", (packet) => this.#heard(socket, packet));
    // A client that is killed is part of the test.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (this.#client === socket) this.#client = undefined;
    });
    socket.on("data", (chunk: Buffer) => packets.parse(chunk));
  }

  #heard(socket: Socket, packet: Packet): void {
    if (packet.cmd === "connect") return this.#welcome(socket);
    if (packet.cmd === "pingreq") return this.#write(socket, { cmd: "pingresp" });
    if (packet.cmd === "disconnect") return void socket.end();
    if (packet.cmd === "subscribe") {
      const granted = packet.subscriptions.map(({ qos }) => qos);
      return this.#write(socket, { cmd: "suback", messageId: packet.messageId ?? 0, granted });
    }
    // Of a connection that was replaced nothing counts any more.
    if (socket !== this.#client) return;
    const answer = this.#session.hear(packet);
    if (answer !== undefined) this.#write(socket, answer);
    this.#pump();
  }

  #welcome(socket: Socket): void {
    this.#client?.destroy();
    this.#client = socket;
    const sessionPresent = this.#session.isKept;
    this.#session.isKept = true;
    this.#write(socket, { cmd: "connack", sessionPresent, returnCode: 0, reasonCode: 0 });
    for (const packet of this.#session.again()) this.#write(socket, packet);
    this.#pump();
  }

  #pump(): void {
    const client = this.#client;
    if (client === undefined) return;
    for (let next = this.#session.next(); next !== undefined; next = this.#session.next())
      this.#write(client, next);
  }

  #write(socket: Socket, packet: Packet): void {
    if (socket.writable) socket.write(generate(packet, this.#options));
  }
}
