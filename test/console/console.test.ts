import assert from "node:assert/strict";
import { test } from "node:test";
import { consoleUnit, type ConsoleOptions, isLoopback } from "../../src/console/console.ts";
import type { Health } from "../../src/contract/status.ts";
import type { UnitContext, UnitSession } from "../../src/contract/unit.ts";
import { HoldfastError } from "../../src/errors.ts";
import type { HttpResponse } from "../../src/host/http.ts";
import { realHttp } from "../../src/host/real-http.ts";
import { MemoryHttp } from "./memory-http.ts";
import { unitContext } from "../support/unit-context.ts";

const NOT_READY: Health = {
  kind: "not-ready",
  reasons: [{ unit: "receivers/meters", code: "PORT_IN_USE", message: "127.0.0.1:9000 is taken" }],
};

interface Opened extends AsyncDisposable {
  readonly http: MemoryHttp;
  readonly session: UnitSession<never>;
  readonly failures: readonly unknown[];
  ask(
    path: string,
    method?: string,
    headers?: Readonly<Record<string, string>>,
  ): Promise<HttpResponse>;
}

async function opened(options: Partial<ConsoleOptions> = {}): Promise<Opened> {
  const http = new MemoryHttp();
  const failures: unknown[] = [];
  const controller = new AbortController();
  const context: UnitContext = {
    ...unitContext(),
    path: "console",
    epoch: 1,
    signal: controller.signal,
    fail: (cause) => void failures.push(cause),
    alive: () => undefined,
  };
  const definition = consoleUnit({
    port: 0,
    http,
    metricsText: () => "a 1\n",
    health: () => ({ kind: "ready" }),
    ...options,
  });
  const session = await definition.open(context);
  return {
    http,
    session,
    failures,
    ask: (path, method = "GET", headers = {}) => http.ask({ path, method, headers }),
    [Symbol.asyncDispose]: async () => await session.close(controller.signal),
  };
}

test("console: listens on loopback unless told otherwise, and tells where", async () => {
  const told: unknown[] = [];
  await using unit = await opened({ onListening: (address) => void told.push(address) });
  assert.equal(unit.http.bound?.host, "127.0.0.1");
  assert.deepEqual(told, [unit.http.bound]);
});

test("console: /metrics is the text as it is, in the format's content type", async () => {
  await using unit = await opened({ metricsText: () => Promise.resolve("holdfast_log_bytes 1\n") });
  const { status, headers, body } = await unit.ask("/metrics");
  assert.deepEqual(
    [status, headers?.["content-type"], body],
    [200, "text/plain; version=0.0.4; charset=utf-8", "holdfast_log_bytes 1\n"],
  );
});

test("console: /livez answers 200 while /readyz says 503 with the reasons", async () => {
  await using unit = await opened({ health: () => NOT_READY });
  assert.equal((await unit.ask("/livez")).status, 200);
  const { status, body } = await unit.ask("/readyz");
  assert.equal(status, 503);
  assert.deepEqual(JSON.parse(String(body)), NOT_READY);
});

test("console: /readyz is 200 when ready, asked anew each time", async () => {
  let health: Health = NOT_READY;
  await using unit = await opened({ health: () => health });
  assert.equal((await unit.ask("/readyz")).status, 503);
  health = { kind: "ready" };
  const { status, body } = await unit.ask("/readyz");
  assert.deepEqual([status, JSON.parse(String(body))], [200, { kind: "ready" }]);
});

test("console: / names the endpoints, an unknown path is 404", async () => {
  await using unit = await opened();
  const index = await unit.ask("/");
  for (const path of ["/metrics", "/livez", "/readyz"])
    assert.ok(String(index.body).includes(path), path);
  assert.equal(index.status, 200);
  assert.equal((await unit.ask("/metricsx")).status, 404);
});

for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
  test(`console: ${method} is refused and told what is allowed`, async () => {
    await using unit = await opened();
    const { status, headers } = await unit.ask("/metrics", method);
    assert.deepEqual([status, headers?.["allow"]], [405, "GET, HEAD"]);
  });
}

