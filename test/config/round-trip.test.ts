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
});

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

test("configuration: the same thing in YAML and in code gives the same options", async () => {
  await fc.assert(
    fc.asyncProperty(
      receivers,
      fc.dictionary(name, pipelineOptions, { maxKeys: 3, noNullPrototype: true }),
      maybe(logOptions),
      maybe(port),
      async (sources, pipes, log, consolePort) => {
        const made = Object.entries(sources).map(([as, { code }]) => code(as));
        const [first, ...others] = made;
        if (first === undefined) return;
        const yaml = {
          version: 1,
          data: "./d",
          receivers: Object.fromEntries(
            Object.entries(sources).map(([as, source]) => [as, source.yaml]),
          ),
          sinks: Object.fromEntries(
            Object.entries(pipes).map(([as, { partAgeMsMax }]) => [
              as,
              {
                type: "json-lines",
                directory: `./out/${as}`,
                ...given({ partAgeMax: shown(partAgeMsMax, showDuration) }),
              },
            ]),
          ),
          pipelines: Object.fromEntries(
            Object.entries(pipes).map(
              ([
                as,
                { trigger: when, batchBytesMax, startAt, batchRecordsMax, deadLetterRatioMax },
              ]) => [
                as,
                {
                  from: made.map((each) => each.name),
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
                },
              ],
            ),
          ),
          ...given({
            console: consolePort === undefined ? undefined : { port: consolePort },
            log:
              log === undefined
                ? undefined
                : given({
                    bytesMax: shown(log.bytesMax, showSize),
                    keep:
                      log.keepMs === undefined ? undefined : { duration: showDuration(log.keepMs) },
                    minCommitInterval: shown(log.minCommitIntervalMs, showDuration),
                    segmentMax: shown(log.segmentBytes, showSize),
                  }),
          }),
        };
        const code: IngestOptions = {
          directory: "./d",
          receivers: made,
          pipelines: Object.entries(pipes).map(
            ([as, { trigger: when, partAgeMsMax, ...numbers }]) => {
              const sink = jsonLines(as, { directory: `./out/${as}`, ...given({ partAgeMsMax }) });
              const output = from(first, ...others)
                .decode(json())
                .map(step)
                .writeTo(sink);
              return pipeline(as, {
                outputs: [output],
                ...given({ ...numbers, trigger: when.code }),
              });
            },
          ),
          ...given({
            log: log === undefined ? undefined : given(log),
            console: consolePort === undefined ? undefined : { port: consolePort },
          }),
        };
        deepEqual(comparable(await loaded(stringify(yaml), modules)), comparable(code));
      },
    ),
    { numRuns: 60 },
  );
});
