/**
 * Between a receiver and the log: one per receiver, over all its incarnations. It gives each incarnation its
 * context, refuses what comes from an older one, counts what is in flight, and pauses and resumes.
 */
import type { DeadLetterStore } from "./contract/dead-letters.ts";
import type { Emit } from "./contract/events.ts";
import type { Log } from "./contract/log.ts";
import type { Logger } from "./contract/logger.ts";
import type { Receiver, ReceiverContext, ReceiverSession } from "./contract/receiver.ts";
import type { RecordBlock, Stored } from "./contract/record.ts";
import { valueStart } from "./contract/record.ts";
import type { UnitContext, UnitDefinition, UnitSession } from "./contract/unit.ts";
import { codeOf, HoldfastError, toError } from "./errors.ts";
import type { Cancel } from "./host/clock.ts";
import type { Host } from "./host/host.ts";
import { buildBlock } from "./record/block-builder.ts";

/** What an intake works with. */
export interface IntakeParts {
  readonly receiver: Receiver;
  readonly log: Log;
  readonly deadLetters: DeadLetterStore;
  readonly host: Host;
  readonly logger: Logger;
  readonly emit: Emit;
  /** A block was on disk this long after it was handed to the log. */
  readonly appended: (seconds: number) => void;
}

/** Counters for metrics, since the process started. */
export interface IntakeStatus {
  readonly records: number;
  readonly bytes: number;
  readonly dropped: number;
  readonly connections: number;
  readonly inflightBytes: number;
  readonly isPaused: boolean;
}

type PauseReason = "log" | "inflight" | "rate";

/** Events tell of a pause only when it lasts: at full speed a receiver pauses at every commit. */
const PAUSE_TOLD_MS = 1_000;

