import assert from "node:assert/strict";
import { once } from "node:events";
import * as net from "node:net";
import { test } from "node:test";
import { tcp } from "../../receivers/tcp/index.ts";
import { realSockets } from "../../src/host/real-sockets.ts";
import type { Connection, Listener, Sockets } from "../../src/host/sockets.ts";
import { deferred } from "../support/deferred.ts";
import { ReceiverHarness } from "../support/receiver-harness.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0, backlog: 16 };
const never = new AbortController().signal;
const fail = (cause: Error): never => assert.fail(cause);

/** A listener and the connections that it accepts, in order. */
class Accepting {
  readonly #arrived: Connection[] = [];
  #wake: (() => void) | undefined;
  listener: Listener | undefined;

  static async on(sockets: Sockets, prepare: (connection: Connection) => void): Promise<Accepting> {
    const accepting = new Accepting();
    accepting.listener = await sockets.listen(
      LOOPBACK,
      (connection) => {
        prepare(connection);
        accepting.#arrived.push(connection);
        accepting.#wake?.();
      },
      fail,
    );
    return accepting;
  }

  get port(): number {
    return this.listener?.address.port ?? 0;
  }

  async next(): Promise<Connection> {
    while (this.#arrived.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    const connection = this.#arrived.shift();
    assert.ok(connection);
    return connection;
  }
}

async function client(port: number): Promise<net.Socket> {
  const socket = net.connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  await once(socket, "connect");
  return socket;
}

for (const [way, sockets] of [
  ["the shared buffer", realSockets()],
  ["'data' events", realSockets({ fastAccept: false })],
] as const) {
  test(`sockets: bytes come in order and whole, then the end (by ${way})`, async () => {
    const received: Buffer[] = [];
    let headroom = 0;
    const accepting = await Accepting.on(sockets, (connection) => {
      connection.onData((chunk, headroomBytes) => {
        received.push(Buffer.from(chunk));
        headroom = headroomBytes;
        assert.ok(chunk.byteOffset >= headroomBytes);
      });
    });
    const socket = await client(accepting.port);
    const connection = await accepting.next();
    const sent = Buffer.alloc(1_000_000, "0123456789");
    socket.end(sent);
    await new Promise<void>((resolve) => connection.onEnd(resolve));
    assert.ok(Buffer.concat(received).equals(sent));
    assert.equal(headroom > 0, way === "the shared buffer");
    assert.match(connection.peer, /^127\.0\.0\.1:\d+$/);
    socket.resume();
    await connection.close();
    await accepting.listener?.close();
  });

  test(`sockets: after the peer's end it can still be written (by ${way})`, async () => {
    const accepting = await Accepting.on(sockets, (connection) => {
      connection.onData(() => undefined);
      connection.onEnd(() => {
        connection.write("late answer");
        void connection.close();
      });
    });
    const socket = await client(accepting.port);
    socket.end("question");
    const answer: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => answer.push(chunk));
    await once(socket, "end");
    assert.equal(Buffer.concat(answer).toString(), "late answer");
    await accepting.listener?.close();
  });

  test(`sockets: paused, nothing comes; resumed, all of it (by ${way})`, async () => {
    let bytes = 0;
    const accepting = await Accepting.on(sockets, (connection) => {
      connection.pause();
      connection.onData((chunk) => (bytes += chunk.length));
    });
    const socket = await client(accepting.port);
    const connection = await accepting.next();
    await new Promise<void>((resolve) => socket.write("x".repeat(1_000), () => resolve()));
    // The echo on a second connection has made the round through the event loop that this one could have made.
    const second = await client(accepting.port);
    await accepting.next();
    assert.equal(bytes, 0);
    connection.resume();
    socket.end();
    await new Promise<void>((resolve) => connection.onEnd(resolve));
    assert.equal(bytes, 1_000);
    second.destroy();
    await connection.close();
    await accepting.listener?.close();
  });

  test(`sockets: a reset is a cause in onClose, not an exception (by ${way})`, async () => {
    const closed = deferred<Error | undefined>();
    const accepting = await Accepting.on(sockets, (connection) => {
      connection.onData(() => undefined);
      connection.onClose(closed.resolve);
    });
    const socket = await client(accepting.port);
    await accepting.next();
    socket.resetAndDestroy();
    assert.match((await closed.promise)?.message ?? "", /ECONNRESET/);
    await accepting.listener?.close();
  });

  test(`sockets: what the peer does not take is counted, and is lost with destroy (by ${way})`, async () => {
    const accepting = await Accepting.on(sockets, (connection) =>
      connection.onData(() => undefined),
    );
    const socket = await client(accepting.port);
    socket.pause();
    const connection = await accepting.next();
    for (let i = 0; i < 200 && connection.unsentBytes === 0; i++)
      connection.write(Buffer.alloc(1_000_000));
    assert.ok(connection.unsentBytes > 0);
    const closed = new Promise<void>((resolve) => connection.onClose(() => resolve()));
    connection.destroy();
    await closed;
    connection.write("ignored");
    socket.destroy();
    await accepting.listener?.close();
  });

