import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { type WebSocket, WebSocketServer } from "ws";
import { websocketClient, type WebSocketClientInput } from "../../../receivers/websocket/index.ts";
import { realSockets } from "../../../src/host/real-sockets.ts";
import { ReceiverHarness } from "../../support/receiver-harness.ts";
import { tlsFile, tlsPath } from "../../support/tls-files.ts";
import { committingUntil, until } from "../../support/websocket-scene.ts";

/** A server, and the connection that it got. */
class Feed {
  readonly server: Server;
  readonly received: string[] = [];
  request: IncomingMessage | undefined;
  closedWith: number | undefined;
  readonly #sockets: WebSocket[] = [];

  constructor(server: Server) {
    this.server = server;
    const handshakes = new WebSocketServer({ server, maxPayload: 1_000 });
    handshakes.on("connection", (socket, request) => {
      this.request = request;
      this.#sockets.push(socket);
      socket.on("message", (message: Buffer) => this.received.push(message.toString("latin1")));
      socket.on("close", (code) => {
        this.closedWith = code;
      });
      // A feed that speaks in the very packet of the handshake.
      socket.send("at once");
    });
  }

  get socket(): WebSocket {
    const socket = this.#sockets.at(-1);
    assert.ok(socket !== undefined, "nobody connected");
    return socket;
  }

  get port(): number {
    // It listens on a port.
    return (this.server.address() as AddressInfo).port;
  }
}

