/**
 * The composition root: one data directory, its supervision tree, and the data path through it.
 *
 * ```
 * root
 *   log          ledger, log, dead letters: opened in this order, closed in reverse
 *   pipelines/*  each with its sinks
 *   receivers/*  each with its intake
 *   control      the control socket
 *   console      /metrics, /livez, /readyz
 * ```
 * Children stop in reverse: first nothing comes in any more, then what is stored is processed, then the log closes.
 */
import type { Processor } from "./batch/processor.ts";
import { isFinite } from "./batch/trigger.ts";
import { consoleUnit } from "./console/console.ts";
import { controlUnit } from "./console/control.ts";
import type { Emit, Listener } from "./contract/events.ts";
import type { Pipeline } from "./contract/graph.ts";
import type { DrainResult, Ingest, RunOptions, StopReport } from "./contract/ingest.ts";
import type { LogListener } from "./contract/log.ts";
import type { Logger } from "./contract/logger.ts";
import type { Receiver } from "./contract/receiver.ts";
import type { Health, HealthReason, Snapshot } from "./contract/status.ts";
import type { UnitDefinition } from "./contract/unit.ts";
import { controlCommands } from "./control-commands.ts";
import { checkDisk } from "./disk-check.ts";
import { HoldfastError } from "./errors.ts";
import { healthOf } from "./health.ts";
import type { Host } from "./host/host.ts";
import type { FileLock } from "./host/process.ts";
import { realHost } from "./host/real-host.ts";
import type { Endpoint } from "./host/sockets.ts";
import type { Intake } from "./intake.ts";
import { LiveStorage } from "./live-log.ts";
import { createEvents } from "./observe/events.ts";
import { createLogger } from "./observe/logger.ts";
import { createMetrics, type Metrics } from "./observe/metrics.ts";
import { type IngestOptions, type ResolvedIngestOptions, resolveIngestOptions } from "./options.ts";
import { Dialer } from "./pool/dialer.ts";
import { createPools, type Pools } from "./pool/registry.ts";
import { type DataPath, process, receive } from "./pipeline.ts";
import { isRing, markOrphans, Releaser, slowestHolder } from "./retention.ts";
import { takeSnapshot } from "./snapshot.ts";
import { lockDirectory, storageUnit } from "./storage.ts";
import { BESIDE, createTree, type Tree } from "./tree.ts";
import { warnOfUnread } from "./unread-receivers.ts";

/**
 * An ingest as a value: `start` or `run` it.
 *
 * @throws CONFIG_OUT_OF_RANGE, CONFIG_CONFLICT, CONFIG_REFERENCE
 */
export function createIngest<const N extends string>(options: IngestOptions<N>): Ingest {
  return new RunningIngest(resolveIngestOptions(options));
}

const STOP_TIMEOUT_MS = 10_000;
/** A start that resolves without its pipelines waits this long for them: a store that is away may stay away. */
const PIPELINES_OPEN_MS = 3_000;
const CONTROL = "control";
const CONTROL_OPEN_MS = 2_000;

class RunningIngest implements Ingest {
  readonly #options: ResolvedIngestOptions;
  readonly #host: Host;
  readonly #logger: Logger;
  readonly #events: ReturnType<typeof createEvents>;
  readonly #emit: Emit;
  readonly #storage = new LiveStorage();
  readonly #intakes = new Map<string, Intake>();
  readonly #processors = new Map<string, Processor>();
  readonly #tree: Tree;
  readonly #metrics: Metrics;
  readonly #pools: Pools;
  readonly #releaser: Releaser;
  #lock: FileLock | undefined;
  #warnings: readonly HealthReason[] = [];
  #processedRecords = 0;
  #starting: Promise<void> | undefined;
  #stopping: Promise<StopReport> | undefined;
  #ended: { resolve(report: StopReport): void; reject(cause: unknown): void } | undefined;
  readonly stopped: Promise<StopReport>;

