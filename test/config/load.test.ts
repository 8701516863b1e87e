import { deepEqual, equal, ok } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { readDataDirectory } from "../../src/config/data-directory.ts";
import { yamlName } from "../../src/config/type-options.ts";
import { defineReceiver } from "../../src/define-receiver.ts";
import { defineSource } from "../../src/define-source.ts";
import { HoldfastError } from "../../src/errors.ts";
import { describeGraph } from "../../src/operator/pipeline.ts";
import { schema } from "../../src/schema.ts";
import { load, loaded } from "./support.ts";

const minimal = "version: 1\nreceivers: { r: { type: rate } }\n";

test("load: the shortest file, with every default", async () => {
  const { directory, receivers, pipelines, ...rest } = await loaded(minimal);
  deepEqual(
    [directory, receivers.map(({ name }) => name), pipelines, rest],
    ["./data", ["r"], [], {}],
  );
});

test("load: units in the file are units in the options", async () => {
  const { receivers, log } = await loaded(`version: 1
log: { bytesMax: 2GiB, keep: { duration: 1d, bytes: 64MiB }, minCommitInterval: 20ms, segmentMax: 8MiB }
receivers: { r: { type: tcp, port: 0, idleTimeout: 1m, messageMax: 64KiB, inflightMax: 1MiB, storeTimeout: 5s } }
`);
  deepEqual(log, {
    bytesMax: 2 ** 31,
    keepMs: 86_400_000,
    keepBytes: 2 ** 26,
    minCommitIntervalMs: 20,
    segmentBytes: 2 ** 23,
  });
  const [receiver] = receivers;
  const options = typeof receiver?.options === "object" ? { ...receiver.options } : {};
  deepEqual(
    { ...options, framing: undefined },
    { ...options, framing: undefined, port: 0, idleTimeoutMs: 60_000, messageBytesMax: 65_536 },
  );
  deepEqual([receiver?.common.inflightBytesMax, receiver?.common.storeTimeoutMs], [2 ** 20, 5_000]);
});

test("load: reserve, durability and the bound of flushes of the log", async () => {
  const { log } = await loaded(`version: 1
log: { reserve: full, durability: strict, flushesPerSecondMax: 10 }
receivers: { r: { type: rate } }
`);
  deepEqual(log, { reserve: "full", durability: "strict", flushesPerSecondMax: 10 });
});

test("load: an option's name in the file leaves out its unit", () => {
  const names = ["intervalMs", "partBytesMax", "partAgeMsMax", "bytesMax", "messageBytesMax"].map(
    (name) => yamlName(name, { kind: "duration" }),
  );
  deepEqual(names, ["interval", "partMax", "partAgeMax", "bytesMax", "messageMax"]);
  equal(yamlName("retriesMs", { kind: "integer" }), "retriesMs");
});

test("load: steps are the exports, under their names", async () => {
  const modules = {
    "/work/steps.js": {
      toRow: (row: unknown) => ({ row }),
      isGood: () => true,
      split: (row: unknown) => [row, row],
      default: () => 0,
    },
  };
  const { pipelines } = await loaded(
    `${minimal}sinks: { out: { type: console } }
pipelines: { p: { from: r, decode: json, steps: [ { filter: ./steps.js#isGood }, { map: ./steps.js#toRow }, { flatMap: ./steps.js#split } ], sinks: out } }
`,
    modules,
  );
  const [first] = pipelines;
  ok(first !== undefined);
  deepEqual(JSON.parse(describeGraph(first))[0][0], [
    ["from", "r"],
    ["decode", "json"],
    ["filter", "isGood"],
    ["map", "toRow"],
    ["flat-map", "split"],
  ]);
});

