import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { http, type HttpInput } from "../../../receivers/http/index.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { realHttp } from "../../../src/host/real-http.ts";
import { ReceiverHarness } from "../../support/receiver-harness.ts";

interface Scene {
  readonly engine: ReceiverHarness;
  readonly url: string;
  /** Posts and plays the log until the answer is there. */
  readonly post: (
    body: string | Uint8Array,
    contentType?: string,
    more?: Readonly<Record<string, string>>,
    path?: string,
  ) => Promise<Response>;
  readonly close: () => Promise<void>;
}

async function scene(options: Partial<HttpInput> = {}): Promise<Scene> {
  const engine = new ReceiverHarness({ http: realHttp });
  const session = await engine.open(http("web", { port: 0, ...options }));
  const url = `http://127.0.0.1:${engine.port}`;
  return {
    engine,
    url,
    async post(body, contentType = "application/json", more = {}, path = "/records") {
      const headers = { "content-type": contentType, ...more };
      const answered = fetch(`${url}${path}`, { method: "POST", body, headers });
      const isAnswered = answered.then(() => true);
      const committed = (): Promise<boolean> =>
        engine.clock
          .settle()
          .then(() => engine.commit())
          .then(() => false);
      for (let done = false; !done; ) done = await Promise.race([isAnswered, committed()]);
      return answered;
    },
    close: async () => session.close(AbortSignal.abort()),
  };
}

test("http: a value, an array and lines are stored as their own bytes; 200 says how many and where", async () => {
  const { engine, post, close } = await scene();
  const one = await post('{"a": 1}');
  assert.deepEqual([one.status, await one.json()], [200, { stored: 1, firstOffset: 0 }]);
  const many = await post('[ {"a":2.0}, "x" ]');
  assert.deepEqual(await many.json(), { stored: 2, firstOffset: 1 });
  const lines = await post("p\nq\r\n\nr", "text/plain;charset=UTF-8");
  assert.deepEqual(await lines.json(), { stored: 3, firstOffset: 3 });
  assert.deepEqual(engine.durable, ['{"a": 1}', '{"a":2.0}', '"x"', "p", "q", "r"]);
  await close();
});

test("http: nothing is answered before the commit, and a request is one block", async () => {
  const { engine, url, close } = await scene();
  let isAnswered = false;
  const headers = { "content-type": "application/x-ndjson" };
  const answered = fetch(`${url}/records`, { method: "POST", body: "1\n2\n3\n", headers }).then(
    (response) => {
      isAnswered = true;
      return response;
    },
  );
  while (engine.inflightBlocks.length === 0) await engine.clock.settle();
  await engine.clock.settle();
  assert.deepEqual([isAnswered, engine.inflightBlocks], [false, [["1", "2", "3"]]]);
  await engine.commit();
  assert.equal((await answered).status, 200);
  await close();
});

const refused: readonly [
  name: string,
  body: string,
  type: string,
  status: number,
  code: string,
  message: RegExp,
][] = [
  ["broken JSON", "{", "application/json", 400, "HTTP_BAD_REQUEST", /not JSON/],
  ["no record", "[]", "application/json", 400, "HTTP_BAD_REQUEST", /0 records/],
  [
    "an unknown type",
    "a=1",
    "application/x-www-form-urlencoded",
    415,
    "HTTP_UNSUPPORTED_MEDIA_TYPE",
    /allowed are application\/json/,
  ],
  [
    "a body over the limit",
    "x".repeat(101),
    "text/plain",
    413,
    "MESSAGE_TOO_LONG",
    /101 bytes, limit 100/,
  ],
];
for (const [name, body, type, status, code, message] of refused) {
  test(`http: refuses ${name} with ${status} and the reason, and stores nothing`, async () => {
    const { engine, post, close } = await scene({ bodyBytesMax: 100 });
    const response = await post(body, type);
    const answer: unknown = await response.json();
    assert.equal(response.status, status);
    assert.equal(Reflect.get(Object(answer), "code"), code);
    assert.match(String(Reflect.get(Object(answer), "message")), message);
    assert.deepEqual([engine.durable, engine.failures], [[], []]);
    await close();
  });
}

