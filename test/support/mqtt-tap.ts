/**
 * Between a gateway and a real broker: passes bytes on, and notes which messages the gateway has acknowledged. What was
 * passed on to the broker is all that counts: an acknowledgement that is lost behind it was given all the same.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { type Packet, parser } from "mqtt-packet";

/** What was seen on the way. */
export class MqttTap implements AsyncDisposable {
  /** Payloads that the gateway has acknowledged: PUBACK, or PUBREC with QoS 2. */
  readonly acknowledged: Set<string> = new Set();
  /**
   * Payloads that came again as something new: with another id, without the session, not marked as repeated, or after
   * the broker had released it (PUBREL). The broker has lost its memory of them.
   */
  readonly forgottenByBroker: Set<string> = new Set();
  /** Acknowledgements so far, repeated ones too. */
  ackCount = 0;
  connectionCount = 0;
  readonly port: number;
  readonly #server: Server;
  readonly #brokerPort: number;
  readonly #sockets = new Set<Socket>();
  readonly #released = new Set<string>();
  /** By id: ids are the session's, over its connections. */
  readonly #payloads = new Map<number, string>();
  /** Where a payload was seen last: its id, and in which session. */
  readonly #seen = new Map<string, string>();
  #sessionCount = 0;
  readonly #waiting = new Set<() => void>();

  private constructor(server: Server, port: number, brokerPort: number) {
    this.#server = server;
    this.port = port;
    this.#brokerPort = brokerPort;
    server.on("connection", (socket) => this.#join(socket));
  }

  /** Listens on a free port. */
  static async start(brokerPort: number): Promise<MqttTap> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const bound = server.address();
    const port = typeof bound === "object" && bound !== null ? bound.port : 0;
    return new MqttTap(server, port, brokerPort);
  }

  /** Resolves when the gateway has acknowledged so many more, counted from now. */
  acks(count: number): Promise<void> {
    const wanted = this.ackCount + count;
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.ackCount < wanted) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(gateway: Socket): void {
    this.connectionCount += 1;
    const broker = connect({ host: "127.0.0.1", port: this.#brokerPort, noDelay: true });
    for (const [from, to] of [
      [gateway, broker],
      [broker, gateway],
    ] as const) {
      this.#sockets.add(from);
      // Whoever breaks, both ends are to see it.
      from.on("error", () => undefined);
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    this.#watch(broker, gateway, (packet) => this.#delivered(packet));
    this.#watch(gateway, broker, (packet) => this.#answered(packet));
  }

  #watch(from: Socket, to: Socket, note: (packet: Packet) => void): void {
    const packets = parser({ protocolVersion: 5 });
    packets.on("packet", note);
    from.on("data", (chunk: Buffer) => {
      // Noted first: once it is passed on, either side may be killed.
      packets.parse(chunk);
      to.write(chunk);
    });
  }

  #delivered(packet: Packet): void {
    if (packet.cmd === "connack" && !packet.sessionPresent) this.#sessionCount += 1;
    const { messageId } = packet;
    if (messageId === undefined) return;
    if (packet.cmd === "pubrel") this.#released.add(this.#payloads.get(messageId) ?? "");
    if (packet.cmd !== "publish") return;
    const payload = String(packet.payload);
    const place = `${this.#sessionCount} ${messageId}`;
    const before = this.#seen.get(payload);
    const isNew = before !== undefined && (before !== place || !packet.dup);
    if (isNew || this.#released.has(payload)) this.forgottenByBroker.add(payload);
    this.#seen.set(payload, place);
    this.#payloads.set(messageId, payload);
  }

  #answered({ cmd, messageId = 0 }: Packet): void {
    const payload = this.#payloads.get(messageId);
    if ((cmd !== "puback" && cmd !== "pubrec") || payload === undefined) return;
    this.acknowledged.add(payload);
    this.ackCount += 1;
    for (const look of this.#waiting) look();
  }
}