test("load: streams share their sources and go to several sinks", async () => {
  const modules = { "/work/s.js": { hot: () => true } };
  const { pipelines } = await loaded(
    `version: 1
receivers: { a: { type: rate }, b: { type: rate } }
sinks: { all: { type: console }, hot: { type: console }, raw: { type: raw-lines, directory: ./raw } }
pipelines:
  p:
    streams:
      hot-ones: { from: rows, steps: [ { filter: ./s.js#hot } ] }
      rows: { from: [a, b], decode: json }
      bytes: { from: [a] }
    outputs: [ { from: rows, to: all }, { from: hot-ones, to: hot, mode: append }, { from: bytes, to: raw } ]
`,
    modules,
  );
  const [first] = pipelines;
  ok(first !== undefined);
  deepEqual(
    first.outputs.map(({ sink }) => sink.name),
    ["all", "hot", "raw"],
  );
  const [rows, hot] = first.outputs;
  ok(
    hot?.input.kind === "filter" && hot.input.input === rows?.input,
    "the shared stream is one node",
  );
});

test("load: a pipeline that only forwards bytes decodes nothing", async () => {
  const { pipelines } = await loaded(
    `${minimal}sinks: { raw: { type: raw-lines, directory: ./raw } }\npipelines: { p: { from: r, sinks: raw } }\n`,
  );
  equal(pipelines[0]?.outputs[0]?.input.kind, "from");
});

test("load: a schema of json is used", async () => {
  const Row = schema.object({ id: schema.integer() });
  const { pipelines } = await loaded(
    `${minimal}sinks: { out: { type: console } }\npipelines: { p: { from: r, decode: { json: ./s.js#Row }, sinks: out } }\n`,
    { "/work/s.js": { Row } },
  );
  const input = pipelines[0]?.outputs[0]?.input;
  ok(input?.kind === "decode");
  const decode = (text: string): unknown => input.decoder.decode(Buffer.from(text), 0, text.length);
  deepEqual(decode('{"id":1}'), { id: 1 });
  try {
    decode('{"id":"x"}');
    ok(false, "it was accepted");
  } catch (error) {
    equal(error instanceof HoldfastError ? error.code : error, "DECODE_FAILED");
  }
});

test("load: strategies decide by class, code and function, in order", async () => {
  class Mine extends Error {}
  const modules = { "/work/e.js": { Mine, isBad: (error: Error) => error.message === "bad" } };
  const { receivers, pipelines } = await loaded(
    `version: 1
supervision:
  device:
    maxRestarts: 10
    within: 1m
    decide: [ { class: RangeError, then: resume }, { class: ./e.js#Mine, then: stop }, { code: BUSY, then: restart }, { if: ./e.js#isBad, then: stop } ]
    otherwise: escalate
    backoff: { min: 1s, max: 2s, resetAfter: 3s }
    onExhausted: stop
receivers: { r: { type: rate, supervision: device } }
sinks: { out: { type: console } }
pipelines: { p: { from: r, decode: json, sinks: out, supervision: device } }
`,
    modules,
  );
  const strategy = receivers[0]?.common.supervision;
  ok(strategy !== undefined);
  equal(pipelines[0]?.supervision, strategy);
  deepEqual([strategy.maxRestarts, strategy.withinMs, strategy.onExhausted], [10, 60_000, "stop"]);
  deepEqual(
    [strategy.backoff.minMs, strategy.backoff.maxMs, strategy.backoff.resetAfterMs],
    [1_000, 2_000, 3_000],
  );
  const errors = [
    new RangeError(),
    new Mine(),
    new HoldfastError("BUSY", "no room"),
    new Error("bad"),
    new Error("else"),
  ];
  deepEqual(
    errors.map((error) => strategy.decide(error)),
    ["resume", "stop", "restart", "stop", "escalate"],
  );
});

test("load: a strategy says who shares a fate; nobody where it does not", async () => {
  for (const [line, scope] of [
    ["", "one-for-one"],
    ["scope: one-for-one, ", "one-for-one"],
    ["scope: all-for-one, ", "all-for-one"],
    ["scope: rest-for-one, ", "rest-for-one"],
  ] as const) {
    const { receivers } = await loaded(
      `version: 1\nsupervision: { s: { ${line}maxRestarts: 1, within: 1s } }\nreceivers: { r: { type: rate, supervision: s } }\n`,
    );
    equal(receivers[0]?.common.supervision?.scope, scope);
  }
});

