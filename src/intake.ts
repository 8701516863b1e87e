/**
 * Between a receiver and the log: one per receiver, over all its incarnations. It gives each incarnation its
 * context, refuses what comes from an older one, counts what is in flight, and pauses and resumes.
 *
 * When an incarnation fails, what it had accepted settles before the next one opens. What it had read and not yet
 * handed over is dropped where the upstream sends it again; where it does not, the incarnation is fenced only after
 * it has closed, so that it can store that first, within its deadline for closing.
 */
import type { DeadLetterStore } from "./contract/dead-letters.ts";
import type { Emit } from "./contract/events.ts";
import type { Log } from "./contract/log.ts";
import type { Logger } from "./contract/logger.ts";
import type { Receiver, ReceiverContext, StoreAt } from "./contract/receiver.ts";
import type { RecordBlock, Stored } from "./contract/record.ts";
import { valueStart } from "./contract/record.ts";
import type { UnitContext, UnitDefinition, UnitSession } from "./contract/unit.ts";
import { HoldfastError, toError } from "./errors.ts";
import type { Cancel } from "./host/clock.ts";
import type { Host } from "./host/host.ts";
import { KeyedStores } from "./keyed-stores.ts";
import { Losses } from "./losses.ts";
import { Dialer } from "./pool/dialer.ts";
import { RateLimit } from "./rate-limit.ts";
import { ReceiverLife } from "./receiver-life.ts";
import { buildBlock, positionBlock } from "./record/block-builder.ts";

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
  /** By reason. */
  readonly dropped: ReadonlyMap<string, number>;
  readonly connections: number;
  readonly inflightBytes: number;
  readonly isPaused: boolean;
}

type PauseReason = "log" | "inflight" | "rate";

/** Share of `inflightBytesMax` at which a receiver is paused; at half it is resumed. */
const PAUSE_SHARE = 3 / 4;

/** Events tell of a pause only when it lasts: at full speed a receiver pauses at every commit. */
const PAUSE_TOLD_MS = 1_000;