test("console: every answer forbids scripts, guessing and caching", async () => {
  await using unit = await opened({ token: "open", health: () => NOT_READY });
  const authorization = "Bearer open";
  const answers = [
    await unit.ask("/", "GET", { authorization }),
    await unit.ask("/readyz", "GET", { authorization }),
    await unit.ask("/nothing", "GET", { authorization }),
    await unit.ask("/metrics"),
    await unit.ask("/", "POST"),
  ];
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 503, 404, 401, 405],
  );
  for (const { headers } of answers) {
    assert.match(headers?.["content-security-policy"] ?? "", /default-src 'none'/);
    assert.equal(headers?.["x-content-type-options"], "nosniff");
    assert.equal(headers?.["cache-control"], "no-store");
  }
});

test("console: with a token only /livez answers without it", async () => {
  await using unit = await opened({ host: "0.0.0.0", token: "open sesame" });
  const statuses = async (headers: Readonly<Record<string, string>>): Promise<readonly number[]> =>
    await Promise.all(
      ["/livez", "/readyz", "/metrics", "/"].map(
        async (path) => (await unit.ask(path, "GET", headers)).status,
      ),
    );
  assert.deepEqual(await statuses({}), [200, 401, 401, 401]);
  assert.deepEqual(await statuses({ authorization: "Bearer open sesamE" }), [200, 401, 401, 401]);
  assert.deepEqual(await statuses({ authorization: "Bearer open" }), [200, 401, 401, 401]);
  assert.deepEqual(await statuses({ authorization: "Bearer open sesame" }), [200, 200, 200, 200]);
});

for (const host of [
  "0.0.0.0",
  "::",
  "10.0.0.1",
  "gateway.example",
  "127.0.0.1.example",
  "1270.0.0.1",
]) {
  test(`console: ${host} without a token is refused before anything listens`, () => {
    assert.equal(isLoopback(host), false);
    assert.throws(
      () =>
        consoleUnit({
          port: 0,
          host,
          http: new MemoryHttp(),
          metricsText: () => "",
          health: () => ({ kind: "ready" }),
        }),
      { code: "CONFIG_CONFLICT" },
    );
  });
}

for (const host of ["127.0.0.1", "127.8.8.8", "localhost", "::1"]) {
  test(`console: ${host} is loopback`, async () => {
    await using unit = await opened({ host });
    assert.equal(unit.http.bound?.host, host);
  });
}

test("console: a taken port fails the open with its code", async () => {
  const http = new MemoryHttp();
  http.refuse = new HoldfastError("PORT_IN_USE", "127.0.0.1:9090 is taken");
  await assert.rejects(opened({ http }), { code: "PORT_IN_USE" });
});

test("console: an error of the server fails the unit", async () => {
  await using unit = await opened();
  const broken = new Error("accept failed");
  unit.http.onError?.(broken);
  assert.deepEqual(unit.failures, [broken]);
});

test("console: close ends the listener, with the signal it was given", async () => {
  const unit = await opened();
  const { signal } = new AbortController();
  await unit.session.close(signal);
  assert.deepEqual(unit.http.closedWith, [signal]);
});

test("console: answers over real HTTP, and lets the port go", async () => {
  let port = 0;
  const definition = consoleUnit({
    port: 0,
    http: realHttp,
    metricsText: () => "holdfast_log_bytes 1\n",
    health: () => NOT_READY,
    onListening: (address) => {
      port = address.port;
    },
  });
  const { signal } = new AbortController();
  const session = await definition.open({
    ...unitContext(),
    path: "console",
    epoch: 1,
    signal,
    fail: (cause) => assert.fail(String(cause)),
    alive: () => undefined,
  });
  const url = `http://127.0.0.1:${port}`;
  try {
    const page = await fetch(`${url}/metrics`);
    assert.equal(await page.text(), "holdfast_log_bytes 1\n");
    assert.equal(page.headers.get("cache-control"), "no-store");
    const ready = await fetch(`${url}/readyz`);
    assert.deepEqual([ready.status, await ready.json()], [503, NOT_READY]);
    const head = await fetch(`${url}/livez`, { method: "HEAD" });
    assert.deepEqual([head.status, await head.text()], [200, ""]);
  } finally {
    await session.close(signal);
  }
  await assert.rejects(fetch(`${url}/livez`));
});