/** One receiver's way into the log. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #pauses = new Set<PauseReason>();
  readonly #rate: RateLimit | undefined;
  #session: ReceiverSession | undefined;
  #records = 0;
  #bytes = 0;
  #dropped = 0;
  #connections = 0;
  #inflightBytes = 0;
  #pauseTimer: Cancel | undefined;
  #isPauseTold = false;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    const { ingestRateMax } = parts.receiver.common;
    if (ingestRateMax !== undefined) {
      this.#rate = new RateLimit(ingestRateMax, parts.host.clock, (isOver) =>
        isOver ? this.pause("rate") : this.resume("rate"),
      );
    }
  }

  status(): IntakeStatus {
    return {
      records: this.#records,
      bytes: this.#bytes,
      dropped: this.#dropped,
      connections: this.#connections,
      inflightBytes: this.#inflightBytes,
      isPaused: this.#pauses.size > 0,
    };
  }

  /** Where the running incarnation listens. */
  get address(): ReceiverSession["address"] {
    return this.#session?.address;
  }

  /** The unit that the supervisor opens for each incarnation. */
  definition(): UnitDefinition {
    const { receiver, log } = this.#parts;
    const { supervision } = receiver.common;
    return {
      name: receiver.name,
      ...(supervision === undefined ? {} : { strategy: supervision }),
      open: (unit) => this.#open(unit),
      // From here on the old incarnation's blocks are refused; the next one opens when the accepted ones are settled.
      fence: (nextEpoch) => log.fence(receiver.name, nextEpoch),
    };
  }

  pause(reason: PauseReason): void {
    this.#pauses.add(reason);
    if (this.#pauses.size > 1) return;
    this.#session?.pause?.();
    const { host, emit, receiver } = this.#parts;
    this.#pauseTimer = host.clock.after(PAUSE_TOLD_MS, () => {
      this.#isPauseTold = true;
      emit("receiver-paused", { receiver: receiver.name, reason: [...this.#pauses].join(", ") });
    });
  }

  resume(reason: PauseReason): void {
    if (!this.#pauses.delete(reason) || this.#pauses.size > 0) return;
    this.#pauseTimer?.();
    this.#session?.resume?.();
    if (!this.#isPauseTold) return;
    this.#isPauseTold = false;
    this.#parts.emit("receiver-resumed", { receiver: this.#parts.receiver.name });
  }

  /** Ends the timers; the units are stopped already. */
  close(): void {
    this.#pauseTimer?.();
    this.#rate?.close();
  }

  async #open(unit: UnitContext): Promise<UnitSession<never>> {
    const { receiver, emit } = this.#parts;
    const session = await receiver.open(this.#context(unit));
    this.#session = session;
    if (this.#pauses.size > 0) session.pause?.();
    const { address } = session;
    emit("receiver-started", {
      receiver: receiver.name,
      epoch: unit.epoch,
      address: address === undefined ? undefined : `${address.host}:${address.port}`,
    });
    return {
      ...(session.run === undefined ? {} : { run: () => session.run?.() ?? Promise.resolve() }),
      close: async (signal) => {
        this.#connections = 0;
        if (this.#session === session) this.#session = undefined;
        await session.close(signal);
        emit("receiver-stopped", { receiver: receiver.name, epoch: unit.epoch });
      },
    };
  }

  #context(unit: UnitContext): ReceiverContext<unknown> {
    const { receiver, host, logger, log } = this.#parts;
    const isFull = (): boolean => this.#pauses.size > 0;
    const storeBlock = (block: RecordBlock): Promise<Stored> => this.#store(block, unit);
    return {
      name: receiver.name,
      epoch: unit.epoch,
      options: receiver.options,
      signal: unit.signal,
      clock: host.clock,
      random: host.random,
      logger: logger.child({ receiver: receiver.name, epoch: unit.epoch }),
      sockets: host.sockets,
      http: host.http,
      connect: (endpoint) => host.sockets.connect(endpoint, unit.signal),
      store: async (records, at) => await storeBlock(buildBlock(records, at)),
      storeBlock,
      setAside: (bytes, cause) => this.#setAside(bytes, cause),
      get pressure() {
        return isFull() ? "full" : "ok";
      },
      resumePosition: (channel) => log.position(receiver.name, channel),
      guard: (callback) => guarded(callback, (cause) => unit.fail(cause)),
      alive: () => unit.alive(),
      fail: (cause) => unit.fail(cause),
      dropped: (recordCount) => {
        this.#dropped += recordCount;
      },
      connections: (count) => {
        this.#connections = count;
      },
    };
  }

  #store(block: RecordBlock, unit: UnitContext): Promise<Stored> {
    const { receiver, log, host, appended } = this.#parts;
    const { inflightBytesMax } = receiver.common;
    const bytes = (block.valueEnds[block.count - 1] ?? 0) - valueStart(block, 0);
    // A block alone is let through whatever its size: the log judges that.
    if (this.#inflightBytes > 0 && this.#inflightBytes + bytes > inflightBytesMax) {
      this.pause("inflight");
      return Promise.reject(
        new HoldfastError(
          "BUSY",
          `${receiver.name}: ${this.#inflightBytes} bytes are in flight, ${bytes} more pass the limit of ${inflightBytesMax}`,
          { fix: "store again when earlier stores have resolved" },
        ),
      );
    }
    this.#inflightBytes += bytes;
    this.#rate?.spend(block.count);
    const startMs = host.clock.monotonicMs();
    return log.append(block, { receiver: receiver.name, epoch: unit.epoch }).then(
      (stored) => {
        this.#settle(bytes);
        this.#records += stored.recordCount;
        this.#bytes += bytes;
        appended((host.clock.monotonicMs() - startMs) / 1000);
        unit.alive();
        return stored;
      },
      (cause: unknown) => {
        this.#settle(bytes);
        throw cause;
      },
    );
  }

  #settle(bytes: number): void {
    this.#inflightBytes -= bytes;
    if (
      this.#pauses.has("inflight") &&
      this.#inflightBytes * 2 <= this.#parts.receiver.common.inflightBytesMax
    )
      this.resume("inflight");
  }

  async #setAside(bytes: Uint8Array, cause: Error): Promise<void> {
    const { receiver, deadLetters, emit } = this.#parts;
    const { name } = receiver;
    await deadLetters.add([
      {
        key: "",
        unit: name,
        stage: "framing",
        code: codeOf(cause),
        message: cause.message,
        receiver: name,
        offset: undefined,
        bytes: new Uint8Array(bytes),
      },
    ]);
    emit("dead-letter", { pipeline: name, stage: "framing", error: cause, offset: -1 });
  }
}

function guarded<A extends readonly unknown[]>(
  callback: (...args: A) => void | Promise<void>,
  fail: (cause: unknown) => void,
): (...args: A) => void {
  return (...args) => {
    try {
      const pending = callback(...args);
      if (pending instanceof Promise) pending.catch((cause: unknown) => fail(toError(cause)));
    } catch (cause) {
      fail(toError(cause));
    }
  };
}

/** A plain token bucket of one second: over it, the receiver is paused until the debt is paid. */
class RateLimit {
  readonly #perSecond: number;
  readonly #clock: Host["clock"];
  readonly #over: (isOver: boolean) => void;
  #tokens: number;
  #filledMs: number;
  #timer: Cancel | undefined;

  constructor(perSecond: number, clock: Host["clock"], over: (isOver: boolean) => void) {
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#over = over;
    this.#tokens = perSecond;
    this.#filledMs = clock.monotonicMs();
  }

  spend(recordCount: number): void {
    const nowMs = this.#clock.monotonicMs();
    const refilled = this.#tokens + ((nowMs - this.#filledMs) / 1000) * this.#perSecond;
    this.#filledMs = nowMs;
    this.#tokens = Math.min(this.#perSecond, refilled) - recordCount;
    if (this.#tokens >= 0 || this.#timer !== undefined) return;
    this.#over(true);
    this.#timer = this.#clock.after((-this.#tokens / this.#perSecond) * 1000, () => {
      this.#timer = undefined;
      this.#over(false);
    });
  }

  close(): void {
    this.#timer?.();
  }
}
