import assert from "node:assert/strict";
import { once } from "node:events";
import * as net from "node:net";
import { test } from "node:test";
import type { HttpLimits, HttpListener, HttpRequest, HttpResponse } from "../../src/host/http.ts";
import { realHttp } from "../../src/host/real-http.ts";
import { deferred } from "../support/deferred.ts";

const LIMITS: HttpLimits = {
  connectionsMax: 10,
  bodyBytesMax: 1_000,
  headerBytesMax: 4_096,
  requestTimeoutMs: 20_000,
  idleTimeoutMs: 5_000,
};
type Handle = (request: HttpRequest) => Promise<HttpResponse>;

async function serve(
  handle: Handle,
  limits: Partial<HttpLimits> = {},
): Promise<{ readonly listener: HttpListener; readonly url: string; readonly errors: Error[] }> {
  const errors: Error[] = [];
  const listener = await realHttp.listen(
    { host: "127.0.0.1", port: 0, limits: { ...LIMITS, ...limits } },
    handle,
    (cause) => void errors.push(cause),
  );
  return { listener, url: `http://127.0.0.1:${listener.address.port}`, errors };
}

const echo: Handle = async ({ method, path, query, headers, body }) => ({
  status: 200,
  headers: { "content-type": "application/json" },
  body: JSON.stringify({
    method,
    path,
    q: query.get("q"),
    header: headers["x-test"],
    body: Buffer.from(body).toString(),
  }),
});

/** Sends bytes as they are and gives back everything that came until the end. */
async function raw(port: number, text: string): Promise<string> {
  const socket = net.connect({ host: "127.0.0.1", port });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.write(text);
  await once(socket, "close");
  return Buffer.concat(chunks).toString();
}

test("http: a request comes whole, and so does the answer", async () => {
  const { listener, url } = await serve(echo);
  const response = await fetch(`${url}/a/b?q=1`, {
    method: "POST",
    body: "grün",
    headers: { "X-Test": "yes" },
  });
  assert.deepEqual(await response.json(), {
    method: "POST",
    path: "/a/b",
    q: "1",
    header: "yes",
    body: "grün",
  });
  assert.equal(listener.connectionCount, 1);
  await listener.close(AbortSignal.abort());
});

test("http: a body over the limit is 413 with both numbers, before it is read", async () => {
  let handled = 0;
  const { listener, url } = await serve(async (request) => {
    handled++;
    return echo(request);
  });
  const response = await fetch(url, { method: "POST", body: "x".repeat(300_000) });
  assert.equal(response.status, 413);
  assert.deepEqual(await response.json(), {
    code: "MESSAGE_TOO_LONG",
    message: "body of 300000 bytes, limit 1000",
  });
  const chunked = await raw(
    listener.address.port,
    `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${"200\r\n".concat("y".repeat(512), "\r\n").repeat(3)}0\r\n\r\n`,
  );
  assert.match(chunked, /^HTTP\/1\.1 413/);
  assert.match(chunked, /body of at least \d+ bytes, limit 1000/);
  assert.equal(handled, 0);
  assert.equal((await fetch(url, { method: "POST", body: "x".repeat(1_000) })).status, 200);
  await listener.close(AbortSignal.abort());
});

test("http: a client that asks first is refused before it sends", async () => {
  const { listener } = await serve(echo);
  const { port } = listener.address;
  const socket = net.connect({ host: "127.0.0.1", port });
  socket.write(
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n",
  );
  const [refusal] = await once(socket, "data");
  assert.match(String(refusal), /^HTTP\/1\.1 413/);
  socket.destroy();
  const asking = net.connect({ host: "127.0.0.1", port });
  asking.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  const [goOn] = await once(asking, "data");
  assert.match(String(goOn), /^HTTP\/1\.1 100/);
  asking.write("ok");
  const [answer] = await once(asking, "data");
  assert.match(String(answer), /^HTTP\/1\.1 200/);
  asking.destroy();
  await listener.close(AbortSignal.abort());
});

test("http: bodies of all requests together have a limit: 503 with Retry-After", async () => {
  const entered = deferred<void>();
  const release = deferred<void>();
  const { listener, url } = await serve(
    async (request) => {
      entered.resolve();
      await release.promise;
      return echo(request);
    },
    { bodiesBytesMax: 1_200 },
  );
  const first = fetch(url, { method: "POST", body: "x".repeat(900) });
  await entered.promise;
  const second = await fetch(url, { method: "POST", body: "x".repeat(900) });
  assert.deepEqual([second.status, second.headers.get("retry-after")], [503, "1"]);
  release.resolve();
  assert.equal((await first).status, 200);
  const third = await fetch(url, { method: "POST", body: "x".repeat(900) });
  assert.equal(third.status, 200);
  await listener.close(AbortSignal.abort());
});