async function feedOf(t: TestContext, server: Server = createServer()): Promise<Feed> {
  const feed = new Feed(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return feed;
}

async function connected(
  t: TestContext,
  options: WebSocketClientInput,
  inflightBytesMax: number = Infinity,
): Promise<ReceiverHarness> {
  const engine = new ReceiverHarness({ sockets: realSockets(), inflightBytesMax });
  await engine.open(websocketClient("feed", { acknowledge: "count-json", ...options }));
  t.after(() => engine.session.close(AbortSignal.abort()));
  return engine;
}

test("websocket-client: shows who it is, greets, stores what comes and counts it", async (t) => {
  const feed = await feedOf(t);
  const engine = await connected(t, {
    url: `ws://127.0.0.1:${feed.port}/readings?all=1`,
    token: "secret",
    headers: { "x-site": "7" },
    subprotocols: ["v1"],
    greeting: ['{"subscribe":"a"}', '{"subscribe":"b"}'],
  });
  await until(() => feed.received.length === 2);
  assert.deepEqual(feed.received, ['{"subscribe":"a"}', '{"subscribe":"b"}']);
  assert.equal(feed.request?.url, "/readings?all=1");
  assert.equal(feed.request?.headers.authorization, "Bearer secret");
  assert.equal(feed.request?.headers["x-site"], "7");
  assert.equal(feed.request?.headers["sec-websocket-protocol"], "v1");
  feed.socket.send("second");
  await until(() => engine.inflightBlocks.flat().length === 2);
  assert.equal(feed.received.length, 2);
  await committingUntil(engine, () => feed.received.at(-1) === '{"stored":2}');
  assert.deepEqual([engine.durable, engine.connectionCount], [["at once", "second"], 1]);
});

test("websocket-client: over TLS, with a certificate of its own", async (t) => {
  const feed = await feedOf(
    t,
    createTlsServer({
      cert: tlsFile("first", "cert"),
      key: tlsFile("first", "key"),
      ca: tlsFile("first", "cert"),
      requestCert: true,
      rejectUnauthorized: true,
    }),
  );
  const url = `wss://127.0.0.1:${feed.port}/`;
  const mutual = {
    ca: tlsPath("first", "cert"),
    cert: tlsPath("client", "cert"),
    key: tlsPath("client", "key"),
  };
  const engine = await connected(t, { url, tls: mutual });
  await committingUntil(engine, () => engine.durable.length === 1);
  await assert.rejects(connected(t, { url, tls: { ca: tlsPath("second", "cert") } }), {
    code: "CONNECTION_UNTRUSTED",
  });
});

test("websocket-client: answers are refusals that are not retried below 500, failures from there", async (t) => {
  for (const [status, code] of [
    [401, "CONNECTION_REFUSED"],
    [404, "CONNECTION_REFUSED"],
    [302, "CONNECTION_REFUSED"],
    [200, "CONNECTION_REFUSED"],
    [429, "CONNECTION_FAILED"],
    [503, "CONNECTION_FAILED"],
  ] as const) {
    const server = createServer((_, response) => response.writeHead(status).end());
    server.on("upgrade", (_, socket) => {
      socket.end(`HTTP/1.1 ${status} No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    await assert.rejects(connected(t, { url: `ws://127.0.0.1:${port}/` }), { code });
  }
});

test("websocket-client: a server that is not there, speaks something else or nothing is CONNECTION_FAILED or STALLED", async (t) => {
  const gone = createServer().listen(0, "127.0.0.1");
  await once(gone, "listening");
  const { port } = gone.address() as AddressInfo;
  gone.close();
  await once(gone, "close");
  const url = `ws://127.0.0.1:${port}/`;
  await assert.rejects(connected(t, { url }), { code: "CONNECTION_FAILED" });
  const rude = createServer();
  rude.on("upgrade", (_, socket) => socket.end("nonsense\r\n\r\n"));
  const silent = createServer();
  const asked = new Promise<void>((resolve) => silent.on("upgrade", () => resolve()));
  for (const server of [rude, silent]) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
  }
  const rudeUrl = `ws://127.0.0.1:${(rude.address() as AddressInfo).port}/`;
  await assert.rejects(connected(t, { url: rudeUrl }), { code: "CONNECTION_FAILED" });
  const engine = new ReceiverHarness({ sockets: realSockets() });
  const opened = engine.open(
    websocketClient("feed", { url: `ws://127.0.0.1:${(silent.address() as AddressInfo).port}/` }),
  );
  const stalled = assert.rejects(opened, { code: "CONNECTION_STALLED" });
  await asked;
  await engine.clock.advance(10_000);
  await stalled;
});

test("websocket-client: a lost server fails the incarnation, once, after what was read", async (t) => {
  for (const [end, code, message] of [
    [(socket: WebSocket) => socket.terminate(), "CONNECTION_FAILED", /with code 1006/],
    [(socket: WebSocket) => socket.close(1012, "restart"), "CONNECTION_FAILED", /1012: restart/],
    [(socket: WebSocket) => socket.close(1008), "CONNECTION_REFUSED", /with code 1008/],
  ] as const) {
    const feed = await feedOf(t);
    const engine = await connected(t, { url: `ws://127.0.0.1:${feed.port}/` });
    await until(() => engine.inflightBlocks.length === 1);
    end(feed.socket);
    await committingUntil(engine, () => engine.failures.length === 1);
    const [failure] = engine.failures;
    assert.ok(failure !== undefined && "code" in failure);
    assert.equal(failure.code, code);
    assert.match(failure.message, message);
    assert.deepEqual([engine.durable, engine.connectionCount], [["at once"], 0]);
  }
});

test("websocket-client: a message that is too long ends it with the last count and 1009", async (t) => {
  const feed = await feedOf(t);
  const engine = await connected(t, {
    url: `ws://127.0.0.1:${feed.port}/`,
    messageBytesMax: 100,
  });
  feed.socket.send("second");
  feed.socket.send("x".repeat(101));
  await committingUntil(engine, () => feed.closedWith !== undefined);
  assert.deepEqual([feed.received.at(-1), feed.closedWith], ['{"stored":2}', 1009]);
  await until(() => engine.failures.length === 1);
  assert.deepEqual(engine.durable, ["at once", "second"]);
});

test("websocket-client: paused, it reads nothing, and goes on when resumed", async (t) => {
  const feed = await feedOf(t);
  const engine = await connected(t, { url: `ws://127.0.0.1:${feed.port}/` }, 1_000);
  await committingUntil(engine, () => engine.durable.length === 1);
  engine.pause();
  for (let i = 0; i < 500; i++) feed.socket.send(`message ${i}`);
  await engine.clock.settle();
  assert.deepEqual(engine.inflightBlocks, []);
  engine.resume();
  while (engine.durable.length < 501) {
    await engine.clock.advance(10);
    await engine.commit();
  }
  assert.deepEqual(
    engine.durable.slice(1),
    Array.from({ length: 500 }, (_, i) => `message ${i}`),
  );
  await committingUntil(engine, () => feed.received.at(-1) === '{"stored":501}');
});

test("websocket-client: a stop settles and counts what was read, then goes away with 1001", async (t) => {
  const feed = await feedOf(t);
  const engine = await connected(t, { url: `ws://127.0.0.1:${feed.port}/` });
  await until(() => engine.inflightBlocks.length === 1);
  const closed = Promise.resolve(engine.session.close(new AbortController().signal));
  await committingUntil(engine, () => feed.closedWith !== undefined);
  await closed;
  assert.deepEqual([feed.received, feed.closedWith], [['{"stored":1}'], 1001]);
  assert.deepEqual(engine.failures, []);
});

test("websocket-client: a half-open connection is found by its ping", async (t) => {
  const feed = await feedOf(t);
  const engine = await connected(t, {
    url: `ws://127.0.0.1:${feed.port}/`,
    idleTimeoutMs: 10_000,
  });
  await committingUntil(engine, () => engine.durable.length === 1);
  feed.socket.pause();
  await engine.clock.advance(5_000);
  await engine.clock.advance(5_000);
  await engine.clock.advance(250);
  await until(() => engine.failures.length === 1);
  assert.deepEqual(engine.codes, ["CONNECTION_IDLE"]);
});

test("websocket-client: options that make no sense are refused, without showing a secret", () => {
  for (const [options, code] of [
    [{ url: "http://feed.example" }, "CONFIG_VALUE"],
    [{ url: "nonsense" }, "CONFIG_VALUE"],
    [{ url: "ws://feed.example:0/" }, "CONFIG_VALUE"],
    [{ url: "ws://me:hunter2@feed.example" }, "CONFIG_VALUE"],
    [{ url: "ws://feed.example", tls: {} }, "CONFIG_CONFLICT"],
    [{ url: "wss://feed.example", tls: { cert: "a.pem" } }, "CONFIG_CONFLICT"],
    [{ url: "ws://feed.example", idleTimeoutMs: 1 }, "CONFIG_OUT_OF_RANGE"],
    [{ url: "ws://feed.example", token: "hunter2\n" }, "CONFIG_VALUE"],
    [{ url: "ws://feed.example", headers: { "x-site": "hunter2\n" } }, "CONFIG_VALUE"],
    [{ url: "ws://feed.example", headers: { "x site": "hunter2" } }, "CONFIG_VALUE"],
    [{ url: "ws://feed.example", subprotocols: ["a", "a"] }, "CONFIG_VALUE"],
  ] as const)
    assert.throws(
      () => websocketClient("feed", options),
      (error: Error) => {
        assert.ok(!error.message.includes("hunter2"));
        return "code" in error && error.code === code;
      },
      JSON.stringify(options),
    );
});

test("websocket-client: documented defaults are the defaults", () => {
  const { options, redelivers } = websocketClient("feed", { url: "ws://feed.example" });
  assert.deepEqual(options, {
    url: "ws://feed.example",
    acknowledge: "none",
    messageBytesMax: 2 ** 20,
    idleTimeoutMs: 60_000,
    compression: false,
    headers: {},
    subprotocols: [],
    greeting: [],
  });
  assert.equal(redelivers, false);
});
