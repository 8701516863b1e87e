import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { http } from "../../receivers/http/index.ts";
import { rate } from "../../receivers/rate/index.ts";
import { tcp } from "../../receivers/tcp/index.ts";
import { asap, availableNow, interval, once } from "../../src/batch/trigger.ts";
import { showDuration, showSize } from "../../src/config/quantities.ts";
import { given } from "../../src/config/given.ts";
import type { Receiver } from "../../src/contract/receiver.ts";
import { describeGraph, pipeline, type PipelineOptions } from "../../src/operator/pipeline.ts";
import { from } from "../../src/operator/stream.ts";
import type { IngestOptions } from "../../src/options.ts";
import { json } from "../../src/record/decoders.ts";
import { jsonLines } from "../../src/sink/file.ts";
import { loaded } from "./support.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** A thing in both forms: as the file says it, and as code says it. */
interface Both<T> {
  readonly yaml: unknown;
  readonly code: T;
}

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/);
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });
const durationMs = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });
const port = fc.integer({ min: 0, max: 65_535 });
const shown = <T>(value: T | undefined, show: (value: T) => string): string | undefined =>
  value === undefined ? undefined : show(value);

const tcpReceiver = fc
  .record({
    port,
    acknowledge: maybe(fc.constantFrom("none", "count-line", "count-bytes")),
    connectionsMax: maybe(fc.integer({ min: 1, max: 65_536 })),
    idleTimeoutMs: maybe(durationMs(0, 86_400_000)),
    inflightBytesMax: maybe(fc.integer({ min: 64, max: 65_536 }).map((kib) => kib * KIB)),
  })
  .map((options) => ({
    yaml: {
      type: "tcp",
      port: options.port,
      ...given({
        acknowledge: options.acknowledge,
        connectionsMax: options.connectionsMax,
        idleTimeout: shown(options.idleTimeoutMs, showDuration),
        inflightMax: shown(options.inflightBytesMax, showSize),
      }),
    },
    code: (as: string): Receiver => tcp(as, { port: options.port, ...given(options) }),
  }));
const httpReceiver = fc
  .record({
    port,
    path: maybe(fc.stringMatching(/^\/[a-z]{1,8}$/)),
    bodyBytesMax: maybe(fc.integer({ min: 1, max: 4 * MIB })),
  })
  .map((options) => ({
    yaml: {
      type: "http",
      port: options.port,
      ...given({ path: options.path, bodyMax: shown(options.bodyBytesMax, showSize) }),
    },
    code: (as: string): Receiver =>
      http(as, {
        port: options.port,
        ...given({ path: options.path, bodyBytesMax: options.bodyBytesMax }),
      }),
  }));
const rateReceiver = fc
  .record({
    devices: maybe(fc.integer({ min: 1, max: 10_000 })),
    perSecond: maybe(fc.integer({ min: 1, max: 1_000_000 })),
  })
  .map((options) => ({
    yaml: { type: "rate", ...given(options) },
    code: (as: string): Receiver => rate(as, given(options)),
  }));
const receivers = fc.dictionary(name, fc.oneof(tcpReceiver, httpReceiver, rateReceiver), {
  minKeys: 1,
  maxKeys: 4,
  noNullPrototype: true,
});

const trigger: fc.Arbitrary<Both<PipelineOptions<string>["trigger"]>> = fc.oneof(
  fc.constantFrom(
    { yaml: undefined, code: undefined },
    { yaml: "asap", code: asap() },
    { yaml: "once", code: once() },
    { yaml: "available-now", code: availableNow() },
  ),
  durationMs(0, 86_400_000).map((ms) => ({
    yaml: { asap: { minInterval: showDuration(ms) } },
    code: asap({ minIntervalMs: ms }),
  })),
  durationMs(1, 86_400_000).map((ms) => ({
    yaml: { interval: showDuration(ms) },
    code: interval({ everyMs: ms }),
  })),
);

const pipelineOptions = fc.record({
  trigger,
  startAt: maybe(fc.constantFrom("oldest", "now")),
  batchRecordsMax: maybe(fc.integer({ min: 1, max: 10_000_000 })),
  batchBytesMax: maybe(fc.integer({ min: 4 * KIB, max: 1024 * MIB })),
  deadLetterRatioMax: maybe(fc.constantFrom(0, 0.25, 1)),
  partAgeMsMax: maybe(durationMs(100, 86_400_000)),
});

