/**
 * Runs a pipeline in memory, batch by batch, with the stages that run it in production: planner, operators, dead
 * letters, commits. Only the log, the ledger and the sinks are replaced.
 */
import { createPools } from "../pool/registry.ts";
import { availableNow } from "../batch/trigger.ts";
import { Processor } from "../batch/processor.ts";
import type { Output, Pipeline } from "../contract/graph.ts";
import type { Logger } from "../contract/logger.ts";
import type { Receiver } from "../contract/receiver.ts";
import { copyOf } from "../contract/record.ts";
import type { RowChunk, Sink, SinkBatch, SinkSession } from "../contract/sink.ts";
import type { UnitContext } from "../contract/unit.ts";
import { toError } from "../errors.ts";
import { realFiles } from "../host/real-files.ts";
import { realHttpClient } from "../host/real-http-client.ts";
import { compile } from "../operator/compile.ts";
import { MemoryLedger, MemoryLetters } from "./memory-ledger.ts";
import { MemorySource } from "./memory-source.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** A dead letter as tests look at it. */
export interface TestedLetter {
  readonly stage: string;
  readonly code: string;
  readonly message: string;
  readonly body: string;
}

/** A pipeline under test. */
export interface PipelineTest extends AsyncDisposable {
  readonly clock: VirtualClock;
  /** Records as a receiver would have stored them; objects are sent as JSON. */
  send(receiver: Receiver, ...records: readonly (object | string | Uint8Array)[]): void;
  /** Processes what was sent. Rejects with what would have failed the pipeline. */
  batch(): Promise<void>;
  /** All rows that reached this output's sink. */
  rows<Row>(output: Output<Row, string>): readonly Row[];
  deadLetters(): readonly TestedLetter[];
}

/**
 * Tests the very value that production runs.
 *
 * @param options.startMs - what the clock shows at first, milliseconds since 1970. @defaultValue 0
 */
export function testPipeline(
  pipeline: Pipeline,
  options: { readonly startMs?: number } = {},
): PipelineTest {
  const clock = new VirtualClock({ wallStartMs: options.startMs ?? 0 });
  const source = new MemorySource();
  const ledger = new MemoryLedger();
  const deadLetters = new MemoryLetters();
  const captured = pipeline.outputs.map((output) => new CaptureSink(output.sink.name));
  const outputs = pipeline.outputs.map((output, index) => ({
    ...output,
    sink: captured[index] ?? output.sink,
  }));
  const tested: Pipeline = { ...pipeline, outputs, trigger: availableNow() };
  const random = { next: () => 0.5, bytes: (count: number) => new Uint8Array(count) };
  const parts = {
    pipeline: tested,
    source,
    ledger,
    deadLetters,
    clock,
    graphHash: "test",
    decide: pipeline.supervision?.decide ?? (() => "resume" as const),
    compile: (failed: Parameters<typeof compile>[1]) => compile(tested, failed),
    random,
    pool: createPools({ clock, random, emit: () => undefined }).create,
    ...OUTSIDE,
  };
  return {
    clock,
    send(receiver, ...records) {
      for (const record of records) source.send(receiver.name, bytesOf(record), clock.wallMs());
    },
    async batch() {
      const signal = new AbortController().signal;
      const unit: UnitContext = {
        path: `pipelines/${pipeline.name}`,
        epoch: 1,
        signal,
        fail: fail,
        alive: nothing,
        watch: nothing,
        unwatch: nothing,
        stash: nothing,
        unstashAll: nothing,
      };
      const processor = await Processor.open(parts, unit);
      try {
        await processor.run();
      } finally {
        await processor.close(signal);
      }
    },
    rows<Row>(output: Output<Row, string>): readonly Row[] {
      const sink = captured[pipeline.outputs.findIndex((each) => each === output)];
      if (sink === undefined) throw new TypeError(`${pipeline.name} has no such output`);
      // The output's type says what its stream made.
      return sink.rows as readonly Row[];
    },
    deadLetters: () =>
      deadLetters.letters.map(({ stage, code, message, bytes }) => ({
        stage,
        code,
        message,
        body: Buffer.from(bytes).toString(),
      })),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

const nothing = (): void => undefined;

function fail(cause: unknown): void {
  throw toError(cause);
}

function bytesOf(record: object | string | Uint8Array): Uint8Array {
  if (record instanceof Uint8Array) return record;
  return Buffer.from(typeof record === "string" ? record : JSON.stringify(record));
}

/** Keeps what it is given. */
class CaptureSink implements Sink<unknown> {
  readonly kind = "sink";
  readonly type = "capture";
  readonly modes: readonly ["append", "update", "complete"] = ["append", "update", "complete"];
  readonly input = "rows";
  readonly settings: Readonly<Record<string, unknown>> = {};
  readonly exclusive = "";
  readonly name: string;
  readonly rows: unknown[] = [];

  constructor(name: string) {
    this.name = name;
  }

  open(): Promise<SinkSession<never>> {
    return Promise.resolve({
      guarantee: "exactly-once",
      by: "memory",
      write: async (batch: SinkBatch<never>) => {
        const rows: unknown[] = [];
        for await (const chunk of batch.chunks) rows.push(...rowsOf(chunk));
        this.rows.push(...rows);
        return { kind: "written" };
      },
      close: () => Promise.resolve(),
    });
  }
}

function rowsOf(chunk: RowChunk<unknown>): readonly unknown[] {
  if (chunk.rows !== undefined) return chunk.rows;
  return Array.from(chunk.recordIndexes.subarray(0, chunk.count), (recordIndex) =>
    copyOf(chunk.block, recordIndex),
  );
}

const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

/** What captured sinks never use, and who hears of nothing. */
const OUTSIDE = {
  files: realFiles,
  httpClient: realHttpClient,
  logger: SILENT,
  emit: nothing,
  committed: nothing,
};
