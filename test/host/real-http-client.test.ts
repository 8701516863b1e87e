import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { once } from "node:events";
import * as net from "node:net";
import { test } from "node:test";
import { codeOf } from "../../src/errors.ts";
import type { HttpConnection, HttpQuestion } from "../../src/host/http-client.ts";
import { realHttpClient } from "../../src/host/real-http-client.ts";
import { certificate, HttpPeer, type Reply } from "../support/http-peer.ts";

const CALM: AbortSignal = new AbortController().signal;

function question(changes: Partial<HttpQuestion> = {}): HttpQuestion {
  return {
    method: "POST",
    path: "/rows?a=1",
    headers: { host: "store.example", "x-test": "yes" },
    body: Buffer.from("grün"),
    answerBytesMax: 1_000,
    ...changes,
  };
}

/** A connection, and why it broke. */
async function connected(peer: HttpPeer): Promise<{ line: HttpConnection; broken: Error[] }> {
  const broken: Error[] = [];
  const line = await realHttpClient.connect(peer.endpoint, CALM, (cause) => {
    broken.push(cause);
  });
  return { line, broken };
}

/** Lets what is on its way through the loop arrive: a round trip on a connection of its own. */
async function roundTrip(peer: HttpPeer): Promise<void> {
  peer.reply = () => ({ status: 200 });
  const { line } = await connected(peer);
  await line.send(question(), CALM);
  line.destroy();
}

test("http client: asks and answers over one socket, one after the other", async () => {
  await using peer = await HttpPeer.start();
  peer.reply = ({ body }) => ({ status: 201, headers: { "X-Back": "b" }, body: `got ${body}` });
  const { line, broken } = await connected(peer);
  for (let count = 0; count < 20; count++) {
    const answer = await line.send(question(), CALM);
    deepEqual([answer.status, answer.headers["x-back"], answer.isReusable], [201, "b", true]);
    equal(Buffer.from(answer.body).toString(), "got grün");
  }
  const [first] = peer.asked;
  deepEqual([first?.method, first?.path], ["POST", "/rows?a=1"]);
  deepEqual(
    [first?.headers["host"], first?.headers["x-test"], first?.headers["content-length"]],
    ["store.example", "yes", "5"],
  );
  equal(peer.socketCount, 1);
  line.destroy();
  await roundTrip(peer);
  deepEqual(broken, []);
});

test("http client: two requests at once are a bug", async () => {
  await using peer = await HttpPeer.start();
  const { line } = await connected(peer);
  const first = line.send(question(), CALM);
  await rejects(line.send(question(), CALM), { code: "INTERNAL" });
  equal((await first).status, 200);
  line.destroy();
});

test("http client: an answer is read up to its limit", async () => {
  await using peer = await HttpPeer.start();
  peer.reply = () => ({ status: 500, body: "x".repeat(200_000) });
  const { line, broken } = await connected(peer);
  const answer = await line.send(question({ answerBytesMax: 10 }), CALM);
  deepEqual([answer.status, answer.body.length, answer.isReusable], [500, 10, false]);
  await rejects(line.send(question(), CALM), { code: "CONNECTION_FAILED" });
  deepEqual(broken, []);
});