test("http: headers over the limit are 431, nonsense is 400, a request that never ends is 408", async () => {
  const { listener } = await serve(echo, { requestTimeoutMs: 50 });
  const { port } = listener.address;
  assert.match(
    await raw(port, `GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(5_000)}\r\n\r\n`),
    /^HTTP\/1\.1 431/,
  );
  assert.match(await raw(port, "what is this\r\n\r\n"), /^HTTP\/1\.1 400/);
  assert.match(
    await raw(port, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf"),
    /^HTTP\/1\.1 408/,
  );
  await listener.close(AbortSignal.abort());
});

test("http: a bug in the handler is 500 and reported, and the server goes on", async () => {
  const { listener, url, errors } = await serve(async (request) => {
    if (request.path === "/bug") throw new Error("a bug");
    return echo(request);
  });
  assert.equal((await fetch(`${url}/bug`)).status, 500);
  assert.deepEqual(
    errors.map(({ message }) => message),
    ["a bug"],
  );
  assert.equal((await fetch(url)).status, 200);
  await listener.close(AbortSignal.abort());
});

test("http: a client that goes away aborts the signal of its request and gives its memory back", async () => {
  const aborted = deferred<void>();
  const entered = deferred<void>();
  const { listener, url } = await serve(
    async ({ signal, path }) => {
      if (path === "/") return { status: 204 };
      entered.resolve();
      await new Promise<void>((resolve) =>
        signal.addEventListener("abort", () => resolve(), { once: true }),
      );
      aborted.resolve();
      return { status: 200 };
    },
    { bodiesBytesMax: 1_000 },
  );
  const leaving = new AbortController();
  const request = fetch(`${url}/wait`, {
    method: "POST",
    body: "x".repeat(900),
    signal: leaving.signal,
  }).catch(() => undefined);
  await entered.promise;
  leaving.abort();
  await aborted.promise;
  await request;
  assert.equal((await fetch(url, { method: "POST", body: "x".repeat(900) })).status, 204);
  await listener.close(AbortSignal.abort());
});

test("http: close takes no more, waits for running requests and ends kept connections", async () => {
  const entered = deferred<void>();
  const release = deferred<void>();
  const { listener, url } = await serve(async () => {
    entered.resolve();
    await release.promise;
    return { status: 200, body: "done" };
  });
  const running = fetch(url);
  await entered.promise;
  let isClosed = false;
  const closed = listener.close().then(() => (isClosed = true));
  await assert.rejects(fetch(url));
  assert.equal(isClosed, false);
  release.resolve();
  const response = await running;
  assert.equal(response.headers.get("connection"), "close");
  assert.equal(await response.text(), "done");
  await closed;
  await listener.close();
});

test("http: close waits for nobody who has not asked yet", async () => {
  const { listener, url } = await serve(echo);
  const { port } = listener.address;
  const silent = net.connect({ host: "127.0.0.1", port });
  const slow = net.connect({ host: "127.0.0.1", port });
  slow.write("GET / HTTP/1.1\r\nhost: a");
  await Promise.all([once(silent, "connect"), once(slow, "connect")]);
  // Served behind them: they are known by then.
  assert.equal((await fetch(url)).status, 200);
  await Promise.all([listener.close(), once(silent, "close"), once(slow, "close")]);
});

test("http: close is forced when its signal aborts", async () => {
  const entered = deferred<void>();
  const { listener, url } = await serve(() => {
    entered.resolve();
    return new Promise<HttpResponse>(() => undefined);
  });
  const running = fetch(url).catch(() => "cut off");
  await entered.promise;
  const deadline = new AbortController();
  const closed = listener.close(deadline.signal);
  deadline.abort();
  await closed;
  assert.equal(await running, "cut off");
});

test("http: a port that is taken is PORT_IN_USE, no host is not all of them", async () => {
  const { listener } = await serve(echo);
  const taken = realHttp.listen(
    { host: "127.0.0.1", port: listener.address.port, limits: LIMITS },
    echo,
    () => undefined,
  );
  await assert.rejects(taken, { code: "PORT_IN_USE" });
  const anywhere = realHttp.listen({ host: "", port: 0, limits: LIMITS }, echo, () => undefined);
  await assert.rejects(anywhere, { code: "ADDRESS_UNAVAILABLE" });
  await listener.close(AbortSignal.abort());
});
