import { deepEqual, equal, match } from "node:assert/strict";
import { test } from "node:test";
import { rate } from "../../receivers/rate/index.ts";
import { from } from "../../src/operator/stream.ts";
import { pipeline } from "../../src/operator/pipeline.ts";
import { json } from "../../src/record/decoders.ts";
import { jsonLines } from "../../src/sink/file.ts";
import { type Progress, startLines, statusLine, stopLine } from "../../src/cli/start-lines.ts";

const nowhere = {
  workingDirectory: "/work",
  dataDirectory: "./data",
  version: "1.2.3",
  receivers: [],
  pipelines: [],
  promises: new Map<string, never>(),
  console: undefined,
  reasons: [],
};

test("start lines: where it listens, with one-liners that reach it", () => {
  deepEqual(
    startLines({
      ...nowhere,
      receivers: [
        { name: "meters", type: "tcp", address: { host: "127.0.0.1", port: 9000 }, options: {} },
        {
          name: "web",
          type: "http",
          address: { host: "::1", port: 9080 },
          options: { path: "/in" },
        },
        { name: "demo", type: "rate", address: undefined, options: {} },
      ],
      console: { host: "127.0.0.1", port: 9090 },
    }),
    [
      "holdfast 1.2.3 | data /work/data",
      "meters tcp 127.0.0.1:9000 | web http [::1]:9080 | demo rate | metrics http://127.0.0.1:9090/metrics",
      `try it: node -e 'require("net").connect(9000,"127.0.0.1").end("{\\"device\\":\\"a\\",\\"temperature\\":21.5}\\n").pipe(process.stdout)'`,
      `        echo '{"device":"a","temperature":21.5}' | nc -N 127.0.0.1 9000`,
      `        curl -H 'content-type: application/json' -d '{"device":"a","temperature":21.5}' http://[::1]:9080/in`,
    ],
  );
});

test("start lines: of what speaks TLS only a line that reaches it", () => {
  const address = { host: "127.0.0.1", port: 9000 };
  const tls = { cert: "a.pem", key: "a.key" };
  const closed = { tls: { ...tls, clientCa: "ca.pem" } };
  const lines = startLines({
    ...nowhere,
    receivers: [
      { name: "meters", type: "tcp", address, options: { tls } },
      { name: "closed", type: "http", address, options: closed },
      { name: "web", type: "http", address, options: { tls, path: "/in" } },
    ],
  });
  deepEqual(
    lines.filter((line) => /nc|curl|node/.test(line)),
    [
      `try it: curl -k -H 'content-type: application/json' -d '{"device":"a","temperature":21.5}' https://127.0.0.1:9000/in`,
    ],
  );
});

const before: Progress = {
  atMs: 0,
  storedCount: 4,
  processedCount: 4,
  lagCount: 0,
  batchMs: undefined,
};

test("status line: nothing happened, nothing said", () => {
  equal(statusLine(before, { ...before, atMs: 10_000, batchMs: 3 }), undefined);
});

test("status line: stored with its rate, processed, lag and the last batch", () => {
  equal(
    statusLine(before, {
      atMs: 10_000,
      storedCount: 1204,
      processedCount: 1200,
      lagCount: 4,
      batchMs: 8.2,
    }),
    "stored 1,204 (120/s) | processed 1,200 | lag 4 | batch 8 ms",
  );
});

test("status line: a slow rate keeps a decimal", () => {
  equal(
    statusLine(before, {
      atMs: 10_000,
      storedCount: 7,
      processedCount: 7,
      lagCount: 0,
      batchMs: 0.44,
    }),
    "stored 7 (0.3/s) | processed 7 | lag 0 | batch 0.4 ms",
  );
});

test("stop line: what was flushed, and that nothing is left", () => {
  equal(
    stopLine({
      nextOffset: 1204,
      notStopped: [],
      pipelines: [{ pipeline: "minutely", batchId: 97, lagRecords: 0, finishedParts: 3 }],
    }),
    "stopping: receivers closed, batch 97 committed, 3 parts finished, log at offset 1,204. Nothing is left to replay.",
  );
});

test("stop line: several pipelines by name, what is left, and who did not stop", () => {
  equal(
    stopLine({
      nextOffset: 5,
      notStopped: ["pipelines/b"],
      pipelines: [
        { pipeline: "a", batchId: 1, lagRecords: 0, finishedParts: 1 },
        { pipeline: "b", batchId: 0, lagRecords: 5, finishedParts: 0 },
      ],
    }),
    "stopping: receivers closed, a batch 1 committed, b batch 0 committed, 1 part finished, log at offset 5. 5 records are left, the next start goes on with them. Not stopped in time: pipelines/b.",
  );
});

test("start lines: a pipeline that does not run says why", () => {
  const readings = pipeline("readings", {
    outputs: [
      from(rate("demo", {}))
        .decode(json())
        .writeTo(jsonLines("files", { directory: "./out" })),
    ],
  });
  const reasons = [
    {
      unit: "pipelines/readings",
      code: "SINK_BEHIND",
      message: "files stores batch 96, the ledger committed 97",
    },
  ];
  deepEqual(startLines({ ...nowhere, pipelines: [readings], reasons }).slice(1), [
    "readings is not running yet: SINK_BEHIND: files stores batch 96, the ledger committed 97",
  ]);
  deepEqual(startLines({ ...nowhere, pipelines: [readings] }).slice(1), [
    "readings is not running yet",
  ]);
  const promises = new Map([
    ["readings", [{ sink: "files", guarantee: "exactly-once", by: "token" }]],
  ]);
  match(
    startLines({ ...nowhere, pipelines: [readings], promises })[1] ?? "",
    /^readings -> files exactly-once \(token\) \/.*\/out$/,
  );
});
