/**
 * One receiver in an ingest of its own, on a simulated disk and the real network: what a conformance suite plays with.
 * A test stops the disk, cuts the power, fails an incarnation, and reads afterwards what is on the disk.
 */
import type { AnyEvent } from "../contract/events.ts";
import type { Ingest } from "../contract/ingest.ts";
import type { Logger } from "../contract/logger.ts";
import type {
  Receiver,
  ReceiverContext,
  ReceiverOptions,
  ReceiverSession,
} from "../contract/receiver.ts";
import { copyOf } from "../contract/record.ts";
import { codeOf, HoldfastError } from "../errors.ts";
import { realClock } from "../host/clock.ts";
import type { Host } from "../host/host.ts";
import { realHost } from "../host/real-host.ts";
import type { Endpoint } from "../host/sockets.ts";
import { createIngest } from "../ingest.ts";
import { equalJitter } from "../../supervisors/backoff.ts";
import { oneForOne } from "../../supervisors/strategy.ts";
import { openLogReader } from "../wal/directory-reader.ts";
import { SimulatedDisk } from "./disk.ts";
import type { Hold } from "./disk-faults.ts";

/** Longest wait for anything, so that what hangs has a name. */
const WAIT_MS = 15_000;
const DIRECTORY = "/data";
const LOG_DIRECTORY = "/data/log";
/** Bytes in flight at most, so that pressure takes few messages. */
const INFLIGHT_BYTES_MAX: number = 256 * 1024;
const RESTARTS_MAX = 1_000;
const RESTART = "the trial restarts the receiver";

/** An incarnation as it was opened. */
export interface Incarnation {
  readonly context: ReceiverContext<unknown>;
  readonly session: ReceiverSession;
}

/** A process may die and another one start on the same disk. */
export class ReceiverTrial implements AsyncDisposable {
  readonly disk: SimulatedDisk = new SimulatedDisk();
  /** Of all processes, in the order of their opening. */
  readonly incarnations: Incarnation[] = [];
  readonly events: AnyEvent[] = [];
  readonly #create: (options: ReceiverOptions) => Receiver;
  readonly #waitMs: number;
  #ingest: Ingest | undefined;
  #receiver: Receiver | undefined;

  /** @param waitMs - longest wait for anything. @defaultValue 15,000 */
  constructor(create: (options: ReceiverOptions) => Receiver, waitMs: number = WAIT_MS) {
    this.#create = create;
    this.#waitMs = waitMs;
  }

