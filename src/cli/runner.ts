/**
 * One run of an ingest in the foreground: first lines, status lines, signals, last line.
 */
import type { Listener } from "../contract/events.ts";
import type { Ingest } from "../contract/ingest.ts";
import { codeOf } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { Host } from "../host/host.ts";
import type { Lifeline } from "../host/lifeline.ts";
import type { Endpoint } from "../host/sockets.ts";
import type { IngestOptions } from "../options.ts";
import type { HeldLogger } from "./held-logger.ts";
import type { ServiceLink } from "./service-link.ts";
import { slept } from "./slept.ts";
import {
  type Progress,
  type SinkPromise,
  type StartFacts,
  startLines,
  statusLine,
  stopLine,
} from "./start-lines.ts";
import type { Terminal } from "./terminal.ts";

/** Time between two status lines. */
export const STATUS_INTERVAL_MS = 10_000;
/** The first status line comes sooner: whoever just started wants to see that it works. */
export const FIRST_STATUS_MS = 2_000;
/** What a stop may spend on processing what is stored. */
export const DRAIN_TIMEOUT_MS = 10_000;
/** A stop that takes longer than this hangs in a call that does not come back. */
export const STOP_DEADLINE_MS = 30_000;
/** After this time a stop says that it takes longer, and a stop past its deadline is ended. */
export const GRACE_MS = 1_000;
/** A terminal and npm each pass on one Ctrl-C: signals this close together are one. */
export const SIGNAL_ECHO_MS = 500;

/** What events say that a snapshot does not. */
export class Watch {
  readonly promises: Map<string, readonly SinkPromise[]> = new Map();
  batchMs: number | undefined;
  readonly listener: Listener = {
    onPipelineStarted: ({ pipeline, sinks }) => void this.promises.set(pipeline, sinks),
    onBatchCompleted: ({ processingMs }) => {
      this.batchMs = processingMs;
    },
  };
}

/** What a run needs. */
export interface RunnerParts {
  readonly ingest: Ingest;
  readonly options: IngestOptions;
  readonly watch: Watch;
  readonly host: Pick<Host, "clock" | "process">;
  /** To whoever supervises this process. */
  readonly lifeline: Lifeline;
  /** To the init system. */
  readonly service: Pick<ServiceLink, "ready" | "stopping" | "end">;
  /** Its lines are written once the start succeeded. */
  readonly logger: Pick<HeldLogger, "release" | "discard">;
  readonly version: string;
  readonly terminal: Terminal;
}

/** Runs once. */
export class Runner {
  readonly #parts: RunnerParts;
  readonly #ended = new AbortController();
  #firstSignalMs: number | undefined;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
  }

  /**
   * Resolves with the exit code after a clean end; rejects when it cannot start, or when the ingest
   * gave up.
   */
  async run(): Promise<number> {
    const { ingest, host, lifeline, service, terminal } = this.#parts;
    const forget = host.process.onSignals(["SIGINT", "SIGTERM", "SIGHUP"], () => this.#onSignal());
    const letGo = lifeline.onCut(() => this.#orphaned());
    try {
      await this.#start();
      const status = this.#showStatus();
      const report = await ingest.stopped;
      this.#ended.abort();
      await status;
      terminal.print(stopLine(report));
      return 0;
    } finally {
      this.#ended.abort();
      forget();
      letGo();
      await service.end();
    }
  }

  /** A stop that comes while it starts makes the start reject; that is no failure. */
  async #start(): Promise<void> {
    const { ingest, logger, service, terminal } = this.#parts;
    try {
      await ingest.start();
    } catch (error) {
      if (this.#firstSignalMs !== undefined) return;
      logger.discard();
      throw error;
    } finally {
      logger.release();
    }
    for (const line of startLines(this.#facts())) terminal.print(line);
    if (this.#firstSignalMs === undefined) service.ready();
  }

  #facts(): StartFacts {
    const { ingest, options, watch, terminal } = this.#parts;
    const health = ingest.health();
    return {
      version: this.#parts.version,
      workingDirectory: terminal.directory,
      dataDirectory: options.directory,
      receivers: options.receivers.map((receiver) => ({
        name: receiver.name,
        type: receiver.type,
        options: receiver.options,
        address: this.#addressOf(receiver),
      })),
      pipelines: options.pipelines,
      promises: watch.promises,
      reasons: health.kind === "ready" ? [] : health.reasons,
      console:
        options.console === undefined
          ? undefined
          : { host: options.console.host ?? "127.0.0.1", port: options.console.port },
    };
  }

  #addressOf(receiver: IngestOptions["receivers"][number]): Endpoint | undefined {
    try {
      return this.#parts.ingest.address(receiver);
    } catch (error) {
      // It makes records or connects out, or waits for its next attempt: there is no address to
      // show.
      if (codeOf(error) === "UNIT_UNKNOWN") return undefined;
      throw error;
    }
  }

  /** Prints a line now and then, when something changed, until the end. */
  async #showStatus(): Promise<void> {
    const { host, terminal } = this.#parts;
    let last = this.#progress(host.clock);
    let delayMs = FIRST_STATUS_MS;
    while (await slept(host.clock, delayMs, this.#ended.signal)) {
      const now = this.#progress(host.clock);
      const line = statusLine(last, now);
      if (line !== undefined) terminal.print(line);
      last = now;
      delayMs = STATUS_INTERVAL_MS;
    }
  }

  #progress(clock: Clock): Progress {
    const { log, pipelines } = this.#parts.ingest.snapshot();
    const lagCount = Math.max(0, ...pipelines.map(({ lagRecords }) => lagRecords));
    return {
      atMs: clock.monotonicMs(),
      storedCount: log.nextOffset,
      processedCount: log.nextOffset - lagCount,
      lagCount,
      batchMs: this.#parts.watch.batchMs,
    };
  }

  /** The next supervisor starts an instance of its own, which needs the directory and the ports. */
  #orphaned(): void {
    this.#parts.terminal.complain("the supervisor is gone, stopping");
    if (this.#firstSignalMs === undefined) this.#stop();
  }

  #stop(): void {
    const { ingest, host, service } = this.#parts;
    this.#firstSignalMs = host.clock.monotonicMs();
    service.stopping();
    this.#limitStop();
    // Its outcome comes by `stopped`.
    ingest.stop({ timeoutMs: DRAIN_TIMEOUT_MS }).catch(() => undefined);
  }

  #onSignal(): void {
    const { host, terminal } = this.#parts;
    if (this.#firstSignalMs === undefined) return this.#stop();
    const nowMs = host.clock.monotonicMs();
    if (nowMs - this.#firstSignalMs < SIGNAL_ECHO_MS) return;
    terminal.complain(
      "ended at once: what is stored and not processed is replayed at the next start",
    );
    terminal.endAtOnce();
  }

  /** Says that it takes long, and ends the process when a call to the disk does not come back. */
  #limitStop(): void {
    const { host, terminal } = this.#parts;
    const { signal } = this.#ended;
    const notice = host.clock.after(GRACE_MS, () =>
      terminal.complain("still stopping; a second signal ends at once, and the next start replays"),
    );
    const kill = host.clock.after(STOP_DEADLINE_MS + GRACE_MS, () => {
      terminal.complain(
        `not stopped after ${(STOP_DEADLINE_MS + GRACE_MS) / 1000} s, ended at once; the next start replays`,
      );
      terminal.endAtOnce();
    });
    const cancel = (): void => [notice, kill].forEach((each) => each());
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
  }
}
