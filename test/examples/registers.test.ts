import { deepEqual, equal, match, ok } from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { registers } from "../../examples/registers.ts";
import { ReceiverTrial } from "../../src/testing/index.ts";

/** A device whose registers hold their own address, and which answers as it is told. */
class Device implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  connectCount = 0;
  answer: (request: Buffer) => Buffer | undefined = valid;

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.connectCount++;
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("data", (request: Buffer) => {
        const answer = this.answer(request);
        if (answer !== undefined) socket.write(answer);
      });
    });
  }

  static async start(): Promise<Device> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Device(server);
  }

  get port(): number {
    const address = this.#server.address();
    ok(typeof address === "object" && address !== null);
    return address.port;
  }

  break(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.break();
    this.#server.close();
    await once(this.#server, "close");
  }
}

function valid(request: Buffer): Buffer {
  const [address, count] = [request.readUInt16BE(8), request.readUInt16BE(10)];
  const answer = Buffer.alloc(9 + 2 * count);
  request.copy(answer, 0, 0, 8);
  answer.writeUInt16BE(3 + 2 * count, 4);
  answer[8] = 2 * count;
  for (let index = 0; index < count; index++) answer.writeUInt16BE(address + index, 9 + 2 * index);
  return answer;
}

function refused(request: Buffer): Buffer {
  const answer = Buffer.from(request.subarray(0, 9));
  answer.writeUInt16BE(3, 4);
  answer[7] = 0x83;
  answer[8] = 2;
  return answer;
}

function polling(device: Device, timeoutMs = 1_000): ReceiverTrial {
  const options = { host: "127.0.0.1", port: device.port, address: 100, count: 3 };
  return new ReceiverTrial((more) =>
    registers("pump", { ...options, intervalMs: 10, timeoutMs, ...more }),
  );
}

/** The newest failure of the receiver, as text. */
function failures(trial: ReceiverTrial): readonly string[] {
  return trial.events.flatMap((event) =>
    event.kind === "receiver-failed" ? [event.error.message] : [],
  );
}

test("examples/registers: stores what it polls, over breaks of the connection", async () => {
  await using device = await Device.start();
  await using trial = polling(device);
  await trial.start();
  await trial.until("two polls", () => trial.storedCount >= 2);
  device.break();
  const before = trial.storedCount;
  await trial.until(
    "further polls",
    () => device.connectCount >= 2 && trial.storedCount > before + 1,
  );
  const records = await trial.records();
  deepEqual(new Set(records), new Set(['{"address":100,"values":[100,101,102]}']));
});

for (const [what, answer, message] of [
  ["says nothing", () => undefined, /no answer in 50 ms/],
  ["refuses", refused, /refuses with code 2/],
  ["answers nonsense", () => Buffer.alloc(300), /answer of 300 bytes, limit 260/],
  [
    "answers another function",
    (request: Buffer) => Buffer.concat([request.subarray(0, 4), Buffer.of(0, 3, 1, 9, 0)]),
    /answer of function 9/,
  ],
] as const) {
  test(`examples/registers: a device that ${what} fails the incarnation, and the next one goes on`, async () => {
    await using device = await Device.start();
    await using trial = polling(device, 50);
    device.answer = answer;
    await trial.start();
    await trial.until("a failure", () => failures(trial).length > 0);
    match(failures(trial)[0] ?? "", message);
    device.answer = valid;
    await trial.until("a poll", () => trial.storedCount > 0);
  });
}

test("examples/registers: stops in time while an answer is awaited", async () => {
  await using device = await Device.start();
  await using trial = polling(device, 10_000);
  device.answer = () => undefined;
  await trial.start();
  await trial.until("a connection", () => device.connectCount === 1);
  await trial.stop();
  equal(failures(trial).length, 0);
});