test("http: a gzip body is unpacked within the limit; what is none, or another encoding, is refused", async () => {
  const { engine, post, close } = await scene({ bodyBytesMax: 100 });
  const packed = (text: string): Buffer => gzipSync(Buffer.from(text));
  for (const [body, encoding, status, code] of [
    [packed("1\n2"), "gzip", 200, undefined],
    [packed("x".repeat(101)), "GZIP", 413, "MESSAGE_TOO_LONG"],
    [packed("1\n2").subarray(0, 12), "gzip", 400, "HTTP_BAD_REQUEST"],
    [Buffer.from("1"), "gzip", 400, "HTTP_BAD_REQUEST"],
    [Buffer.from("1"), "br", 415, "HTTP_UNSUPPORTED_MEDIA_TYPE"],
    [Buffer.from("3"), "identity", 200, undefined],
  ] as const) {
    const response = await post(body, "text/plain", { "content-encoding": encoding });
    const answer: unknown = await response.json();
    assert.deepEqual([response.status, Reflect.get(Object(answer), "code")], [status, code]);
  }
  assert.deepEqual([engine.durable, engine.failures], [["1", "2", "3"], []]);
  await close();
});

test("http: an idempotency key reaches the log with its records; one that is too long is 400", async () => {
  const { engine, post, close } = await scene();
  assert.equal((await post("1", "text/plain", { "idempotency-key": "k-1" })).status, 200);
  assert.deepEqual(engine.idempotencyKeys, ["k-1"]);
  engine.refuseWith = new HoldfastError("IDEMPOTENCY_MISMATCH", "2 different bodies");
  assert.equal((await post("2", "text/plain", { "idempotency-key": "k-1" })).status, 422);
  engine.refuseWith = undefined;
  const long = await post("3", "text/plain", { "idempotency-key": "k".repeat(256) });
  assert.equal(long.status, 400);
  assert.deepEqual(engine.durable, ["1"]);
  await close();
});

test("http: another method is 405 with Allow, another path 404, and GET / says how it is used", async () => {
  const { url, post, close } = await scene({ path: "/in" });
  const get = await fetch(`${url}/in`);
  assert.deepEqual([get.status, get.headers.get("allow")], [405, "POST"]);
  assert.equal((await post("1", "application/json", {}, "/records")).status, 404);
  assert.match(await (await fetch(url)).text(), /POST \/in stores records/);
  assert.equal((await post("1", "application/json", {}, "/in")).status, 200);
  await close();
});

test("http: under pressure it answers 503 with Retry-After and stores nothing", async () => {
  const { engine, post, close } = await scene();
  engine.pause();
  const busy = await post("1");
  assert.deepEqual([busy.status, busy.headers.get("retry-after")], [503, "1"]);
  engine.resume();
  assert.equal((await post("2")).status, 200);
  assert.deepEqual(engine.durable, ["2"]);
  await close();
});

for (const code of ["BUSY", "LOG_FULL", "STORE_FENCED", "LOG_FAILED"] as const) {
  test(`http: a store that is refused with ${code} is 503 with Retry-After`, async () => {
    const { engine, post, close } = await scene();
    engine.refuseWith = new HoldfastError(code, "not now");
    const response = await post("1");
    assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "1"]);
    assert.deepEqual(await response.json(), { code, message: "not now" });
    await close();
  });
}

test("http: a block that no log can take is 413, a bug is 500 and fails the unit", async () => {
  const { engine, post, close } = await scene();
  engine.refuseWith = new HoldfastError("BLOCK_TOO_LARGE", "5 MiB, limit 4 MiB");
  assert.equal((await post("1")).status, 413);
  engine.refuseWith = new TypeError("a bug");
  assert.equal((await post("1")).status, 500);
  assert.deepEqual(
    engine.failures.map(({ message }) => message),
    ["a bug"],
  );
  assert.deepEqual(engine.offending, ["1"]);
  await close();
});

test("http: connections are counted while they are open, whether or not they ask", async () => {
  const { engine, close } = await scene();
  const sockets = [1, 2].map(() => connect({ host: "127.0.0.1", port: engine.port }));
  while (engine.connectionCount < 2) await engine.clock.settle();
  for (const socket of sockets) socket.destroy();
  while (engine.connectionCount > 0) await engine.clock.settle();
  await close();
});

test("http: a path that no request can have is refused", () => {
  for (const path of ["records", "/records?a=1", "/records#a", "/my records"])
    assert.throws(() => http("web", { port: 1, path }), { code: "CONFIG_VALUE" }, path);
});

test("http: documented defaults are the defaults", () => {
  assert.deepEqual(http("web", { port: 1 }).options, {
    port: 1,
    host: "127.0.0.1",
    path: "/records",
    bodyBytesMax: 1_048_576,
    connectionsMax: 1_000,
    requestTimeoutMs: 30_000,
    idleTimeoutMs: 60_000,
  });
});