test("load: otherwise alone decides everything", async () => {
  const { receivers } = await loaded(
    "version: 1\nsupervision: { s: { maxRestarts: 1, within: 1s, otherwise: stop } }\nreceivers: { r: { type: rate, supervision: s } }\n",
  );
  equal(receivers[0]?.common.supervision?.decide(new Error()), "stop");
});

test("load: a receiver type of one's own, with units in its options", async () => {
  const thermometer = defineReceiver({
    type: "thermometer",
    redelivers: true,
    options: schema.object({
      url: schema.string(),
      intervalMs: schema.durationMs({ default: 1_000, min: 100 }),
      token: schema.optional(schema.secret()),
    }),
    open: () => Promise.resolve({ close: () => undefined }),
  });
  const { receivers } = await loaded(
    'version: 1\nreceivers: { roof: { type: ./own.js#thermometer, url: "http://10.0.0.7/reading", interval: 5s, token: "${TOKEN}" } }\n',
    { "/work/own.js": { thermometer } },
    { TOKEN: "00123" },
  );
  deepEqual(
    receivers.map(({ type, options }) => [type, options]),
    [["thermometer", { url: "http://10.0.0.7/reading", intervalMs: 5_000, token: "00123" }]],
  );
});

test("load: a mapping keeps texts as they are written", async () => {
  const tagged = defineReceiver({
    type: "tagged",
    redelivers: true,
    options: schema.object({ tags: schema.mapping(schema.secret()) }),
    open: () => Promise.resolve({ close: () => undefined }),
  });
  const text = (tags: string): string =>
    `version: 1\nreceivers: { t: { type: ./own.js#tagged, tags: ${tags} } }\n`;
  const modules = { "/work/own.js": { tagged } };
  const { receivers } = await loaded(text('{ X-Key: "${KEY}", on: true }'), modules, {
    KEY: "0123",
  });
  deepEqual(receivers[0]?.options, { tags: { "X-Key": "0123", on: "true" } });
  for (const wrong of ["[a]", "{ a: [b] }"])
    equal((await load(text(wrong), modules)).kind, "invalid");
});

test("load: a secret that is wrong is not shown", async () => {
  const secretive = defineReceiver({
    type: "secretive",
    redelivers: true,
    options: schema.object({ token: schema.secret() }),
    open: () => Promise.resolve({ close: () => undefined }),
  });
  const result = await load(
    "version: 1\nreceivers: { s: { type: ./own.js#secretive, token: [hunter2] } }\n",
    { "/work/own.js": { secretive } },
  );
  ok(result.kind === "invalid");
  deepEqual(
    result.problems.map(({ code, message }) => [code, message.includes("hunter2")]),
    [["CONFIG_TYPE", false]],
  );
});

test("load: a foreign schema judges its own options, at their places", async () => {
  const odd = {
    "~standard": {
      version: 1 as const,
      vendor: "other",
      validate: (value: unknown) =>
        typeof value === "object" && value !== null && "size" in value && value.size === 5
          ? { value }
          : { issues: [{ message: "size must be 5", path: ["size"] }] },
    },
  };
  const own = defineReceiver({
    type: "odd",
    redelivers: true,
    options: odd,
    open: () => Promise.resolve({ close: () => undefined }),
  });
  equal(
    (
      await loaded("version: 1\nreceivers: { s: { type: ./own.js#own, size: 5 } }\n", {
        "/work/own.js": { own },
      })
    ).receivers[0]?.type,
    "odd",
  );
  const result = await load("version: 1\nreceivers: { s: { type: ./own.js#own, size: 6 } }\n", {
    "/work/own.js": { own },
  });
  ok(result.kind === "invalid");
  deepEqual(
    result.problems.map(({ code, message, at }) => [code, message, at?.line, at?.column]),
    [["CONFIG_VALUE", "size: size must be 5", 2, 45]],
  );
});