  /** A process starts; resolves when the receiver is open. */
  async start(): Promise<void> {
    const receiver = this.#watched(
      this.#create({ inflightBytesMax: INFLIGHT_BYTES_MAX, storeTimeoutMs: WAIT_MS }),
    );
    const backoff = equalJitter({ minMs: 1, maxMs: 20, resetAfterMs: 1_000 });
    const strategy = { maxRestarts: RESTARTS_MAX, withinMs: 60_000, backoff };
    this.#receiver = receiver;
    this.#ingest = createIngest({
      directory: DIRECTORY,
      receivers: [receiver],
      pipelines: [],
      log: { bytesMax: 256 * 2 ** 20, segmentBytes: 4 * 2 ** 20 },
      logger: silent,
      host: this.#host(),
      supervision: { receivers: oneForOne({ ...strategy, decide: () => "restart" }) },
      listeners: [{ onEvent: (event) => this.events.push(event) }],
    });
    await this.within("start", this.#ingest.start());
  }

  /** Where the receiver listens now. @throws UNIT_UNKNOWN when it does not */
  get address(): Endpoint {
    return this.#running.address(this.#watchedReceiver);
  }

  /** The running incarnation. */
  get current(): Incarnation {
    const current = this.incarnations.at(-1);
    if (current === undefined) throw new HoldfastError("INTERNAL", "the receiver is not open");
    return current;
  }

  /** Records on disk. */
  get storedCount(): number {
    return this.#running.snapshot().log.nextOffset;
  }

  /** From now on nothing becomes durable, until it is let go. */
  holdDisk(): Hold {
    return this.disk.hold({ kind: "write", path: LOG_DIRECTORY });
  }

  /** Fails the running incarnation; resolves when the next one is open. */
  async restart(): Promise<void> {
    this.failNow();
    await this.reopened();
  }

  /** Fails the running incarnation, and waits for nothing. */
  failNow(): void {
    this.current.context.fail(new Error(RESTART));
  }

  /** Resolves when an incarnation runs that has not failed. */
  async reopened(): Promise<void> {
    await this.until("the receiver is open again", () => {
      const { status } = this.#unit;
      return status === "running" && !this.current.context.signal.aborted;
    });
  }

  /** How often it was restarted in this process. */
  get restartCount(): number {
    return this.#unit.restarts;
  }

  /** The power goes, and the process with it; of what was not synced nothing is left. Starts anew. */
  async crash(): Promise<void> {
    const ended = this.#ingest;
    this.disk.powerOff();
    this.#ingest = undefined;
    // What it says about a disk without power is nobody's business.
    await ended?.stop({ timeoutMs: 1 }).catch(() => undefined);
    this.disk.crash({ keep: "none" });
    await this.start();
  }

  /** Ends in order. May be called twice. */
  async stop(): Promise<void> {
    const ended = this.#ingest;
    this.#ingest = undefined;
    const report = await this.within("stop", ended?.stop() ?? Promise.resolve(undefined));
    const late = report?.notStopped ?? [];
    if (late.length > 0) throw new HoldfastError("INTERNAL", `not stopped: ${late.join(", ")}`);
  }

  /** Stops, and reads every record of the log, in order. */
  async records(): Promise<readonly string[]> {
    await this.stop();
    const reader = await openLogReader({
      files: this.disk,
      clock: realClock,
      directory: LOG_DIRECTORY,
    });
    const texts: string[] = [];
    for await (const item of reader.read(0, new AbortController().signal)) {
      if (item.kind !== "records")
        throw new HoldfastError("LOG_DAMAGED", `records ${item.from} to ${item.to} are lost`);
      for (let i = 0; i < item.block.count; i++)
        texts.push(Buffer.from(copyOf(item.block, i)).toString("latin1"));
    }
    await reader.close();
    return texts;
  }

  /** Asks again and again. */
  async until(what: string, ask: () => boolean | Promise<boolean>): Promise<void> {
    const endMs = realClock.monotonicMs() + this.#waitMs;
    while (!(await ask())) {
      if (realClock.monotonicMs() > endMs) throw this.#late(what);
      await realClock.sleep(1, new AbortController().signal);
    }
  }

  /** Resolves as `promise` does, or rejects with what was awaited. */
  async within<T>(what: string, promise: Promise<T>): Promise<T> {
    const over = new AbortController();
    const late = realClock.sleep(this.#waitMs, over.signal).then(
      () => {
        throw this.#late(what);
      },
      // Ended because it was in time.
      () => new Promise<never>(() => undefined),
    );
    try {
      return await Promise.race([promise, late]);
    } finally {
      over.abort();
    }
  }

  /** With the last failure that the trial did not make itself: most often that is why. */
  #late(what: string): HoldfastError {
    const failures = this.events.flatMap((event) =>
      event.kind === "unit-failed" && event.error.message !== RESTART ? [event.error] : [],
    );
    const last = failures.at(-1);
    const why =
      last === undefined
        ? ""
        : `; it failed ${failures.length} times, at last with ${codeOf(last)}: ${last.message}`;
    return new HoldfastError("INTERNAL", `${what}: not within ${this.#waitMs} ms${why}`);
  }

  /** Lets what is under way happen: a question to which the answer has to be "nothing". */
  async quiet(): Promise<void> {
    for (let turn = 0; turn < 50; turn++) await realClock.yield();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ingest?.stop({ timeoutMs: 1 }).catch(() => undefined);
  }

  get #running(): Ingest {
    if (this.#ingest === undefined) throw new HoldfastError("INTERNAL", "the trial is stopped");
    return this.#ingest;
  }

  get #watchedReceiver(): Receiver {
    if (this.#receiver === undefined) throw new HoldfastError("INTERNAL", "the trial is stopped");
    return this.#receiver;
  }

  get #unit(): { readonly status: string; readonly restarts: number } {
    const path = `receivers/${this.#watchedReceiver.name}`;
    const unit = this.#running.snapshot().units.find((each) => each.unit === path);
    if (unit === undefined) throw new HoldfastError("INTERNAL", `there is no unit ${path}`);
    return unit;
  }

  #watched(receiver: Receiver): Receiver {
    return {
      ...receiver,
      open: async (context) => {
        const session = await receiver.open(context);
        this.incarnations.push({ context, session });
        return session;
      },
    };
  }

  #host(): Host {
    const { local: _, ...host } = realHost();
    return {
      ...host,
      files: this.disk,
      process: {
        ...host.process,
        // The directory is nobody else's.
        lockFile: async () => ({ release: async () => undefined }),
        machineId: async () => "trial",
        onSignals: () => () => undefined,
      },
    };
  }
}

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};
