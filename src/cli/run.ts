/**
 * `holdfast run`: a thin user of `createIngest`. It says where things are, then how it goes, then how it ended.
 */
import type { Listener } from "../contract/events.ts";
import { codeOf, HoldfastError } from "../errors.ts";
import type { Clock } from "../host/clock.ts";
import type { Host } from "../host/host.ts";
import type { Endpoint } from "../host/sockets.ts";
import type { Ingest } from "../contract/ingest.ts";
import type { LogLevel } from "../observe/logger.ts";
import type { IngestOptions } from "../options.ts";
import type { Call } from "./command.ts";
import { CONFIG_FILE, loadFor } from "./config-file.ts";
import { readVersion } from "./version.ts";
import {
  type Progress,
  type SinkPromise,
  startLines,
  statusLine,
  stopLine,
} from "./start-lines.ts";
import type { Terminal } from "./terminal.ts";

/** Time between two status lines. */
const STATUS_INTERVAL_MS = 10_000;
/** The first status line comes sooner: whoever just started wants to see that it works. */
const FIRST_STATUS_MS = 2_000;
/** What a stop may spend on processing what is stored. */
const DRAIN_TIMEOUT_MS = 10_000;
/** A stop that takes longer than this hangs in a call that does not come back. */
const STOP_DEADLINE_MS = 30_000;
const GRACE_MS = 1_000;
/** A terminal and npm each pass on one Ctrl-C: signals this close together are one. */
const SIGNAL_ECHO_MS = 500;

const LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

export async function main(call: Call): Promise<number> {
  const { terminal } = call;
  const level = logLevel(call);
  const loaded = await loadFor(call, call.positionals[0] ?? CONFIG_FILE);
  if (loaded.kind === "invalid") return loaded.exitCode;
  const [{ createIngest }, { createLogger }, { realHost }] = await Promise.all([
    import("../ingest.ts"),
    import("../observe/logger.ts"),
    import("../host/real-host.ts"),
  ]);
  const host = realHost();
  const watch = new Watch();
  const options: IngestOptions = {
    ...loaded.options,
    host,
    logger: createLogger({ level }),
    listeners: [watch.listener],
  };
  const ingest = createIngest(options);
  const runner = new Runner({ ingest, options, watch, host, terminal });
  return runner.run();
}

function logLevel(call: Call): LogLevel {
  const text = call.text("log-level");
  if (text === undefined) return call.terminal.isInteractive ? "warn" : "info";
  const level = LEVELS.find((each) => each === text);
  if (level !== undefined) return level;
  throw new HoldfastError(
    "USAGE",
    `--log-level is ${JSON.stringify(text)}, allowed are ${LEVELS.join(", ")}`,
    { fix: "--log-level info" },
  );
}

/** What events say that a snapshot does not. */
class Watch {
  readonly promises = new Map<string, readonly SinkPromise[]>();
  batchMs: number | undefined;
  readonly listener: Listener = {
    onPipelineStarted: ({ pipeline, sinks }) => void this.promises.set(pipeline, sinks),
    onBatchCompleted: ({ processingMs }) => {
      this.batchMs = processingMs;
    },
  };
}

interface RunnerParts {
  readonly ingest: Ingest;
  readonly options: IngestOptions;
  readonly watch: Watch;
  readonly host: Host;
  readonly terminal: Terminal;
}

class Runner {
  readonly #parts: RunnerParts;
  readonly #ended = new AbortController();
  #firstSignalMs: number | undefined;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
  }

  async run(): Promise<number> {
    const { ingest, host, terminal } = this.#parts;
    const forget = host.process.onSignals(["SIGINT", "SIGTERM"], () => this.#onSignal());
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
    }
  }

  /** A stop that comes while it starts makes the start reject; that is no failure. */
  async #start(): Promise<void> {
    const { ingest, terminal } = this.#parts;
    try {
      await ingest.start();
    } catch (error) {
      if (this.#firstSignalMs === undefined) throw error;
      return;
    }
    for (const line of startLines(await this.#facts())) terminal.print(line);
  }

  async #facts(): Promise<Parameters<typeof startLines>[0]> {
    const { options, watch, terminal } = this.#parts;
    return {
      version: await readVersion(),
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
      // It makes records or connects out, or waits for its next attempt: there is no address to show.
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

  #onSignal(): void {
    const { ingest, host, terminal } = this.#parts;
    const nowMs = host.clock.monotonicMs();
    if (this.#firstSignalMs === undefined) {
      this.#firstSignalMs = nowMs;
      this.#limitStop();
      // Its outcome comes by `stopped`.
      ingest.stop({ timeoutMs: DRAIN_TIMEOUT_MS }).catch(() => undefined);
      return;
    }
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

/** Whether the time passed; false when the signal ended it. */
async function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}
