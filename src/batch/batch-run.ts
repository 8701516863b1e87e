/**
 * One batch from its plan to the tokens of its sinks: read the ranges, run the loop in slices, hand the rows to the
 * sinks in step, make dead letters durable before any sink commits.
 */
import type { DeadLetterStore } from "../contract/dead-letters.ts";
import type { Emit } from "../contract/events.ts";
import type { Pipeline } from "../contract/graph.ts";
import type { Plan } from "../contract/log.ts";
import type { StoredBlock } from "../contract/record.ts";
import type { RejectedRow, RowChunk, WriteResult } from "../contract/sink.ts";
import type { Source, SourceItem } from "../contract/source.ts";
import type { Decider } from "../contract/unit.ts";
import { HoldfastError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import { Exchange } from "./exchange.ts";
import { BatchLetters, type Failure, RatioGuard } from "./letters.ts";
import { batchOf, type SinkRun } from "./sink-run.ts";

/** Attempts of a sink that answers `back-off` before its pipeline fails with SINK_BUSY and the supervisor takes over. */
export const BACK_OFF_ATTEMPTS_MAX = 20;

/** A pipeline's loop as the operator stage compiled it. */
export interface BlockLoop {
  readonly sliceRecordsMax: number;
  process(block: StoredBlock, from: number, to: number): readonly (RowChunk<unknown> | undefined)[];
}

/** What running batches takes. */
export interface BatchParts {
  readonly pipeline: Pipeline;
  /** Compiles the pipeline; `failed` is called for records that a stage could not take. */
  readonly compile: (failed: (failure: Failure) => void) => BlockLoop;
  readonly decide: Decider;
  readonly source: Source;
  readonly deadLetters: DeadLetterStore;
  readonly clock: Clock;
  readonly emit: Emit;
}

/** What `written` and `already-written` leave for the commit. */
export type Tokens = Readonly<Record<string, Uint8Array>>;

type SourceGap = Extract<SourceItem, { readonly kind: "gap" }>;

const EMPTY_TOKEN: Uint8Array = new Uint8Array(0);

/** Runs the batches of one incarnation, one at a time. */
export class BatchRunner {
  readonly #parts: BatchParts;
  readonly #sinks: readonly SinkRun[];
  readonly #signal: AbortSignal;
  readonly #ratio: RatioGuard;
  readonly #loop: BlockLoop;
  #letters: BatchLetters | undefined;

  constructor(parts: BatchParts, sinks: readonly SinkRun[], signal: AbortSignal) {
    this.#parts = parts;
    this.#sinks = sinks;
    this.#signal = signal;
    this.#ratio = new RatioGuard(parts.pipeline.name, parts.pipeline.deadLetterRatioMax);
    this.#loop = parts.compile((failure) => this.#currentLetters().add(failure));
  }

  /**
   * Writes a batch to every sink. A sink that backs off is tried again alone: those that have the batch are not
   * asked twice. Rejects when a stage or a sink fails, after all sinks are through with the attempt.
   */
  async write(plan: Plan, writerId: string, isReplay: boolean): Promise<Tokens> {
    const { pipeline, deadLetters, decide, clock } = this.#parts;
    const known = new Set(
      isReplay ? await deadLetters.keysFrom(plan.deadLettersFrom, this.#signal) : [],
    );
    const identity = { pipeline: pipeline.name, writerId, batchId: plan.batchId };
    const tokens: Record<string, Uint8Array> = {};
    let waiting = this.#sinks;
    for (let attempt = 1; waiting.length > 0; attempt++) {
      this.#letters = new BatchLetters(identity, deadLetters, { decide, known });
      const results = await this.#attempt(plan, writerId, waiting);
      const { held, delayMs } = this.#collect(waiting, results, {
        attempt,
        batchId: plan.batchId,
        tokens,
      });
      waiting = held;
      if (held.length > 0) await clock.sleep(delayMs, this.#signal);
    }
    return tokens;
  }

  /** Sets rows of the running batch aside for a sink; resolves when that is durable. */
  async reject(sink: string, rows: readonly RejectedRow[]): Promise<void> {
    const letters = this.#currentLetters();
    for (const { block, recordIndex, cause } of rows)
      letters.add({ stage: `sink:${sink}`, cause, block, recordIndex });
    await this.#store(letters);
  }

  #collect(
    sinks: readonly SinkRun[],
    results: readonly WriteResult[],
    round: {
      readonly attempt: number;
      readonly batchId: number;
      readonly tokens: Record<string, Uint8Array>;
    },
  ): { readonly held: readonly SinkRun[]; readonly delayMs: number } {
    const { pipeline, emit } = this.#parts;
    let delayMs = 0;
    const held = sinks.filter((sink, index) => {
      const result = results[index];
      if (result?.kind === "back-off") {
        if (round.attempt === BACK_OFF_ATTEMPTS_MAX) throw busy(sink.name, result.cause);
        delayMs = Math.max(delayMs, result.delayMs);
        return true;
      }
      if (result?.kind === "already-written")
        emit("sink-replayed", { pipeline: pipeline.name, sink: sink.name, batchId: round.batchId });
      round.tokens[sink.name] =
        (result?.kind === "written" ? result.token : undefined) ?? EMPTY_TOKEN;
      return false;
    });
    return { held, delayMs };
  }

  /** Runs the ranges once for these sinks. */
  async #attempt(
    plan: Plan,
    writerId: string,
    sinks: readonly SinkRun[],
  ): Promise<readonly WriteResult[]> {
    const lines = sinks.map((sink) => ({
      sink,
      exchange: new Exchange(),
      index: this.#sinks.indexOf(sink),
    }));
    const writes = lines.map((line) => this.#writeOne(plan, writerId, line));
    const settled = Promise.allSettled(writes);
    try {
      const recordCount = await this.#feed(plan, lines);
      const letters = this.#currentLetters();
      this.#ratio.judge(recordCount, letters.count);
      await this.#store(letters);
      for (const { exchange } of lines) exchange.end();
    } catch (cause) {
      for (const { exchange } of lines) exchange.end(cause);
      await settled;
      throw cause;
    }
    await settled;
    return await Promise.all(writes);
  }

  async #writeOne(plan: Plan, writerId: string, { sink, exchange }: Line): Promise<WriteResult> {
    const { pipeline, clock, emit } = this.#parts;
    const startMs = clock.monotonicMs();
    const result = await sink.write(batchOf(plan, writerId), exchange, this.#signal);
    if (result.kind === "written") {
      const seconds = (clock.monotonicMs() - startMs) / 1000;
      emit("sink-written", {
        pipeline: pipeline.name,
        sink: sink.name,
        batchId: plan.batchId,
        seconds,
        rowCount: exchange.rowCount,
      });
    }
    return result;
  }

  /** Reads the ranges and hands every slice to the sinks. Returns how many records were read. */
  async #feed(plan: Plan, lines: readonly Line[]): Promise<number> {
    const { source } = this.#parts;
    let recordCount = 0;
    for (const [partition, [from, to]] of Object.entries(plan.ranges[source.name] ?? {})) {
      for await (const item of source.read({ partition, from, to }, this.#signal)) {
        if (item.kind === "gap") {
          this.#tellGap(partition, item);
          continue;
        }
        recordCount += item.block.count;
        await this.#feedBlock(item.block, lines);
      }
    }
    return recordCount;
  }

  /** A gap has no rows. The log has told of its own, with the exact range; what never was there is no loss. */
  #tellGap(partition: string, { from, to, reason }: SourceGap): void {
    const { source, pipeline, emit } = this.#parts;
    if (pipeline.source === undefined || reason === "absent") return;
    emit("source-gap", {
      source: source.name,
      pipeline: pipeline.name,
      partition,
      from,
      to,
      reason,
    });
  }

  async #feedBlock(block: StoredBlock, lines: readonly Line[]): Promise<void> {
    const { clock } = this.#parts;
    const { sliceRecordsMax } = this.#loop;
    for (let from = 0; from < block.count; from += sliceRecordsMax) {
      const to = Math.min(from + sliceRecordsMax, block.count);
      const chunks = this.#loop.process(block, from, to);
      for (const { exchange, index } of lines) {
        const chunk = chunks[index];
        if (chunk === undefined) continue;
        await exchange.ready();
        exchange.give(chunk);
      }
      // Views die with the next slice: every sink must be done with this one.
      for (const { exchange } of lines) await exchange.ready();
      this.#signal.throwIfAborted();
      this.#sliceRecords += to - from;
      if (this.#sliceRecords < YIELD_RECORDS) continue;
      this.#sliceRecords = 0;
      await clock.yield();
    }
  }

  /** Records since other work last had its turn; blocks may be far smaller than a slice. */
  #sliceRecords = 0;

  async #store(letters: BatchLetters): Promise<void> {
    const { pipeline, emit } = this.#parts;
    for (const { letter, error, offset } of await letters.flush())
      emit("dead-letter", { pipeline: pipeline.name, stage: letter.stage, error, offset });
  }

  #currentLetters(): BatchLetters {
    if (this.#letters !== undefined) return this.#letters;
    throw new HoldfastError(
      "INTERNAL",
      `${this.#parts.pipeline.name}: rows were set aside outside a batch`,
    );
  }
}

/** Records processed before other work gets its turn. */
const YIELD_RECORDS = 2_000;

/** One sink of an attempt: where its chunks go, and which output of the pipeline it is. */
interface Line {
  readonly sink: SinkRun;
  readonly exchange: Exchange;
  readonly index: number;
}

function busy(sink: string, cause: Error): HoldfastError {
  return new HoldfastError(
    "SINK_BUSY",
    `${sink}: busy in ${BACK_OFF_ATTEMPTS_MAX} attempts, the limit is ${BACK_OFF_ATTEMPTS_MAX}: ${cause.message}`,
    { cause },
  );
}
