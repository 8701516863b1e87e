import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { WebSocket } from "ws";
import { websocket } from "../../../receivers/websocket/index.ts";
import { realHttp } from "../../../src/host/real-http.ts";
import { ReceiverHarness } from "../../support/receiver-harness.ts";
import { tlsFile, tlsPath } from "../../support/tls-files.ts";
import { committingUntil, webSocketScene, WebSocketPeer } from "../../support/websocket-scene.ts";

const TOKEN = "a secret, with a comma";
const IN_PROTOCOL = `bearer.${Buffer.from(TOKEN).toString("base64url")}`;
const ENCODED = encodeURIComponent(TOKEN);

/** The status with which a client is refused, or 101. */
async function statusOf(
  url: string,
  options: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly protocols?: string[];
  } = {},
): Promise<number> {
  const socket = new WebSocket(url, options.protocols ?? [], { headers: options.headers ?? {} });
  const status = await new Promise<number>((resolve) => {
    socket.once("open", () => resolve(101));
    socket.once("unexpected-response", (_, { statusCode = 0 }) => resolve(statusCode));
    socket.on("error", () => undefined);
  });
  socket.terminate();
  return status;
}

test("websocket: only its path is one", async (t) => {
  const { engine, url, end } = await webSocketScene({ path: "/in" });
  t.after(end);
  assert.equal(await statusOf(url), 101);
  assert.equal(await statusOf(`${url}/deeper`), 404);
  assert.deepEqual(engine.codes, ["CONNECTION_REFUSED"]);
});

test("websocket: a request that is none for a websocket is told what this is", async (t) => {
  const { engine, end } = await webSocketScene();
  t.after(end);
  const answer = await fetch(`http://127.0.0.1:${engine.port}/`);
  assert.deepEqual([answer.status, answer.headers.get("upgrade")], [426, "websocket"]);
  assert.match(await answer.text(), /This is a websocket/);
});

test("websocket: pages of browsers are let in by their origin only", async (t) => {
  const closed = await webSocketScene();
  t.after(closed.end);
  const headers = { origin: "https://panel.example" };
  assert.equal(await statusOf(closed.url, { headers }), 403);
  assert.equal(await statusOf(closed.url, { headers: { origin: "null" } }), 403);
  const open = await webSocketScene({ origins: ["https://panel.example"] });
  t.after(open.end);
  assert.equal(await statusOf(open.url, { headers }), 101);
  assert.equal(
    await statusOf(open.url, { headers: { origin: "https://panel.example.evil" } }),
    403,
  );
  assert.equal(await statusOf(open.url), 101);
  const any = await webSocketScene({ origins: ["*"] });
  t.after(any.end);
  assert.equal(await statusOf(any.url, { headers }), 101);
});

test("websocket: a token is shown in a header, in a subprotocol, and in the address only where that is allowed", async (t) => {
  for (const tokenInQuery of [false, true]) {
    const { engine, url, end } = await webSocketScene({ token: TOKEN, tokenInQuery });
    t.after(end);
    for (const [options, query, status] of [
      [{}, "", 401],
      [{ headers: { authorization: `Bearer ${TOKEN}` } }, "", 101],
      [{ headers: { authorization: `bearer ${TOKEN}` } }, "", 101],
      [{ headers: { authorization: `Bearer ${TOKEN}x` } }, "", 401],
      [{ headers: { authorization: `Basic ${TOKEN}` } }, "", 401],
      [{ protocols: ["readings", IN_PROTOCOL] }, "", 101],
      [{ protocols: ["readings", "bearer.x"] }, "", 401],
      [{}, `?token=${ENCODED}`, tokenInQuery ? 101 : 401],
      [{}, "?token=wrong", 401],
    ] as const)
      assert.equal(
        await statusOf(url + query, {
          ...options,
          protocols: [...("protocols" in options ? options.protocols : [])],
        }),
        status,
        JSON.stringify([options, query]),
      );
    assert.ok(!engine.warnings.join().includes(TOKEN));
  }
});

test("websocket: the subprotocol is ours that comes first, never the token", async (t) => {
  const any = await webSocketScene({ token: TOKEN });
  t.after(any.end);
  const peer = await any.dial({}, [IN_PROTOCOL, "readings", "other"]);
  assert.equal(peer.socket.protocol, "readings");
  const { url, dial, end } = await webSocketScene({ subprotocols: ["v2", "v1"] });
  t.after(end);
  assert.equal((await dial({}, ["v1", "v2"])).socket.protocol, "v2");
  assert.equal((await dial({}, ["v1"])).socket.protocol, "v1");
  assert.equal(await statusOf(url, { protocols: ["v3"] }), 400);
  assert.equal(await statusOf(url), 400);
});

test("websocket with tls: a client certificate of the right name is let in, another one answered 403", async (t) => {
  const tls = {
    cert: tlsPath("first", "cert"),
    key: tlsPath("first", "key"),
    clientCa: tlsPath("first", "cert"),
  };
  const shown = {
    ca: tlsFile("first", "cert"),
    cert: tlsFile("client", "cert"),
    key: tlsFile("client", "key"),
  };
  for (const [name, isLetIn] of [
    ["meter-7", true],
    ["meter-8", false],
  ] as const) {
    const engine = new ReceiverHarness({ http: realHttp });
    await engine.open(
      websocket("panel", {
        port: 0,
        acknowledge: "count-json",
        tls: { ...tls, clientNames: [name] },
      }),
    );
    t.after(() => engine.session.close(AbortSignal.abort()));
    const socket = new WebSocket(`wss://127.0.0.1:${engine.port}/`, shown);
    const peer = new WebSocketPeer(socket);
    if (isLetIn) {
      await once(socket, "open");
      socket.send("21.5");
      await committingUntil(engine, () => peer.lastCount === 1);
    } else {
      const [, { statusCode }] = await once(socket, "unexpected-response");
      assert.equal(statusCode, 403);
    }
    assert.deepEqual(engine.durable, isLetIn ? ["21.5"] : []);
  }
});

test("websocket: who has no websocket does not hold up a stop", async () => {
  const { engine } = await webSocketScene();
  const silent = connect(engine.port, "127.0.0.1").on("error", () => undefined);
  await once(silent, "connect");
  const peers = await fetch(`http://127.0.0.1:${engine.port}/`);
  await peers.text();
  await engine.session.close(new AbortController().signal);
  silent.destroy();
});
