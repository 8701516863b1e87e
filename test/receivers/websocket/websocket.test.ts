import assert from "node:assert/strict";
import { test } from "node:test";
import { websocket } from "../../../receivers/websocket/index.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { realHttp } from "../../../src/host/real-http.ts";
import { ReceiverHarness } from "../../support/receiver-harness.ts";
import { committingUntil, until, webSocketScene } from "../../support/websocket-scene.ts";

test("websocket: a count comes after the commit, never before", async (t) => {
  const { engine, dial, end } = await webSocketScene();
  t.after(end);
  const peer = await dial();
  peer.socket.send("a");
  peer.socket.send(Buffer.from([0xff, 0x00]));
  await until(() => engine.inflightBlocks.flat().length === 2);
  assert.deepEqual(peer.received, []);
  await engine.commit();
  await until(() => peer.received.length === 1);
  assert.deepEqual(peer.received, ['{"stored":2}']);
  assert.equal(peer.wasBinary, false);
  assert.deepEqual(engine.durable, ["a", "\xff\x00"]);
});

test("websocket: what arrives in one turn is one block and one count", async (t) => {
  const { engine, dial, end } = await webSocketScene();
  t.after(end);
  const [peer, other] = [await dial(), await dial()];
  // One write on the socket: one chunk at the other end.
  const raw = rawSocketOf(peer.socket);
  raw.cork();
  for (let i = 0; i < 50; i++) peer.socket.send(String(i));
  raw.uncork();
  other.socket.send("x");
  await until(() => engine.inflightBlocks.flat().length === 51);
  assert.equal(engine.inflightBlocks.length, 2);
  await engine.commit();
  await until(() => peer.received.length + other.received.length === 2);
  assert.deepEqual([peer.lastCount, other.lastCount], [50, 1]);
});

test("websocket: count-bytes is a binary message of 4 bytes, big-endian", async (t) => {
  const { engine, dial, end } = await webSocketScene({ acknowledge: "count-bytes" });
  t.after(end);
  const peer = await dial();
  for (let i = 0; i < 258; i++) peer.socket.send("a");
  await committingUntil(engine, () => peer.received.at(-1) === "\x00\x00\x01\x02");
  assert.equal(peer.wasBinary, true);
});

test("websocket: none says nothing", async (t) => {
  const { engine, dial, end } = await webSocketScene({ acknowledge: "none" });
  t.after(end);
  const peer = await dial();
  peer.socket.send("a");
  await committingUntil(engine, () => engine.durable.length === 1);
  peer.socket.close(1000);
  await committingUntil(engine, () => peer.closedWith !== undefined);
  assert.deepEqual([peer.received, peer.closedWith?.code], [[], 1000]);
});

test("websocket: empty messages and fragmented ones are records", async (t) => {
  const { engine, dial, end } = await webSocketScene();
  t.after(end);
  const peer = await dial();
  peer.socket.send("");
  for (const [part, fin] of [
    ["frag", false],
    ["men", false],
    ["ted", true],
  ] as const)
    peer.socket.send(part, { fin });
  await committingUntil(engine, () => peer.lastCount === 2);
  assert.deepEqual(engine.durable, ["", "fragmented"]);
});

test("websocket: a Close is answered after the last count", async (t) => {
  const { engine, dial, end } = await webSocketScene();
  t.after(end);
  const peer = await dial();
  peer.socket.send("a");
  peer.socket.send("b");
  peer.socket.close(1000, "done");
  await until(() => engine.inflightBlocks.flat().length === 2);
  await engine.clock.settle();
  assert.deepEqual([peer.received, peer.closedWith], [[], undefined]);
  await engine.commit();
  await until(() => peer.closedWith !== undefined);
  assert.deepEqual(peer.received, ['{"stored":2}']);
  assert.equal(peer.closedWith?.code, 1000);
  await until(() => engine.connectionCount === 0);
});

test("websocket: a message over the limit ends its connection with 1009, after the count", async (t) => {
  const { engine, dial, end } = await webSocketScene({ messageBytesMax: 8 });
  t.after(end);
  const [peer, other] = [await dial(), await dial()];
  peer.socket.send("fine");
  peer.socket.send("this is too long");
  peer.socket.send("never");
  await until(() => engine.inflightBlocks.length === 1);
  await committingUntil(engine, () => peer.closedWith !== undefined);
  assert.deepEqual([peer.received, peer.closedWith?.code], [['{"stored":1}'], 1009]);
  assert.deepEqual(engine.codes, ["MESSAGE_TOO_LONG"]);
  assert.match(engine.warnings.join(), /a message is longer than the limit of 8 bytes/);
  other.socket.send("ok");
  await committingUntil(engine, () => other.lastCount === 1);
  assert.deepEqual([engine.durable, engine.failures], [["fine", "ok"], []]);
});

