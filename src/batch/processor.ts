/**
 * Runs one pipeline: plan, run, write, commit, again. One instance is one incarnation of the pipeline's unit.
 *
 * The order is the promise. A plan is durable before its batch runs, so a replay reads the same records. Sinks
 * write before the commit, so an unfinished batch is written again, and each sink knows how to take it once.
 */
import { type Ends, endsAfter, type Ledger, type Offsets, type Plan } from "../contract/log.ts";
import type { Logger } from "../contract/logger.ts";
import type { PoolFactory } from "../contract/pool.ts";
import type { RejectedRow } from "../contract/sink.ts";
import type { UnitContext, UnitSession } from "../contract/unit.ts";
import { HoldfastError, toError } from "../errors.ts";
import type { Files } from "../host/files.ts";
import type { HttpClient } from "../host/http-client.ts";
import { type Random, randomHex } from "../host/random.ts";
import { type BatchParts, BatchRunner } from "./batch-run.ts";
import { checkSource, countOf, planOf, rangesOf, reaches, startOf } from "./planner.ts";
import { closeSinks, type SharedSinkContext, SinkRun } from "./sink-run.ts";
import { dueAtMs, isFinite } from "./trigger.ts";

/** Everything a processor works with. */
export interface ProcessorParts extends BatchParts {
  readonly graphHash: string;
  readonly ledger: Ledger;
  readonly random: Random;
  readonly files: Files;
  readonly httpClient: HttpClient;
  readonly logger: Logger;
  readonly pool: PoolFactory;
  /** After each commit, with where the pipeline stands. */
  readonly committed: (ends: Ends) => void;
}

/** What status and metrics show. */
export interface ProcessorStatus {
  readonly batchId: number;
  readonly ends: Ends;
  readonly finishedParts: number;
}

interface Progress {
  readonly writerId: string;
  readonly batchId: number;
  readonly ends: Ends;
}

const WRITER_ID_BYTES = 16;

/** One incarnation. `open`, then `run` until it is closed or done. */
export class Processor implements UnitSession<never> {
  readonly #parts: ProcessorParts;
  readonly #unit: UnitContext;
  readonly #sinks: SinkRun[] = [];
  readonly #runner: BatchRunner;
  /** Aborts inside a batch: the stop deadline has passed, or the incarnation is over. */
  readonly #force = new AbortController();
  #wake = new AbortController();
  #progress: Progress = { writerId: "", batchId: 0, ends: {} };
  #openPlan: Plan | undefined;
  #lastStartMs: number | undefined;
  #dueMs = 0;
  /** Where a finite trigger or a drain ends. */
  #target: Offsets | undefined;
  #drained: (() => void)[] = [];
  #running: Promise<void> = Promise.resolve();
  #isClosing = false;
  #isBroken = false;
  #finishedParts = 0;