const logOptions = fc.record({
  bytesMax: maybe(fc.integer({ min: 64, max: 4096 }).map((mib) => mib * MIB)),
  keepMs: maybe(durationMs(0, 86_400_000)),
  minCommitIntervalMs: maybe(durationMs(0, 10_000)),
  segmentBytes: maybe(fc.integer({ min: 4, max: 16 }).map((mib) => mib * MIB)),
  reserve: maybe(fc.constantFrom("none")),
  flushesPerSecondMax: maybe(fc.integer({ min: 4, max: 10_000 })),
  durability: maybe(fc.constantFrom("standard", "strict")),
});

type Source = Both<(as: string) => Receiver>;
type Pipe = typeof pipelineOptions extends fc.Arbitrary<infer T> ? T : never;
type Log = typeof logOptions extends fc.Arbitrary<infer T> ? T : never;

const step = (row: unknown): unknown => row;
const modules = { "/work/steps.js": { step } };

/** Options as data that can be compared: everything but functions. */
function comparable({ receivers: all, pipelines, ...rest }: IngestOptions): unknown {
  return {
    ...rest,
    receivers: all.map((receiver) => JSON.stringify(receiver)),
    pipelines: pipelines.map((each) => [
      JSON.stringify({ ...each, outputs: [] }),
      describeGraph(each),
    ]),
  };
}

interface Model {
  readonly sources: Readonly<Record<string, Source>>;
  readonly pipes: Readonly<Record<string, Pipe>>;
  readonly log: Log | undefined;
  readonly port: number | undefined;
}

const model: fc.Arbitrary<Model> = fc.record({
  sources: receivers,
  pipes: fc.dictionary(name, pipelineOptions, { maxKeys: 3, noNullPrototype: true }),
  log: maybe(logOptions),
  port: maybe(port),
});

function mapped<T>(
  values: Readonly<Record<string, T>>,
  to: (value: T, name: string) => unknown,
): object {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, to(value, key)]));
}

/** The file. */
function yamlOf({ sources, pipes, log, port: consolePort }: Model): unknown {
  const pipe = (
    { trigger: when, batchBytesMax, startAt, batchRecordsMax, deadLetterRatioMax }: Pipe,
    as: string,
  ): unknown => ({
    from: Object.keys(sources),
    decode: "json",
    steps: [{ map: "./steps.js#step" }],
    sinks: as,
    ...given({
      startAt,
      batchRecordsMax,
      deadLetterRatioMax,
      trigger: when.yaml,
      batchBytesMax: shown(batchBytesMax, showSize),
    }),
  });
  return {
    version: 1,
    data: "./d",
    receivers: mapped(sources, (source) => source.yaml),
    sinks: mapped(pipes, ({ partAgeMsMax }, as) => ({
      type: "json-lines",
      directory: `./out/${as}`,
      ...given({ partAgeMax: shown(partAgeMsMax, showDuration) }),
    })),
    pipelines: mapped(pipes, pipe),
    ...given({
      console: consolePort === undefined ? undefined : { port: consolePort },
      log: log === undefined ? undefined : yamlLog(log),
    }),
  };
}

function yamlLog({ bytesMax, keepMs, minCommitIntervalMs, segmentBytes, ...others }: Log): unknown {
  return given({
    ...others,
    bytesMax: shown(bytesMax, showSize),
    keep: keepMs === undefined ? undefined : { duration: showDuration(keepMs) },
    minCommitInterval: shown(minCommitIntervalMs, showDuration),
    segmentMax: shown(segmentBytes, showSize),
  });
}

/** The same as a program would write it. */
function optionsOf({ sources, pipes, log, port: consolePort }: Model): IngestOptions {
  const made = Object.entries(sources).map(([as, { code }]) => code(as));
  const [first, ...others] = made;
  if (first === undefined) throw new Error("a model has 1 or more receivers");
  const rows = from(first, ...others)
    .decode(json())
    .map(step);
  const pipelines = Object.entries(pipes).map(
    ([as, { trigger: when, partAgeMsMax, ...numbers }]) => {
      const sink = jsonLines(as, { directory: `./out/${as}`, ...given({ partAgeMsMax }) });
      return pipeline(as, {
        outputs: [rows.writeTo(sink)],
        ...given({ ...numbers, trigger: when.code }),
      });
    },
  );
  return {
    directory: "./d",
    receivers: made,
    pipelines,
    ...given({
      log: log === undefined ? undefined : given(log),
      console: consolePort === undefined ? undefined : { port: consolePort },
    }),
  };
}

test("configuration: the same thing in YAML and in code gives the same options", async () => {
  const same = fc.asyncProperty(model, async (each) => {
    deepEqual(
      comparable(await loaded(stringify(yamlOf(each)), modules)),
      comparable(optionsOf(each)),
    );
  });
  await fc.assert(same, { numRuns: 60 });
});
