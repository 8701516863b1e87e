/** A device with a session, over real sockets: conformance suites and crash tests play it. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { generate, type Packet, parser } from "mqtt-packet";
import type { Endpoint } from "../../src/host/sockets.ts";
import type { TrialUpstream } from "../../src/testing/index.ts";
import { message } from "./mqtt-wire.ts";

/** It sends each message with an id of its own until it is acknowledged; of QoS 0 nothing is. */
export class MqttDevice implements TrialUpstream {
  readonly #address: () => Endpoint;
  readonly #qos: 0 | 1 | 2;
  readonly #clientId: string;
  /** Called for each acknowledgement. */
  onAcknowledged: () => void = () => undefined;
  /** Messages that were sent more than once. */
  resentCount = 0;
  readonly #sent: string[] = [];
  readonly #done = new Set<number>();
  /** QoS 2: on disk over there, and not released. */
  readonly #received = new Set<number>();
  #socket: Socket | undefined;

  constructor(address: () => Endpoint, qos: 0 | 1 | 2, clientId: string = "device-1") {
    this.#clientId = clientId;
    this.#address = address;
    this.#qos = qos;
  }

  /** What was sent, in order. */
  get sent(): readonly string[] {
    return this.#sent;
  }

  async send(messages: readonly string[]): Promise<void> {
    const first = this.#sent.length + 1;
    this.#sent.push(...messages);
    const packets = messages.map((text, i) => generate(message(text, this.#qos, first + i)));
    this.#socket?.write(Buffer.concat(packets));
  }

  /** From the first on. */
  acknowledged(): number {
    let count = 0;
    while (this.#done.has(count + 1)) count++;
    return count;
  }

  async reconnect(): Promise<void> {
    this.#socket?.destroy();
    const socket = await this.#dial(this.#clientId);
    this.#socket = socket;
    if (this.#qos === 0) return;
    this.#sent.forEach((_, i) => {
      const messageId = i + 1;
      if (this.#received.has(messageId)) socket.write(generate({ cmd: "pubrel", messageId }));
      else if (!this.#done.has(messageId)) {
        this.resentCount++;
        this.#publish(messageId);
      }
    });
  }

  async sendGarbage(bytes: Uint8Array): Promise<void> {
    const early = connect(this.#address()).on("error", () => undefined);
    early.resume().end(bytes);
    await closed(early);
    const late = await this.#dial("garbage");
    late.end(bytes);
    await closed(late);
  }

  async sendLarge(byteCount: number): Promise<void> {
    const socket = await this.#dial("large");
    socket.write(generate(message("x".repeat(byteCount), 1)));
    await closed(socket);
  }

  async close(): Promise<void> {
    this.#socket?.destroy();
  }

  #publish(messageId: number): void {
    this.#socket?.write(generate(message(this.#sent[messageId - 1] ?? "", this.#qos, messageId)));
  }

  async #dial(clientId: string): Promise<Socket> {
    const socket = connect(this.#address());
    socket.on("error", () => undefined);
    const packets = parser({ protocolVersion: 4 });
    socket.on("data", (chunk: Buffer) => packets.parse(chunk));
    socket.write(
      generate({
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: 4,
        clean: false,
        keepalive: 60,
        clientId,
      }),
    );
    await Promise.race([once(packets, "packet"), closed(socket)]);
    packets.on("packet", (packet) => this.#answered(socket, packet));
    return socket;
  }

  #answered(socket: Socket, { cmd, messageId = 0 }: Packet): void {
    if (cmd === "puback" || cmd === "pubcomp") {
      this.#done.add(messageId);
      this.#received.delete(messageId);
      this.onAcknowledged();
    }
    if (cmd !== "pubrec") return;
    this.#received.add(messageId);
    socket.write(generate({ cmd: "pubrel", messageId }));
  }
}

/** Ended or reset: both are an end. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once("close", () => resolve());
  });
}