  private constructor(parts: ProcessorParts, unit: UnitContext) {
    this.#parts = parts;
    this.#unit = unit;
    unit.signal.addEventListener("abort", () => this.#force.abort(unit.signal.reason), {
      once: true,
    });
    this.#force.signal.addEventListener("abort", () => this.#wake.abort(), { once: true });
    this.#runner = new BatchRunner(parts, this.#sinks, this.#force.signal);
  }

  /** Makes the pipeline known if it is new, and opens its sinks. */
  static async open(parts: ProcessorParts, unit: UnitContext): Promise<Processor> {
    const processor = new Processor(parts, unit);
    try {
      await processor.#restore();
      await processor.#openSinks();
      return processor;
    } catch (cause) {
      // What the supervisor has to hear of is why it did not open.
      await processor.#closeAll(unit.signal).catch(() => undefined);
      throw cause;
    }
  }

  status(): ProcessorStatus {
    return {
      batchId: this.#progress.batchId,
      ends: this.#progress.ends,
      finishedParts: this.#finishedParts,
    };
  }

  /** Records that can be read and are not committed, as far as is known. */
  get lagRecords(): number {
    return this.#parts.source.lag(this.#standing());
  }

  run(): Promise<void> {
    this.#running = this.#work().catch((cause: unknown) => {
      this.#isBroken = true;
      // Cut short by a forced stop: nothing is wrong, the open plan is run again later.
      if (!(this.#isClosing && this.#force.signal.aborted)) throw cause;
    });
    return this.#running;
  }

  /** Processes what is durable now without waiting for the trigger; resolves when that is committed. */
  async drain(signal: AbortSignal): Promise<void> {
    const target = await this.#parts.source.latest(signal);
    if (reaches(this.#standing(), target)) return;
    this.#target = target;
    this.#wake.abort();
    await new Promise<void>((resolve, reject) => {
      this.#drained.push(resolve);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      this.#running.then(resolve, reject);
    });
  }

  /** Ends between two batches; when the signal aborts, in the middle of one, which is replayed later. */
  async close(signal: AbortSignal): Promise<void> {
    const name = this.#parts.pipeline.name;
    const force = (): void =>
      this.#force.abort(
        new HoldfastError(
          "UNIT_STOPPED",
          `${name}: stopped inside a batch, it is run again at the next start`,
        ),
      );
    signal.addEventListener("abort", force, { once: true });
    if (signal.aborted) force();
    this.#isClosing = true;
    this.#wake.abort();
    await this.#running.catch(() => undefined);
    try {
      if (!this.#isBroken) await this.#flushSinks();
    } finally {
      signal.removeEventListener("abort", force);
      await this.#closeAll(signal);
    }
  }

  // Opening and closing

  async #restore(): Promise<void> {
    const { pipeline, ledger, source, random, graphHash, emit } = this.#parts;
    const known = ledger.checkpoint(pipeline.name);
    if (known === undefined) {
      const writerId = randomHex(random, WRITER_ID_BYTES);
      const { signal } = this.#unit;
      const oldest = await source.oldest(signal);
      // A partition without records has nothing to reach: what comes to it is behind its beginning.
      const latest = pipeline.startAt === "now" ? await source.latest(signal) : {};
      const start = { [source.name]: startOf(latest, oldest) };
      await ledger.register(pipeline.name, { writerId, start });
      this.#progress = { writerId, batchId: 0, ends: start };
      return;
    }
    if (known.orphanedSinceMs !== undefined) await ledger.orphan(pipeline.name, undefined);
    const { committed, open, writerId, start } = known;
    this.#progress = { writerId, batchId: committed?.batchId ?? 0, ends: committed?.ends ?? start };
    checkSource(pipeline.name, source.name, open);
    this.#openPlan = open;
    if (open !== undefined && open.graphHash !== graphHash)
      emit("pipeline-changed", { pipeline: pipeline.name, batchId: open.batchId });
  }

  async #openSinks(): Promise<void> {
    const { pipeline, ledger, emit } = this.#parts;
    const shared = this.#sharedContext();
    const history = {
      tokens: ledger.checkpoint(pipeline.name)?.committed?.tokens,
      openBatchId: this.#openPlan?.batchId,
    };
    for (const output of pipeline.outputs) {
      try {
        this.#sinks.push(await SinkRun.open(output, shared, history));
      } catch (cause) {
        const error = toError(cause);
        const isConflict =
          error instanceof HoldfastError &&
          (error.code === "SINK_CONFLICT" || error.code === "SINK_BEHIND");
        if (isConflict)
          emit("sink-conflict", { pipeline: pipeline.name, sink: output.sink.name, error });
        throw cause;
      }
    }
    const sinks = this.#sinks.map(({ name, session }) => ({
      sink: name,
      guarantee: session.guarantee,
      by: session.by,
    }));
    emit("pipeline-started", { pipeline: pipeline.name, sinks });
  }

  #sharedContext(): SharedSinkContext {
    const { pipeline, ledger, clock, random, files, httpClient, logger, pool } = this.#parts;
    const { writerId, batchId, ends } = this.#progress;
    return {
      pipeline: pipeline.name,
      writerId,
      epoch: ledger.epoch,
      signal: this.#unit.signal,
      clock,
      random,
      files,
      httpClient,
      logger,
      pool,
      lastBatchId: batchId,
      lastEnds: ends,
      reject: (sink: string, rows: readonly RejectedRow[]) => this.#runner.reject(sink, rows),
      fail: (cause: unknown) => this.#unit.fail(cause),
      note: (message: string, fields?: object) => logger.info(message, fields),
    };
  }

  async #flushSinks(): Promise<void> {
    for (const { session } of this.#sinks)
      this.#finishedParts += (await session.flush?.())?.finishedParts ?? 0;
  }

  async #closeAll(signal: AbortSignal): Promise<void> {
    try {
      await closeSinks(this.#parts.pipeline.name, this.#sinks.splice(0), signal);
    } finally {
      await this.#parts.source.close?.();
    }
  }

  // The loop

  async #work(): Promise<void> {
    const { pipeline, source, ledger } = this.#parts;
    if (isFinite(pipeline.trigger)) {
      const target = await this.#unlessWoken((wake) => source.latest(wake));
      // A drain that woke it has asked, too.
      this.#target ??= target;
    }
    let plan = this.#openPlan;
    let isReplay = plan !== undefined;
    for (;;) {
      if (plan === undefined) {
        plan = await this.#awaitPlan();
        if (plan === undefined) return;
        await ledger.plan(plan);
      }
      plan = await this.#runBatch(plan, isReplay);
      isReplay = false;
    }
  }

  /** Waits for the trigger and for input; undefined when the pipeline is to end. */
  async #awaitPlan(): Promise<Plan | undefined> {
    while (!this.#isClosing && !this.#isDone()) {
      const plan = await this.#unlessWoken(async (wake) => {
        if (this.#target === undefined) await this.#awaitInput(wake);
        return await this.#planNext(this.#progress, wake);
      });
      if (plan !== undefined) return plan;
    }
    return undefined;
  }

  /** Does it; undefined when it is woken for a stop or a drain before that ends. */
  async #unlessWoken<T>(work: (wake: AbortSignal) => Promise<T>): Promise<T | undefined> {
    this.#wake = new AbortController();
    const wake = this.#wake.signal;
    try {
      return await work(wake);
    } catch (cause) {
      this.#force.signal.throwIfAborted();
      if (wake.aborted) return undefined;
      throw cause;
    }
  }

  /** Resolves when a batch is due and something is there. */
  async #awaitInput(wake: AbortSignal): Promise<void> {
    const { pipeline, source, clock } = this.#parts;
    const nowMs = clock.monotonicMs();
    const waitMs = dueAtMs(pipeline.trigger, this.#lastStartMs, nowMs) - nowMs;
    if (waitMs > 0) await clock.sleep(waitMs, wake);
    await source.waitFor(this.#standing(), wake);
  }

  /** Whether the pipeline ends by itself here; a drain that has arrived is forgotten. */
  #isDone(): boolean {
    if (this.#target === undefined) return false;
    const { trigger } = this.#parts.pipeline;
    const isThere = reaches(this.#standing(), this.#target);
    if (isFinite(trigger))
      return isThere || (trigger.kind === "once" && this.#lastStartMs !== undefined);
    if (!isThere) return false;
    this.#target = undefined;
    for (const resolve of this.#drained.splice(0)) resolve();
    return false;
  }

  #standing(ends: Ends = this.#progress.ends): Offsets {
    return ends[this.#parts.source.name] ?? {};
  }

  async #planNext(after: Progress, signal: AbortSignal): Promise<Plan | undefined> {
    const { pipeline, graphHash, source, ledger, clock, deadLetters, emit } = this.#parts;
    const from = startOf(this.#standing(after.ends), await source.oldest(signal));
    const to = await source.bounded(
      from,
      { recordsMax: pipeline.batchRecordsMax, bytesMax: pipeline.batchBytesMax },
      signal,
    );
    const identity = {
      pipeline: pipeline.name,
      batchId: after.batchId + 1,
      epoch: ledger.epoch,
      batchTimeMs: clock.wallMs(),
      graphHash,
      deadLettersFrom: deadLetters.nextOffset,
    };
    const plan = planOf(identity, rangesOf(source.name, from, to));
    if (plan === undefined) return undefined;
    this.#dueMs = clock.monotonicMs();
    emit("batch-planned", {
      pipeline: pipeline.name,
      batchId: plan.batchId,
      recordCount: countOf(plan.ranges),
    });
    return plan;
  }

  /** One batch from start to commit; the next plan if it was made durable with the commit. */
  async #runBatch(plan: Plan, isReplay: boolean): Promise<Plan | undefined> {
    const { pipeline, clock, emit, ledger } = this.#parts;
    const startMs = clock.monotonicMs();
    const schedulingDelayMs = isReplay ? 0 : startMs - this.#dueMs;
    this.#lastStartMs = startMs;
    emit("batch-started", { pipeline: pipeline.name, batchId: plan.batchId, replay: isReplay });
    try {
      const tokens = await this.#runner.write(plan, this.#progress.writerId, isReplay);
      const done: Progress = {
        ...this.#progress,
        batchId: plan.batchId,
        ends: endsAfter(this.#progress.ends, plan.ranges),
      };
      const next = await this.#planBehind(done, startMs);
      await ledger.commit(
        { pipeline: pipeline.name, batchId: plan.batchId, epoch: ledger.epoch, tokens },
        next,
      );
      this.#progress = done;
      for (const { session } of this.#sinks) await session.committed?.(plan.batchId);
      this.#announce(plan, schedulingDelayMs, clock.monotonicMs() - startMs);
      return next;
    } catch (cause) {
      if (!this.#force.signal.aborted)
        emit("batch-failed", {
          pipeline: pipeline.name,
          batchId: plan.batchId,
          error: toError(cause),
        });
      throw cause;
    }
  }

  /** The plan after this batch, if input waits and the trigger is due: it shares the commit's durable write. */
  async #planBehind(done: Progress, startMs: number): Promise<Plan | undefined> {
    const { pipeline, clock } = this.#parts;
    const isFreeRunning =
      pipeline.trigger.kind === "asap" && this.#target === undefined && !this.#isClosing;
    if (!isFreeRunning || dueAtMs(pipeline.trigger, startMs, startMs) > clock.monotonicMs())
      return undefined;
    return await this.#planNext(done, this.#force.signal);
  }

  #announce(plan: Plan, schedulingDelayMs: number, processingMs: number): void {
    const { pipeline, emit, committed } = this.#parts;
    this.#unit.alive();
    committed(this.#progress.ends);
    emit("batch-completed", {
      pipeline: pipeline.name,
      batchId: plan.batchId,
      recordCount: countOf(plan.ranges),
      schedulingDelayMs,
      processingMs,
    });
  }
}
