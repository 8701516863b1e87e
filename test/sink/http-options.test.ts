import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import type { Sink } from "../../src/contract/sink.ts";
import { http, type HttpOptions } from "../../src/sink/http.ts";

const base = { url: "http://store.example:8080/rows" };

const WRONG: readonly [title: string, changes: object, code: string][] = [
  ["no url", { url: undefined }, "CONFIG_KEY_MISSING"],
  ["a number as url", { url: 7 }, "CONFIG_VALUE"],
  ["a url that is none", { url: "store.example/rows" }, "CONFIG_VALUE"],
  ["another protocol", { url: "ftp://store.example/rows" }, "CONFIG_VALUE"],
  ["a password in a url", { url: "http://me:hunter2@store.example/" }, "CONFIG_VALUE"],
  ["no urls", { url: [] }, "CONFIG_OUT_OF_RANGE"],
  [
    "17 urls",
    { url: Array.from({ length: 17 }, (_, n) => `http://s${n}/`) },
    "CONFIG_OUT_OF_RANGE",
  ],
  ["a server twice", { url: ["http://s/a", "http://s:80/b"] }, "CONFIG_CONFLICT"],
  ["a misspelt option", { urls: [] }, "CONFIG_KEY_UNKNOWN"],
  ["a misspelt option of the pool", { pool: { idleTimeout: 1 } }, "CONFIG_KEY_UNKNOWN"],
  ["another method", { method: "GET" }, "CONFIG_VALUE"],
  ["another format", { format: "csv" }, "CONFIG_VALUE"],
  ["a header with a wrong name", { headers: { "x y": "1" } }, "CONFIG_VALUE"],
  ["a header in two lines", { headers: { x: "hunter2\nb: 1" } }, "CONFIG_VALUE"],
  ["a token in two lines", { token: "hunter2\n" }, "CONFIG_VALUE"],
  ["a header that is the sink's", { headers: { "Content-Length": "1" } }, "CONFIG_VALUE"],
  ["a header twice", { headers: { "X-A": "1", "x-a": "2" } }, "CONFIG_CONFLICT"],
  [
    "a token and an authorization",
    { token: "a", headers: { authorization: "b" } },
    "CONFIG_CONFLICT",
  ],
  ["requests of 100 bytes", { requestBytesMax: 100 }, "CONFIG_OUT_OF_RANGE"],
  ["requests of no rows", { requestRecordsMax: 0 }, "CONFIG_OUT_OF_RANGE"],
  ["fewer connections than requests", { inFlightMax: 4, connectionsMax: 3 }, "CONFIG_CONFLICT"],
  [
    "one connection for two servers",
    { url: ["http://a/", "http://b/"], connectionsMax: 1 },
    "CONFIG_CONFLICT",
  ],
  [
    "a certificate without its key",
    { url: "https://s/", tls: { cert: "c.pem" } },
    "CONFIG_CONFLICT",
  ],
  ["tls without https", { tls: { ca: "ca.pem" } }, "CONFIG_CONFLICT"],
];

for (const [title, changes, code] of WRONG)
  test(`http: ${title} is refused, and no secret is shown`, () => {
    // What a program without types may pass.
    const options = { ...base, ...changes } as HttpOptions & { readonly format: "json" };
    throws(
      () => http("out", options),
      (error) =>
        error instanceof Error &&
        "code" in error &&
        error.code === code &&
        !error.message.includes("hunter2"),
    );
  });

test("http: defaults, and settings that hold no secret", () => {
  const sink = http("out", {
    url: "http://store.example/rows?key=hunter2",
    token: "hunter2",
    headers: { "X-Key": "hunter2" },
  });
  deepEqual(sink.settings, {
    method: "POST",
    format: "jsonl",
    idempotencyKey: true,
    requestBytesMax: 1_048_576,
    requestRecordsMax: 1_000,
    inFlightMax: 1,
    gzipBytesMin: undefined,
    tls: {},
    pool: {
      connectDeadlineMs: 5_000,
      acquireDeadlineMs: 30_000,
      idleTimeoutMs: 4_000,
      lifetimeMs: 1_800_000,
      connectionsMax: 2,
      progressDeadlineMs: 10_000,
    },
    breaker: { windowMs: 30_000, callsMin: 10, failureRatio: 0.5 },
    urls: ["http://store.example/rows"],
    headers: ["x-key", "authorization"],
  });
  deepEqual([sink.type, sink.modes, sink.exclusive], ["http", ["append"], ""]);
  deepEqual(http("out", { ...base, gzip: true }).settings["gzipBytesMin"], 1_024);
  const { pool } = http("out", { ...base, inFlightMax: 8, pool: { lifetimeMs: 5_000 } }).settings;
  ok(typeof pool === "object" && pool !== null && "connectionsMax" in pool && "lifetimeMs" in pool);
  deepEqual([pool.connectionsMax, pool.lifetimeMs], [9, 5_000]);
});

test("http: raw takes original bytes, the others take any row", () => {
  type RowOf<S> = S extends Sink<infer Row> ? Row : never;
  const raw = http("out", { ...base, format: "raw" });
  // @ts-expect-error a row that may have been changed
  const row: RowOf<typeof raw> = { a: 1 };
  const lines = http("out", base);
  const any: RowOf<typeof lines> = { a: 1 };
  deepEqual([raw.input, lines.input], ["original-bytes", "rows"]);
  equal([row, any].length, 2);
});