  test(`sockets: close of the listener leaves connections open and frees the port (by ${way})`, async () => {
    const accepting = await Accepting.on(sockets, (connection) =>
      connection.onData((chunk) => connection.write(Buffer.from(chunk))),
    );
    const socket = await client(accepting.port);
    await accepting.next();
    await accepting.listener?.close();
    await accepting.listener?.close();
    const again = await sockets.listen(
      { ...LOOPBACK, port: accepting.port },
      () => undefined,
      fail,
    );
    socket.write("ping");
    const [echo] = await once(socket, "data");
    assert.equal(String(echo), "ping");
    socket.destroy();
    await again.close();
  });

  test(`tcp: on real sockets messages cut anywhere are stored, counted after FIN, tail set aside (by ${way})`, async () => {
    const engine = new ReceiverHarness({ sockets });
    await engine.open(tcp("meters", { port: 0, acknowledge: "count-line" }));
    const texts = Array.from({ length: 20_000 }, (_, i) => `record ${i}`);
    const [socket, half] = [await client(engine.port), await client(engine.port)];
    half.end("half a li");
    socket.end(`${texts.join("\n")}\n`);
    const answers: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => answers.push(chunk));
    const ends = [once(socket, "end"), once(half.resume(), "end")];
    const gone = Promise.all(ends).then(() => true);
    while (
      !(await Promise.race([
        gone,
        engine.clock
          .settle()
          .then(() => engine.commit())
          .then(() => false),
      ]))
    );
    assert.deepEqual(engine.durable, texts);
    assert.equal(Buffer.concat(answers).toString().trimEnd().split("\n").at(-1), "20000");
    assert.deepEqual(engine.setAside, [{ text: "half a li", code: "MESSAGE_UNTERMINATED" }]);
    const closed = engine.session.close(never);
    await engine.clock.advance(2_000);
    await closed;
  });
}

const sockets = realSockets();

test("sockets: a port that is taken is PORT_IN_USE, a foreign address ADDRESS_UNAVAILABLE", async () => {
  const listener = await sockets.listen(LOOPBACK, () => undefined, fail);
  await assert.rejects(
    sockets.listen({ ...LOOPBACK, port: listener.address.port }, () => undefined, fail),
    { code: "PORT_IN_USE" },
  );
  await assert.rejects(
    sockets.listen({ ...LOOPBACK, host: "192.0.2.1" }, () => undefined, fail),
    { code: "ADDRESS_UNAVAILABLE" },
  );
  // Node would take every address of the machine.
  await assert.rejects(
    sockets.listen({ ...LOOPBACK, host: "" }, () => undefined, fail),
    {
      code: "ADDRESS_UNAVAILABLE",
    },
  );
  await listener.close();
});

test("sockets: connect talks to a listener, and says when there is none", async () => {
  const accepting = await Accepting.on(sockets, (connection) =>
    connection.onData((chunk) => connection.write(Buffer.from(chunk))),
  );
  const connection = await sockets.connect({ host: "127.0.0.1", port: accepting.port }, never);
  const echo = new Promise<string>((resolve) =>
    connection.onData((chunk) => resolve(Buffer.from(chunk).toString())),
  );
  connection.write("hello");
  assert.equal(await echo, "hello");
  connection.destroy();
  await accepting.listener?.close();
  const refused = sockets.connect({ host: "127.0.0.1", port: accepting.port }, never);
  await assert.rejects(refused, { code: "CONNECTION_FAILED" });
});

test("sockets: connect gives up with the reason of its signal", async () => {
  const reason = new Error("no longer wanted");
  await assert.rejects(
    sockets.connect({ host: "127.0.0.1", port: 9 }, AbortSignal.abort(reason)),
    reason,
  );
});

test("sockets: two connections that take turns in the shared buffer do not mix their bytes", async () => {
  const engine = new ReceiverHarness({ sockets });
  await engine.open(tcp("meters", { port: 0, acknowledge: "count-line" }));
  const clients = await Promise.all(["a", "b"].map(() => client(engine.port)));
  const letters = ["a", "b"];
  for (let i = 0; i < 200; i++)
    clients.forEach((socket, c) =>
      socket.write(`${letters[c]}${i}-`.repeat(50) + (i % 3 === 0 ? "\n" : "")),
    );
  const gone = Promise.all(clients.map((socket) => once(socket.resume().end("\n"), "end"))).then(
    () => true,
  );
  while (
    !(await Promise.race([
      gone,
      engine.clock
        .settle()
        .then(() => engine.commit())
        .then(() => false),
    ]))
  );
  for (const text of engine.durable) assert.equal(new Set(text.replace(/[^ab]/g, "")).size, 1);
  assert.equal(engine.durable.length, 2 * 68);
  const closed = engine.session.close(never);
  await engine.clock.advance(2_000);
  await closed;
});