test("load: a module that does not load says why", async () => {
  const result = await loadConfig({
    file: "/work/h.yaml",
    text: `${minimal}sinks: { out: { type: console } }\npipelines: { p: { from: r, decode: json, steps: [ { map: ./s.js#x } ], sinks: out } }\n`,
    variables: {},
    readText: () => Promise.reject(new Error("none")),
    importModule: () => Promise.reject(new SyntaxError("Unexpected token '}'")),
  });
  ok(result.kind === "invalid");
  deepEqual(
    result.problems.map(({ code, message }) => [code, message]),
    [["CONFIG_MODULE", "./s.js cannot be loaded: SyntaxError: Unexpected token '}'"]],
  );
});

test("load: sinks that write to the same place are refused", async () => {
  const result = await load(
    `${minimal}sinks: { a: { type: json-lines, directory: ./x }, b: { type: json-lines, directory: ./x } }\npipelines: { p: { from: r, decode: json, sinks: [a, b] } }\n`,
  );
  ok(result.kind === "invalid");
  deepEqual(
    result.problems.map(({ code }) => code),
    ["CONFIG_CONFLICT"],
  );
});

const source = {
  file: "h.yaml",
  variables: { D: "/srv/x" },
  readText: () => Promise.reject(new Error("none")),
};

test("data directory: of a file whose pipelines are broken", async () => {
  equal(
    await readDataDirectory({
      ...source,
      text: "data: ${D}/data\nreceivers: 7\npipelines: [nonsense]",
    }),
    "/srv/x/data",
  );
  equal(await readDataDirectory({ ...source, text: "version: 1" }), "./data");
});

test("data directory: what is wrong with it alone is thrown", async () => {
  for (const [text, code] of [
    ["data: ${NONE}", "CONFIG_SUBSTITUTION"],
    ["data: [a]", "CONFIG_TYPE"],
    ["data: {", "CONFIG_SYNTAX"],
  ] as const) {
    const error = await readDataDirectory({ ...source, text }).catch((thrown: unknown) => thrown);
    equal(error instanceof HoldfastError ? error.code : error, code);
  }
});

test("example: the gateway is valid", async () => {
  const file = fileURLToPath(new URL("../../../examples/gateway/holdfast.yaml", import.meta.url));
  const result = await loadConfig({
    file,
    text: await readFile(file, "utf8"),
    variables: {},
    readText: () => Promise.reject(new Error("none")),
    importModule: (path) => import(path),
  });
  if (result.kind === "invalid") throw result.problems[0];
  const { receivers, pipelines, log, console: port } = result.options;
  deepEqual(
    receivers.map(({ name, type }) => `${name} ${type}`),
    ["meters tcp", "web http", "demo rate"],
  );
  deepEqual(
    pipelines[0]?.outputs.map(({ sink }) => sink.type),
    ["sqlite", "json-lines"],
  );
  deepEqual(
    [log?.minCommitIntervalMs, port?.port, pipelines[0]?.trigger],
    [20, 9090, { kind: "asap", minIntervalMs: 100 }],
  );
});

test("load: a source of one's own is read directly by the pipelines that name it, and by nothing else", async () => {
  const shelf = defineSource({
    type: "shelf",
    options: schema.object({ pollMs: schema.durationMs({ default: 100 }) }),
    open: () => Promise.reject(new Error("never opened")),
  });
  const text = (from: string): string => `version: 1
receivers: { r: { type: rate } }
sources: { books: { type: ./own.js#shelf, poll: 2s } }
sinks: { out: { type: console } }
pipelines: { p: { from: ${from}, decode: json, sinks: [out] } }
`;
  const modules = { "/work/own.js": { shelf } };
  const { pipelines } = await loaded(text("[books]"), modules);
  deepEqual(
    pipelines.map(({ source }) => [source?.name, source?.type, source?.options]),
    [["books", "shelf", { pollMs: 2_000 }]],
  );
  const mixed = await load(text("[books, r]"), modules);
  ok(mixed.kind === "invalid");
  equal(mixed.problems[0]?.code, "CONFIG_CONFLICT");
  const unknown = await load(text("[boks]"), modules);
  ok(unknown.kind === "invalid");
  equal(unknown.problems[0]?.message, 'no receiver or source is called "boks", there are r, books');
});
