/** A device that a conformance suite plays: lines over tcp. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Endpoint } from "../../src/host/sockets.ts";
import type { TrialUpstream } from "../../src/testing/index.ts";

/** Whether it reads counts, and from where they count. */
export type DeviceMode = "counts" | "session" | "none";

/** A device that sends lines, and reads counts. */
export class LineDevice implements TrialUpstream {
  readonly #address: () => Endpoint;
  readonly #mode: DeviceMode;
  readonly #sent: string[] = [];
  #socket: Socket;
  /** Acknowledged before this connection. */
  #earlier = 0;
  #counts = "";

  private constructor(address: () => Endpoint, mode: DeviceMode) {
    this.#address = address;
    this.#mode = mode;
    this.#socket = this.#dial();
  }

  static async connect(address: () => Endpoint, mode: DeviceMode): Promise<LineDevice> {
    const device = new LineDevice(address, mode);
    await once(device.#socket, "connect");
    return device;
  }

  async send(messages: readonly string[]): Promise<void> {
    this.#sent.push(...messages);
    if (messages.length > 0) this.#socket.write(messages.map((each) => `${each}\n`).join(""));
  }

  acknowledged(): number {
    const counts = this.#counts.split("\n").slice(0, -1);
    return this.#earlier + Number.parseInt(counts.at(-1) ?? "0", 10);
  }

  async reconnect(): Promise<void> {
    const acknowledged = this.acknowledged();
    this.#socket.destroy();
    this.#counts = "";
    this.#earlier = this.#mode === "session" ? 0 : acknowledged;
    this.#socket = this.#dial();
    await once(this.#socket, "connect");
    if (this.#mode === "none") return;
    while (this.#mode === "session" && !this.#counts.includes("\n"))
      await once(this.#socket, "data");
    const missing = this.#sent.slice(this.acknowledged()).map((each) => `${each}\n`);
    this.#socket.write(missing.join(""));
  }

  async sendGarbage(bytes: Uint8Array): Promise<void> {
    const socket = this.#open();
    // Without a line feed at its end it is no message, so nothing of it is a record.
    socket.end(Buffer.from(bytes).filter((byte) => byte !== 0x0a));
    await closed(socket);
  }

  async sendLarge(byteCount: number): Promise<void> {
    const socket = this.#open();
    socket.end(Buffer.alloc(byteCount, 0x61));
    await closed(socket);
  }

  async close(): Promise<void> {
    this.#socket.destroy();
  }

  #dial(): Socket {
    const socket = this.#open();
    socket.on("data", (chunk) => {
      this.#counts += chunk.toString();
    });
    if (this.#mode === "session") socket.write("HOLDFAST-SESSION device-1\n");
    return socket;
  }

  #open(): Socket {
    const socket = connect(this.#address());
    // What breaks is seen in what is stored.
    socket.on("error", () => undefined);
    return socket;
  }
}

function closed(socket: Socket): Promise<void> {
  socket.resume();
  return new Promise((resolve) => socket.once("close", () => resolve()));
}
