import { deepEqual } from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { loggers } from "../../examples/loggers.ts";
import type { Endpoint } from "../../src/host/sockets.ts";
import { receiverConformance, ReceiverTrial, type TrialUpstream } from "../../src/testing/index.ts";

/** A logger that keeps what was not acknowledged. */
class Device implements TrialUpstream {
  readonly #address: () => Endpoint;
  readonly #sent: string[] = [];
  #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #acknowledged = 0;

  constructor(address: () => Endpoint) {
    this.#address = address;
    this.#socket = this.#dial();
  }

  async send(messages: readonly string[]): Promise<void> {
    this.#sent.push(...messages);
    this.#write(this.#sent.length - messages.length);
  }

  acknowledged(): number {
    return this.#acknowledged;
  }

  async reconnect(): Promise<void> {
    this.#socket.destroy();
    this.#received = Buffer.alloc(0);
    this.#socket = this.#dial();
    await once(this.#socket, "connect");
    this.#write(this.#acknowledged);
  }

  async sendGarbage(bytes: Uint8Array): Promise<void> {
    const socket = connect(this.#address()).on("error", () => undefined);
    // Too short for a header, or never whole.
    socket.end(Buffer.concat([Buffer.of(0, 2, 1, 1), bytes]));
    socket.resume();
    await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  }

  async close(): Promise<void> {
    this.#socket.destroy();
  }

  #dial(): Socket {
    const socket = connect(this.#address());
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      while (this.#received.length >= 4) {
        this.#acknowledged = Math.max(this.#acknowledged, this.#received.readUInt32BE(0));
        this.#received = this.#received.subarray(4);
      }
    });
    return socket;
  }

  #write(from: number): void {
    const list = this.#sent.slice(from).map((text, index) => frame(7, from + index + 1, text));
    this.#socket.write(Buffer.concat(list));
  }
}

function frame(serial: number, number: number, text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(10);
  header.writeUInt16BE(8 + payload.length, 0);
  header.writeUInt32BE(serial, 2);
  header.writeUInt32BE(number, 6);
  return Buffer.concat([header, payload]);
}

const conformance = receiverConformance({
  name: "examples/loggers",
  create: (options) => loggers("site", { port: 0, ...options }),
  connect: async (address) => new Device(address),
  acknowledges: true,
  afterBreak: "once",
  messageBytesMax: 65_000,
});
for (const { title, run } of conformance) test(title, run);

test("examples/loggers: several loggers share a connection, each with its own numbers", async () => {
  await using trial = new ReceiverTrial((options) => loggers("site", { port: 0, ...options }));
  await trial.start();
  const socket = connect(trial.address);
  const answers: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => answers.push(chunk));
  const sent = [frame(1, 1, "a"), frame(2, 9, "b"), frame(1, 2, "c"), frame(2, 9, "b again")];
  socket.write(Buffer.concat(sent));
  await trial.until("two answers", () => Buffer.concat(answers).length === 8);
  deepEqual(Buffer.concat(answers), Buffer.of(0, 0, 0, 2, 0, 0, 0, 9));
  socket.destroy();
  deepEqual(await trial.records(), ["a", "c", "b", "b again"]);
});