  constructor(options: ResolvedIngestOptions) {
    this.#options = options;
    this.#host = options.host ?? realHost();
    this.#logger = options.logger ?? createLogger();
    this.#events = createEvents({ clock: this.#host.clock, logger: this.#logger });
    this.#emit = this.#events.emit;
    for (const listener of options.listeners) this.#events.addListener(listener);
    this.#events.addListener({
      onBatchCompleted: ({ recordCount }) => {
        this.#processedRecords += recordCount;
      },
    });
    this.#releaser = new Releaser({
      storage: this.#storage,
      clock: this.#host.clock,
      logger: this.#logger,
      isRing: isRing(options),
    });
    this.stopped = new Promise((resolve, reject) => {
      this.#ended = { resolve, reject };
    });
    // Who does not ask for the end must not be ended by it.
    this.stopped.catch(() => undefined);
    this.#tree = createTree({
      host: this.#host,
      emit: this.#emit,
      supervision: options.supervision,
      gaveUp: (error) => this.#giveUp(error),
    });
    const { clock, random } = this.#host;
    this.#pools = createPools({ clock, random, emit: this.#emit });
    this.#metrics = createMetrics({
      snapshot: () => this.snapshot(),
      intakes: () => this.#intakes,
      events: this.#events,
    });
  }

  start(signal?: AbortSignal): Promise<void> {
    this.#starting ??= this.#start(signal).catch(async (cause: unknown) => {
      await this.stop({ timeoutMs: 0 });
      throw cause;
    });
    return this.#starting;
  }

  async run(options: RunOptions = {}): Promise<void> {
    const stop = (): void => void this.stop();
    const forget = this.#host.process.onSignals(options.stopOn ?? [], stop);
    options.signal?.addEventListener("abort", stop, { once: true });
    try {
      await this.start(options.signal).catch((cause: unknown) => {
        // Stopped while it started: that is an end, not a failure.
        if (!isStop(cause)) throw cause;
      });
      await this.stopped;
    } finally {
      forget();
      options.signal?.removeEventListener("abort", stop);
    }
  }

  async drain({ timeoutMs }: { readonly timeoutMs: number }): Promise<DrainResult> {
    await this.#tree.receivers.stop();
    await this.#drainPipelines(timeoutMs);
    const lagRecords = Math.max(0, ...this.snapshot().pipelines.map((each) => each.lagRecords));
    return lagRecords === 0 ? { kind: "drained" } : { kind: "timed-out", lagRecords };
  }

  stop(options: { readonly timeoutMs?: number } = {}): Promise<StopReport> {
    this.#stopping ??= this.#stop(options.timeoutMs ?? STOP_TIMEOUT_MS).then(
      (report) => {
        this.#ended?.resolve(report);
        return report;
      },
      (cause: unknown) => {
        this.#ended?.reject(cause);
        throw cause;
      },
    );
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  addListener(listener: Listener): Disposable {
    return this.#events.addListener(listener);
  }

  address(receiver: Receiver): Endpoint {
    const address = this.#intakes.get(receiver.name)?.address;
    if (address !== undefined) return address;
    throw new HoldfastError(
      "UNIT_UNKNOWN",
      `receiver ${receiver.name} does not listen: it is not started, or connects out`,
    );
  }

  metricsText(): string {
    return this.#metrics.text();
  }

  // Starting

  async #start(signal?: AbortSignal): Promise<void> {
    const { directory, console: consoleOptions, log, pipelines, receivers } = this.#options;
    const { files } = this.#host;
    signal?.throwIfAborted();
    this.#lock = await lockDirectory(this.#host, directory);
    const { durability } = log;
    this.#warnings = [
      ...(await checkDisk({ files, directory, durability, emit: this.#emit })),
      ...warnOfUnread(this.#options, this.#logger),
    ];
    await this.#tree.root.start(
      storageUnit({
        host: this.#host,
        options: this.#options,
        storage: this.#storage,
        listener: this.#logListener(),
        emit: this.#emit,
      }),
    ).started;
    await markOrphans(this.#storage.ledger, pipelines, {
      clock: this.#host.clock,
      logger: this.#logger,
    });
    signal?.throwIfAborted();
    const controlled = this.#startControl();
    const path: DataPath = {
      log: this.#storage.log,
      ledger: this.#storage.ledger,
      deadLetters: this.#storage.deadLetters,
      host: this.#host,
      logger: this.#logger,
      emit: this.#emit,
      pool: this.#pools.create,
      appended: (seconds) => this.#metrics.appended(seconds),
    };
    for (const pipeline of pipelines)
      this.#tree.pipelines.start(this.#pipelineUnit(pipeline, path));
    // A finite run reads what is there: receivers stay closed.
    const isFiniteRun = pipelines.length > 0 && pipelines.every(({ trigger }) => isFinite(trigger));
    const opened = isFiniteRun ? [] : receivers;
    for (const receiver of opened) {
      const intake = receive(receiver, path);
      this.#intakes.set(receiver.name, intake);
      this.#tree.startReceiver(intake.definition(), receiver);
    }
    // Together: a slow store must not keep devices from being acknowledged.
    await this.#tree.settled(opened.map(({ name }) => `receivers/${name}`));
    await this.#tree.settled(
      pipelines.map(({ name }) => `pipelines/${name}`),
      PIPELINES_OPEN_MS,
    );
    await controlled;
    if (consoleOptions === undefined) return;
    this.#tree.root.start(
      consoleUnit({
        ...consoleOptions,
        http: this.#host.http,
        metricsText: () => this.metricsText(),
        health: () => this.health(),
      }),
    );
    await this.#tree.settled(["console"]);
  }

  /** Bound before anyone is told that the start is over; without it everything else works. */
  async #startControl(): Promise<void> {
    const { files, local, clock } = this.#host;
    if (local === undefined) return;
    const { directory } = this.#options;
    const commands = controlCommands({
      storage: this.#storage,
      clock,
      tree: this.#tree.root,
      snapshot: () => this.snapshot(),
    });
    const unit = controlUnit({ directory, files, local, clock, commands });
    this.#tree.root.start({ ...unit, strategy: BESIDE });
    await this.#tree.settled([CONTROL], CONTROL_OPEN_MS).catch(() => undefined);
  }

  #pipelineUnit(pipeline: Pipeline, path: DataPath): UnitDefinition {
    const dialer = new Dialer(this.#host);
    this.#dialers.push(dialer);
    const committed = (): void => this.#releaser.release();
    return {
      name: pipeline.name,
      ...(pipeline.supervision === undefined ? {} : { strategy: pipeline.supervision }),
      open: async (unit) => {
        const processor = await process(pipeline, path, unit, { dialer, committed });
        this.#processors.set(pipeline.name, processor);
        return {
          run: async () => {
            await processor.run();
            this.#finished(pipeline.name);
          },
          close: (signal) => processor.close(signal),
        };
      },
    };
  }

  /** A finite pipeline is done; when all are, so is the run. */
  #finished(name: string): void {
    if (this.#stopping !== undefined) return;
    this.#done.add(name);
    if (this.#options.pipelines.every((each) => this.#done.has(each.name))) void this.stop();
  }

  readonly #done = new Set<string>();
  readonly #dialers: Dialer[] = [];

  #logListener(): LogListener {
    return {
      committed: (commit) => {
        this.#metrics.committed(commit);
        this.#releaser.committed();
      },
      stateChanged: (state, cause) => this.#logStateChanged(state, cause),
      gap: (gap) => this.#emit("log-gap", gap),
      reserved: (progress) => this.#emit("log-reserved", progress),
      quarantined: (copy) => this.#emit("log-quarantined", copy),
      pressure: (isFull) => {
        for (const intake of this.#intakes.values()) {
          if (isFull) intake.pause("log");
          else intake.resume("log");
        }
      },
    };
  }

  #logStateChanged(state: string, cause: Error | undefined): void {
    if (state === "failed")
      this.#emit("log-failed", {
        error: cause ?? new HoldfastError("LOG_FAILED", "the log has failed"),
      });
    // While the log is being opened it cannot be asked yet; its unit says it again then.
    if (state !== "full" || !this.#storage.isOpen) return;
    const { bytes, bytesMax, fullBy } = this.#storage.log.status();
    const holder = slowestHolder(this.#storage.ledger, this.#host.clock.wallMs());
    this.#emit("log-full", { bytes, bytesMax, fullBy, holder: holder?.pipeline });
  }

  // Stopping

  async #stop(timeoutMs: number): Promise<StopReport> {
    const before = this.#processedRecords;
    const notStopped = [...(await this.#tree.receivers.stop()).notStopped];
    await this.#drainPipelines(timeoutMs);
    notStopped.push(...(await this.#tree.pipelines.stop()).notStopped);
    const { log, pipelines } = this.snapshot();
    notStopped.push(...(await this.#tree.root.stop()).notStopped);
    for (const each of [...this.#intakes.values(), ...this.#dialers]) each.close();
    await this.#lock?.release();
    return {
      flushedRecords: this.#processedRecords - before,
      notStopped: [...new Set(notStopped)],
      nextOffset: log.nextOffset,
      pipelines: pipelines.map(({ pipeline, batchId, lagRecords }) => ({
        pipeline,
        batchId,
        lagRecords,
        finishedParts: this.#processors.get(pipeline)?.status().finishedParts ?? 0,
      })),
    };
  }

  async #drainPipelines(timeoutMs: number): Promise<void> {
    if (timeoutMs === 0) return;
    const limit = new AbortController();
    const cancel = this.#host.clock.after(timeoutMs, () => limit.abort());
    const running = [...this.#processors].filter(([name]) =>
      this.#tree.isRunning(`pipelines/${name}`),
    );
    // One that cannot be drained is behind: its plan stays open, and the report says by how much.
    await Promise.allSettled(running.map(([, processor]) => processor.drain(limit.signal)));
    cancel();
  }

  /** The root's own exhaustion: nothing is left that could decide. */
  #giveUp(error: Error): void {
    this.#logger.error("the supervision tree gave up", { error: error.message });
    this.#ended?.reject(error);
    void this.stop({ timeoutMs: 0 });
  }

  // Looking

  health(): Health {
    // Without the control socket everything goes on: it is no reason to take an instance out of service.
    const units = this.#tree.root.states().filter(({ unit }) => unit !== CONTROL);
    return healthOf({ units, isLogOpen: this.#storage.isOpen, warnings: this.#warnings });
  }

  snapshot(): Snapshot {
    return takeSnapshot({
      storage: this.#storage,
      pipelines: this.#options.pipelines,
      processors: this.#processors,
      units: this.#tree.root.states(),
      pools: this.#pools.stats(),
    });
  }
}

function isStop(cause: unknown): boolean {
  return cause instanceof HoldfastError && cause.code === "UNIT_STOPPED";
}