/** One receiver's way into the log. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #pauses = new Set<PauseReason>();
  readonly #rate: RateLimit | undefined;
  readonly #losses: Losses;
  readonly #keyed: KeyedStores;
  /** Over all incarnations: a restart does not forget that an endpoint is down. */
  readonly #dialer: Dialer;
  /** The newest incarnation and older ones that still close, in the order of their epochs. */
  readonly #lives = new Set<ReceiverLife>();
  #newest: ReceiverLife | undefined;
  #records = 0;
  #bytes = 0;
  #inflightBytes = 0;
  #pauseTimer: Cancel | undefined;
  #isPauseTold = false;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    const { deadLetters, emit, host } = parts;
    this.#losses = new Losses({ receiver: parts.receiver.name, deadLetters, emit });
    this.#dialer = new Dialer(host);
    this.#keyed = new KeyedStores(parts.receiver.name, parts.log);
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
      dropped: this.#losses.dropped,
      connections: [...this.#lives].reduce((sum, { connectionCount }) => sum + connectionCount, 0),
      inflightBytes: this.#inflightBytes,
      isPaused: this.#pauses.size > 0,
    };
  }

  /** Where the running incarnation listens. */
  get address(): ReceiverLife["address"] {
    return this.#newest?.address;
  }

  /** The unit that the supervisor opens for each incarnation. */
  definition(): UnitDefinition {
    const { receiver } = this.#parts;
    const { supervision } = receiver.common;
    const { aliveWithinMs } = receiver;
    return {
      name: receiver.name,
      ...(aliveWithinMs === undefined ? {} : { aliveWithinMs }),
      ...(supervision === undefined ? {} : { strategy: supervision }),
      open: (unit) => this.#open(unit),
      fence: (nextEpoch) => this.#fence(nextEpoch),
    };
  }

  pause(reason: PauseReason): void {
    if (this.#pauses.has(reason)) return;
    this.#pauses.add(reason);
    if (this.#pauses.size > 1) return;
    for (const life of this.#lives) life.pause();
    const { host, emit, receiver } = this.#parts;
    this.#pauseTimer = host.clock.after(PAUSE_TOLD_MS, () => {
      this.#isPauseTold = true;
      emit("receiver-paused", { receiver: receiver.name, reason: [...this.#pauses].join(", ") });
    });
  }

  resume(reason: PauseReason): void {
    if (!this.#pauses.delete(reason) || this.#pauses.size > 0) return;
    this.#pauseTimer?.();
    this.#resumeAll();
    if (!this.#isPauseTold) return;
    this.#isPauseTold = false;
    this.#parts.emit("receiver-resumed", { receiver: this.#parts.receiver.name });
  }

  /** Ends the timers; the units are stopped already. */
  close(): void {
    this.#pauseTimer?.();
    this.#rate?.close();
    this.#dialer.close();
  }

  /** Those that close hold what came first. */
  #resumeAll(): void {
    for (const life of this.#lives) {
      // What one of them held may be too much again.
      if (this.#pauses.size > 0) return;
      life.resume();
    }
  }

  /**
   * The incarnation before `nextEpoch` is over: at once, its blocks are refused from here on. Where nobody sends again
   * what it has read it may store that first, until it has closed. Resolves when the accepted blocks are settled.
   */
  async #fence(nextEpoch: number): Promise<void> {
    const { receiver, log } = this.#parts;
    const life = this.#newest;
    if (life !== undefined) {
      if (!life.isOpen) life.abandon();
      else if (!receiver.redelivers) await life.over;
      life.fencedBy = nextEpoch;
    }
    await log.fence(receiver.name, nextEpoch);
  }

  async #open(unit: UnitContext): Promise<UnitSession<never>> {
    const { receiver, emit } = this.#parts;
    const life = new ReceiverLife(unit);
    this.#newest = life;
    this.#lives.add(life);
    void life.over.then(() => this.#lives.delete(life));
    const session = await receiver.open(this.#context(life));
    life.begin(session);
    if (this.#pauses.size > 0) life.pause();
    const { address } = life;
    // It may have opened too late: then it is only to be closed.
    if (!unit.signal.aborted)
      emit("receiver-started", {
        receiver: receiver.name,
        epoch: unit.epoch,
        address: address === undefined ? undefined : `${address.host}:${address.port}`,
      });
    return {
      ...(session.run === undefined ? {} : { run: () => session.run?.() ?? Promise.resolve() }),
      close: async (signal) => {
        await life.close(signal);
        emit("receiver-stopped", { receiver: receiver.name, epoch: unit.epoch });
      },
    };
  }

  #context(life: ReceiverLife): ReceiverContext<unknown> {
    const { receiver, host, logger, log } = this.#parts;
    const { unit } = life;
    const losses = this.#losses;
    const isFull = (): boolean => this.#pauses.size > 0;
    const storeBlock = (block: RecordBlock): Promise<Stored> => this.#store(block, life);
    const fail = (cause: unknown, bytes?: Uint8Array): void => this.#failed(unit, cause, bytes);
    return {
      name: receiver.name,
      epoch: unit.epoch,
      options: receiver.options,
      signal: unit.signal,
      clock: host.clock,
      random: host.random,
      logger: logger.child({ receiver: receiver.name, epoch: unit.epoch }),
      files: host.files,
      sockets: host.sockets,
      http: host.http,
      connect: (options) =>
        this.#dialer.dial(`${options.host}:${options.port}`, unit.signal, () =>
          host.sockets.connect(options, unit.signal),
        ),
      dial: (address, connect) => this.#dialer.dial(address, unit.signal, connect),
      store: async (records, at) => await this.#storeAt(buildBlock(records, at), at, storeBlock),
      storeBlock,
      storePosition: async (channel, position) =>
        void (await storeBlock(positionBlock(channel, position))),
      setAside: (bytes, cause) => losses.setAside(bytes, cause),
      giveUp: (block, cause) => losses.giveUp(block, cause),
      get pressure() {
        return isFull() ? "full" : "ok";
      },
      resumePosition: (channel) => log.position(receiver.name, channel),
      guard: (callback) => guarded(callback, fail),
      alive: () => this.#alive(unit),
      fail,
      dropped: (recordCount, reason) => losses.drop(recordCount, reason),
      connections: (count) => {
        life.connectionCount = count;
      },
    };
  }

  /** The bytes that it failed on are kept when it goes on behind them, and when nobody sends them again. */
  #failed(unit: UnitContext, cause: unknown, bytes: Uint8Array | undefined): void {
    // A copy: whoever hears of the end of the incarnation may free what they are a part of.
    const offending = copyOfBytes(bytes);
    unit.fail(cause);
    const isSentAgain = unit.signal.aborted && this.#parts.receiver.redelivers;
    if (offending !== undefined && !isSentAgain)
      this.#losses.setAsideOffending(offending, toError(cause));
  }

  #storeAt(
    block: RecordBlock,
    at: StoreAt | undefined,
    storeBlock: (block: RecordBlock) => Promise<Stored>,
  ): Promise<Stored> {
    const key = at?.idempotencyKey;
    return key === undefined ? storeBlock(block) : this.#keyed.store(key, block, storeBlock);
  }

  #store(block: RecordBlock, { unit, fencedBy }: ReceiverLife): Promise<Stored> {
    const { receiver, log, host, appended } = this.#parts;
    if (fencedBy !== undefined)
      return Promise.reject(
        new HoldfastError(
          "STORE_FENCED",
          `${receiver.name}: store() of epoch ${unit.epoch}, fenced by epoch ${fencedBy}`,
          { fix: "stop using the context when its signal aborts" },
        ),
      );
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
    // Before anything has to be refused: who pauses when told hears BUSY only for what was read already.
    if (this.#inflightBytes >= inflightBytesMax * PAUSE_SHARE) this.pause("inflight");
    this.#rate?.spend(block.count);
    const startMs = host.clock.monotonicMs();
    return log.append(block, { receiver: receiver.name, epoch: unit.epoch }).then(
      (stored) => {
        this.#settle(bytes);
        this.#records += stored.recordCount;
        this.#bytes += bytes;
        appended((host.clock.monotonicMs() - startMs) / 1000);
        this.#alive(unit);
        return stored;
      },
      (cause: unknown) => {
        this.#settle(bytes);
        throw cause;
      },
    );
  }

  /** Progress; what the receiver is connected to works. */
  #alive(unit: UnitContext): void {
    unit.alive();
    this.#dialer.proved();
  }

  #settle(bytes: number): void {
    this.#inflightBytes -= bytes;
    if (
      this.#pauses.has("inflight") &&
      this.#inflightBytes * 2 <= this.#parts.receiver.common.inflightBytesMax
    )
      this.resume("inflight");
  }
}

/** Bytes are the first argument of a callback that handles bytes: a failure inside is about them. */
function guarded<A extends readonly unknown[]>(
  callback: (...args: A) => void | Promise<void>,
  fail: (cause: unknown, bytes?: Uint8Array) => void,
): (...args: A) => void {
  return (...args) => {
    try {
      const pending = callback(...args);
      if (!(pending instanceof Promise)) return;
      // They are valid during the call only, and the failure may come later.
      const bytes = copyOfBytes(args[0]);
      pending.catch((cause: unknown) => fail(toError(cause), bytes));
    } catch (cause) {
      fail(toError(cause), copyOfBytes(args[0]));
    }
  };
}

function copyOfBytes(value: unknown): Uint8Array | undefined {
  return value instanceof Uint8Array ? new Uint8Array(value) : undefined;
}