test("websocket: a long message that is within the limit is a block of its own", async (t) => {
  const { engine, dial, end } = await webSocketScene({ messageBytesMax: 3 * 2 ** 20 });
  t.after(end);
  const peer = await dial();
  const long = "x".repeat(3 * 2 ** 20);
  for (const text of ["a", long, "b"]) peer.socket.send(text);
  await committingUntil(engine, () => peer.lastCount === 3);
  assert.deepEqual(engine.durable, ["a", long, "b"]);
});

test("websocket: 10 MB are refused before they are there", async (t) => {
  const { engine, dial, end } = await webSocketScene();
  t.after(end);
  const peer = await dial();
  peer.socket.send(Buffer.alloc(10_000_000));
  await until(() => peer.closedWith !== undefined);
  assert.deepEqual([engine.durable, engine.failures], [[], []]);
  assert.deepEqual(engine.codes, ["MESSAGE_TOO_LONG"]);
});

test("websocket: a block that is refused ends its connection with 1013; the count never passes it", async (t) => {
  const { engine, dial, end } = await webSocketScene();
  t.after(end);
  const peer = await dial();
  for (const text of ["a", "b", "c"]) {
    peer.socket.send(text);
    await until(() => engine.inflightBlocks.flat().includes(text));
  }
  await engine.commit(1);
  await engine.failOldest(new HoldfastError("LOG_FULL", "no room for 30000 ms"));
  await committingUntil(engine, () => peer.closedWith !== undefined);
  assert.deepEqual([peer.received, peer.closedWith?.code], [['{"stored":1}'], 1013]);
  assert.match(engine.warnings.join(), /ends after 1 messages: no room/);
});

test("websocket: silence is pinged, and a client that answers stays", async (t) => {
  const { engine, dial, end } = await webSocketScene({ idleTimeoutMs: 10_000 });
  t.after(end);
  const peer = await dial();
  let pings = 0;
  peer.socket.on("ping", () => pings++);
  for (let round = 1; round <= 4; round++) {
    await engine.clock.advance(5_000);
    await until(() => pings === round && engine.aliveCount === 1 + round);
  }
  assert.equal(peer.closedWith, undefined);
});

test("websocket: a half-open connection is found and ended, its messages are kept", async (t) => {
  const { engine, dial, end } = await webSocketScene({ idleTimeoutMs: 10_000 });
  t.after(end);
  const peer = await dial({ autoPong: false });
  peer.socket.send("a");
  await committingUntil(engine, () => peer.lastCount === 1);
  await engine.clock.advance(5_000);
  await engine.clock.advance(5_000);
  await until(() => peer.closedWith !== undefined);
  assert.equal(peer.closedWith?.code, 1001);
  assert.deepEqual([engine.durable, engine.codes], [["a"], ["CONNECTION_IDLE"]]);
});

test("websocket: silence does not count while we are the ones who wait", async (t) => {
  const { engine, dial, end } = await webSocketScene({ idleTimeoutMs: 10_000 });
  t.after(end);
  const peer = await dial({ autoPong: false });
  peer.socket.send("a");
  await until(() => engine.inflightBlocks.length === 1);
  await engine.clock.advance(50_000);
  engine.pause();
  await engine.commit();
  await engine.clock.advance(50_000);
  await until(() => peer.lastCount === 1);
  assert.equal(peer.closedWith, undefined);
});

test("websocket: connections beyond the limit are answered 503, and told once", async (t) => {
  const { engine, dial, end } = await webSocketScene({ connectionsMax: 2 });
  t.after(end);
  const first = await dial();
  await dial();
  for (let tries = 0; tries < 2; tries++)
    await assert.rejects(dial(), { message: "Unexpected server response: 503" });
  assert.deepEqual(engine.codes, ["CONNECTION_LIMIT"]);
  first.socket.terminate();
  await until(() => engine.connectionCount === 1);
  await dial();
  assert.equal(engine.connectionCount, 2);
});

test("websocket: 1,000 connections at once, each counted by itself", async (t) => {
  const { engine, dial, end } = await webSocketScene({ connectionsMax: 1_000 });
  t.after(end);
  const peers = await Promise.all(Array.from({ length: 1_000 }, () => dial()));
  peers.forEach((peer, i) => {
    peer.socket.send(`${i}:0`);
    peer.socket.send(`${i}:1`);
  });
  await committingUntil(engine, () => peers.every((peer) => peer.lastCount === 2));
  assert.equal(new Set(engine.durable).size, 2_000);
  assert.equal(engine.connectionCount, 1_000);
});

