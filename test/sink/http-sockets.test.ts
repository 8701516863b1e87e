/**
 * The HTTP sink on real sockets. Time is the test's: deadlines are reached by moving the clock.
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import type { SinkSession, WriteResult } from "../../src/contract/sink.ts";
import { codeOf } from "../../src/errors.ts";
import { realFiles } from "../../src/host/real-files.ts";
import { http, type HttpOptions } from "../../src/sink/http.ts";
import { FaultProxy } from "../../src/testing/index.ts";
import {
  type Asked,
  certificate,
  certificatePaths,
  HttpPeer,
  type Reply,
} from "../support/http-peer.ts";
import { numbers } from "../support/http-scene.ts";
import { KeyedStore } from "../support/scripted-http.ts";
import { SinkPipeline } from "../support/sink-batch.ts";

/** What a store answers over HTTP. */
function replyOf(store: KeyedStore): (asked: Asked) => Reply {
  return ({ headers, body }) => {
    const reply = store.take({ key: String(headers["idempotency-key"]), body });
    ok(typeof reply === "object");
    return { status: reply.status, body: reply.body ?? "" };
  };
}

interface Opened {
  readonly pipeline: SinkPipeline;
  readonly session: SinkSession<never>;
  write(count: number): Promise<WriteResult>;
}

async function opened(port: number, options: Partial<HttpOptions> = {}): Promise<Opened> {
  const pipeline = new SinkPipeline(realFiles);
  const url = `http://127.0.0.1:${port}/rows`;
  const all = { url, requestRecordsMax: 10, ...options } as HttpOptions & { format: "json" };
  const session = await pipeline.open(http("out", all));
  return { pipeline, session, write: (count) => pipeline.run(session, [numbers(count)]) };
}

/** Closes, and checks that nothing is left. */
async function close({ session, pipeline }: Opened): Promise<void> {
  await session.close(pipeline.abort.signal);
  equal(pipeline.clock.timerCount, 0);
}

function causeOf(result: WriteResult): string {
  ok(result.kind === "back-off", result.kind);
  return codeOf(result.cause);
}

const all = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => String(n));

test("http sockets: batches over one connection, packed", async () => {
  await using peer = await HttpPeer.start();
  const store = new KeyedStore();
  peer.reply = replyOf(store);
  const sink = await opened(peer.port, { gzip: true, gzipBytesMin: 0 });
  for (let batch = 0; batch < 5; batch++) deepEqual(await sink.write(30), { kind: "written" });
  equal(store.rows.length, 150);
  equal(peer.asked.length, 15);
  equal(peer.asked[0]?.headers["content-encoding"], "gzip");
  equal(peer.socketCount, 1);
  await close(sink);
});

test("http sockets: TLS, with a certificate of our own", async () => {
  const own = certificatePaths("second");
  await using peer = await HttpPeer.start({
    ...certificate("first"),
    requestCert: true,
    ca: certificate("second").cert,
  });
  const url = `https://localhost:${peer.port}/`;
  const { cert: ca } = certificatePaths("first");
  const trusting = await opened(peer.port, { url, tls: { ca, ...own } });
  deepEqual(await trusting.write(3), { kind: "written" });
  await close(trusting);
  const strange = await opened(peer.port, { url, tls: { ca: own.cert, ...own } });
  await rejects(strange.write(3), { code: "CONNECTION_UNTRUSTED", message: /localhost/ });
  await close(strange);
  const unknown = await opened(peer.port, { url, tls: { ca } });
  await rejects(unknown.write(3), { code: "CONNECTION_UNTRUSTED" });
  await close(unknown);
  equal(peer.asked.length, 1);
});

test("http sockets: the server crashes in the middle of a batch, its successor has every row once", async () => {
  const store = new KeyedStore();
  await using first = await HttpPeer.start();
  await using second = await HttpPeer.start();
  await using proxy = await FaultProxy.start({ target: first.endpoint });
  first.reply = (asked) => {
    const reply = replyOf(store)(asked);
    // The third request is taken, and its answer dies with the server.
    return first.asked.length < 3 ? reply : "drop";
  };
  second.reply = replyOf(store);
  const sink = await opened(proxy.endpoint.port);
  equal(causeOf(await sink.write(50)), "CONNECTION_FAILED");
  await proxy.set({ kind: "refuse" });
  const waiting = sink.write(50);
  await proxy.set({ kind: "none" });
  proxy.point(second.endpoint);
  deepEqual(await waiting, { kind: "written" });
  deepEqual(store.rows, all(50));
  equal(store.repeated, 1);
  await close(sink);
});

test("http sockets: a server that closes what is idle costs nothing", async () => {
  await using peer = await HttpPeer.start();
  const sink = await opened(peer.port);
  for (let batch = 0; batch < 3; batch++) {
    deepEqual(await sink.write(1), { kind: "written" });
    peer.dropAll();
    await sink.pipeline.clock.settle();
  }
  equal(peer.socketCount, 3);
  await close(sink);
});

test("http sockets: a slow server is given up at the deadline, not before", async () => {
  await using peer = await HttpPeer.start();
  peer.reply = () => "hold";
  const sink = await opened(peer.port, { timeoutMs: 2_000 });
  const writing = sink.write(1);
  await peer.gets(1);
  await sink.pipeline.clock.advance(1_999);
  peer.reply = () => ({ status: 200 });
  await sink.pipeline.clock.advance(1);
  equal(causeOf(await writing), "CONNECTION_STALLED");
  deepEqual(await sink.write(1), { kind: "written" });
  equal(peer.socketCount, 2);
  await close(sink);
});

test("http sockets: a peer that is gone without a word is found at the deadline", async () => {
  await using peer = await HttpPeer.start();
  const store = new KeyedStore();
  peer.reply = replyOf(store);
  await using proxy = await FaultProxy.start({ target: peer.endpoint });
  const sink = await opened(proxy.endpoint.port, { timeoutMs: 10_000 });
  deepEqual(await sink.write(10), { kind: "written" });
  proxy.strike({ kind: "half-open" });
  const writing = sink.write(20);
  await proxy.saw({ what: "swallowed" });
  await sink.pipeline.clock.advance(10_000);
  equal(causeOf(await writing), "CONNECTION_STALLED");
  deepEqual(await sink.write(20), { kind: "written" });
  equal(store.rows.length, 30);
  await close(sink);
});

test("http sockets: a server that resets every request is tried later, and is down for the pool", async () => {
  await using peer = await HttpPeer.start();
  await using proxy = await FaultProxy.start({ target: peer.endpoint });
  await proxy.set({ kind: "reset", after: { bytes: 10, from: "client" } });
  const sink = await opened(proxy.endpoint.port);
  equal(causeOf(await sink.write(1)), "CONNECTION_FAILED");
  equal(causeOf(await sink.write(1)), "CONNECTION_FAILED");
  deepEqual(sink.pipeline.endpoints(), ["down"]);
  await proxy.set({ kind: "none" });
  const writing = sink.write(1);
  await sink.pipeline.clock.advance(5_000);
  deepEqual(await writing, { kind: "written" });
  await close(sink);
});