const LAST: readonly [title: string, reply: Reply, body: string][] = [
  ["Connection: close", { status: 200, headers: { connection: "close" }, body: "ok" }, "ok"],
  ["HTTP/1.0", { raw: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok" }, "ok"],
];

for (const [title, reply, body] of LAST) {
  test(`http client: ${title}: the answer counts, the connection takes no more`, async () => {
    await using peer = await HttpPeer.start();
    peer.reply = () => reply;
    const { line, broken } = await connected(peer);
    const answer = await line.send(question(), CALM);
    deepEqual([Buffer.from(answer.body).toString(), answer.isReusable], [body, false]);
    await rejects(line.send(question(), CALM), { code: "CONNECTION_FAILED" });
    line.destroy();
    deepEqual(broken, []);
  });
}

const BROKEN: readonly [title: string, reply: Reply][] = [
  ["the server drops the connection", "drop"],
  ["the answer is no HTTP", { raw: "220 smtp.example ESMTP\r\n" }],
];

for (const [title, reply] of BROKEN) {
  test(`http client: ${title}: the owner is told, then the request fails`, async () => {
    await using peer = await HttpPeer.start();
    peer.reply = () => reply;
    const told: string[] = [];
    const line = await realHttpClient.connect(peer.endpoint, CALM, (cause) => {
      told.push(`broke ${codeOf(cause)}`);
    });
    await line.send(question(), CALM).catch((cause: unknown) => told.push(codeOf(cause)));
    deepEqual(told, ["broke CONNECTION_FAILED", "CONNECTION_FAILED"]);
  });
}

test("http client: half an answer is none", async () => {
  await using peer = await HttpPeer.start();
  peer.reply = () => ({ raw: "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf" });
  const { line } = await connected(peer);
  const asked = rejects(line.send(question(), CALM), { code: "CONNECTION_FAILED" });
  await peer.gets(1);
  peer.dropAll();
  await asked;
});

test("http client: a connection that ends while nothing is asked is told once", async () => {
  await using peer = await HttpPeer.start();
  const { line, broken } = await connected(peer);
  await line.send(question(), CALM);
  peer.dropAll();
  await roundTrip(peer);
  equal(broken.length, 1);
  match(broken[0]?.message ?? "", /^127\.0\.0\.1:\d+: closed by the server$/);
  await rejects(line.send(question(), CALM), { code: "CONNECTION_FAILED" });
});

test("http client: what comes unasked ends the connection", async () => {
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const bound = server.address();
  ok(typeof bound === "object" && bound !== null);
  const broken = await new Promise<Error>((resolve) => {
    void realHttpClient.connect({ host: "127.0.0.1", port: bound.port }, CALM, resolve);
  });
  match(broken.message, /the server spoke unasked$/);
  server.close();
});

test("http client: an abort ends the request and the connection, and is nobody's fault", async () => {
  await using peer = await HttpPeer.start();
  peer.reply = () => "hold";
  const { line, broken } = await connected(peer);
  const abort = new AbortController();
  const asked = rejects(line.send(question(), abort.signal), { message: "enough" });
  await peer.gets(1);
  abort.abort(new Error("enough"));
  await asked;
  await rejects(line.send(question(), CALM), { code: "CONNECTION_FAILED" });
  await rejects(line.send(question(), abort.signal), { message: "enough" });
  deepEqual(broken, []);
});

test("http client: a header that cannot be sent fails its request alone", async () => {
  await using peer = await HttpPeer.start();
  const { line } = await connected(peer);
  await rejects(line.send(question({ headers: { "x-bad": "a\nb" } }), CALM), {
    code: "ERR_INVALID_CHAR",
  });
  equal((await line.send(question(), CALM)).status, 200);
  line.destroy();
});

test("http client: nobody listens; a connect that is given up", async () => {
  const peer = await HttpPeer.start();
  const { endpoint } = peer;
  await peer[Symbol.asyncDispose]();
  const ignore = (): void => undefined;
  await rejects(realHttpClient.connect(endpoint, CALM, ignore), {
    code: "CONNECTION_FAILED",
    message: /ECONNREFUSED/,
  });
  const gone = AbortSignal.abort(new Error("too late"));
  await rejects(realHttpClient.connect(endpoint, gone, ignore), { message: "too late" });
});

test("http client: a connect that is aborted on its way", async () => {
  await using peer = await HttpPeer.start();
  const abort = new AbortController();
  const connecting = realHttpClient.connect(peer.endpoint, abort.signal, () => undefined);
  abort.abort(new Error("changed my mind"));
  await rejects(connecting, { message: "changed my mind" });
});

test("http client: TLS to a server whose authority is known, and to one whose is not", async () => {
  await using peer = await HttpPeer.start(certificate("first"));
  const connect = (tls: object): Promise<HttpConnection> =>
    realHttpClient.connect({ ...peer.endpoint, tls }, CALM, () => undefined);
  const line = await connect({ ca: certificate("first").cert });
  equal((await line.send(question(), CALM)).status, 200);
  line.destroy();
  await rejects(connect({ ca: certificate("second").cert }), { code: "CONNECTION_UNTRUSTED" });
  await rejects(connect({}), { code: "CONNECTION_UNTRUSTED" });
  const named = { ca: certificate("first").cert, servername: "other.example" };
  await rejects(connect(named), { code: "CONNECTION_UNTRUSTED", message: /other\.example/ });
  await rejects(connect({ cert: Buffer.from("no PEM") }), {
    code: "CONFIG_VALUE",
  });
});

test("http client: a server that wants a certificate gets it, or does not trust us", async () => {
  await using peer = await HttpPeer.start({
    ...certificate("first"),
    requestCert: true,
    rejectUnauthorized: true,
    ca: certificate("second").cert,
  });
  const ask = async (own: object): Promise<number> => {
    const tls = { ca: certificate("first").cert, ...own };
    const line = await realHttpClient.connect({ ...peer.endpoint, tls }, CALM, () => undefined);
    const { status } = await line.send(question(), CALM);
    line.destroy();
    return status;
  };
  equal(await ask(certificate("second")), 200);
  await rejects(ask({}), { code: "CONNECTION_UNTRUSTED" });
});