test("websocket: of unfinished messages beyond the limit of all connections, the longest ends its own", async (t) => {
  const { engine, dial, end } = await webSocketScene({ unfinishedBytesMax: 4 * 2 ** 20 });
  t.after(end);
  const peers = await Promise.all(Array.from({ length: 5 }, () => dial()));
  const part = Buffer.alloc(900_000);
  peers.forEach(({ socket }, i) =>
    socket.send(part.subarray(0, part.length - i * 1_000), { fin: false }),
  );
  const [longest, ...others] = peers;
  await until(() => longest?.closedWith !== undefined);
  assert.deepEqual([longest?.closedWith?.code, engine.codes], [1013, ["BUSY"]]);
  // The other four are within the limit.
  for (const { socket } of others) socket.send("end", { fin: true });
  await committingUntil(engine, () => others.every((peer) => peer.lastCount === 1));
  assert.equal(engine.durable.length, 4);
  assert.deepEqual(engine.failures, []);
});

test("websocket: compressed messages are refused unless they are asked for, and limited after inflation", async (t) => {
  const plain = await webSocketScene();
  t.after(plain.end);
  const uncompressed = await plain.dial({ perMessageDeflate: true });
  assert.equal(uncompressed.socket.extensions, "");
  const { engine, dial, end } = await webSocketScene({
    compression: true,
    messageBytesMax: 100_000,
  });
  t.after(end);
  const peer = await dial({ perMessageDeflate: { threshold: 0 } });
  assert.equal(peer.socket.extensions, "permessage-deflate");
  peer.socket.send("x".repeat(100_000));
  await committingUntil(engine, () => peer.lastCount === 1);
  peer.socket.send("x".repeat(100_001));
  await committingUntil(engine, () => peer.closedWith !== undefined);
  assert.deepEqual([peer.received, peer.closedWith?.code], [['{"stored":1}'], 1009]);
  assert.equal(engine.durable.length, 1);
});

test("websocket: documented defaults are the defaults", () => {
  const { options, redelivers } = websocket("panel", { port: 1 });
  assert.deepEqual(options, {
    port: 1,
    host: "127.0.0.1",
    path: "/",
    acknowledge: "none",
    connectionsMax: 1_000,
    messageBytesMax: 2 ** 20,
    unfinishedBytesMax: 32 * 2 ** 20,
    idleTimeoutMs: 60_000,
    compression: false,
    origins: [],
    tokenInQuery: false,
    subprotocols: [],
  });
  assert.equal(redelivers, false);
  assert.equal(websocket("panel", { port: 1, acknowledge: "count-json" }).redelivers, true);
});

test("websocket: a port that is taken is PORT_IN_USE", async (t) => {
  const { engine, end } = await webSocketScene();
  t.after(end);
  const second = new ReceiverHarness({ http: realHttp });
  await assert.rejects(second.open(websocket("second", { port: engine.port })), {
    code: "PORT_IN_USE",
  });
});

test("websocket: origins are taken as browsers write them", () => {
  const origins = ["*", "null", "http://127.0.0.1:8080", "https://[::1]", "capacitor://localhost"];
  assert.deepEqual(websocket("panel", { port: 1, origins }).options, {
    ...Object(websocket("panel", { port: 1 }).options),
    origins,
  });
});

test("websocket: options that make no sense are refused", () => {
  for (const [options, code] of [
    [{ path: "no-slash" }, "CONFIG_VALUE"],
    [{ token: "" }, "CONFIG_VALUE"],
    [{ tokenInQuery: true }, "CONFIG_CONFLICT"],
    [{ idleTimeoutMs: 999 }, "CONFIG_OUT_OF_RANGE"],
    [{ subprotocols: ["a b"] }, "CONFIG_VALUE"],
    [{ subprotocols: ["a", "a"] }, "CONFIG_VALUE"],
    [{ origins: ["panel.example"] }, "CONFIG_VALUE"],
    [{ host: "" }, "CONFIG_VALUE"],
    [{ origins: ["https://panel.example/"] }, "CONFIG_VALUE"],
    [{ origins: ["https://panel.example:443"] }, "CONFIG_VALUE"],
    [{ origins: ["https://Panel.example"] }, "CONFIG_VALUE"],
    [{ messageBytesMax: 4 * 2 ** 20 }, "CONFIG_OUT_OF_RANGE"],
  ] as const)
    assert.throws(
      () => websocket("panel", { port: 0, ...options }),
      { code },
      JSON.stringify(options),
    );
});

/** The stream under a websocket of ws: only tests look at it. */
function rawSocketOf(socket: object): { cork(): void; uncork(): void } {
  const raw: unknown = Reflect.get(socket, "_socket");
  assert.ok(typeof raw === "object" && raw !== null && "cork" in raw && "uncork" in raw);
  return raw as { cork(): void; uncork(): void };
}
