/**
 * One incarnation of a receiver with a log that a test commits by hand.
 */
import type { Receiver, ReceiverContext, ReceiverSession } from "../../src/contract/receiver.ts";
import { type RecordBlock, type Stored, valueOf, valueStart } from "../../src/contract/record.ts";
import { codeOf, HoldfastError, toError } from "../../src/errors.ts";
import { realClock } from "../../src/host/clock.ts";
import type { Files } from "../../src/host/files.ts";
import type { HttpServers } from "../../src/host/http.ts";
import { realFiles } from "../../src/host/real-files.ts";
import type { Sockets } from "../../src/host/sockets.ts";
import { buildBlock, positionBlock } from "../../src/record/block-builder.ts";
import { silentLogger } from "./logger.ts";
import { createSeededRandom } from "../../src/testing/seeded-random.ts";
import { VirtualClock } from "./virtual-clock.ts";

interface Waiting {
  readonly texts: readonly string[];
  readonly channel: string;
  readonly position: Uint8Array | undefined;
  readonly bytes: number;
  readonly resolve: (stored: Stored) => void;
  readonly reject: (cause: Error) => void;
}

/** What a test needs to play engine and log. */
export interface HarnessParts {
  readonly files?: Files;
  readonly sockets?: Sockets;
  readonly http?: HttpServers;
  /** Bytes in flight at most; beyond it BUSY, and the receiver is paused. */
  readonly inflightBytesMax?: number;
}

const absent = (): never => {
  throw new Error("this test brought no such part of the host");
};
const NO_SOCKETS: Sockets = {
  listen: absent,
  connect: absent,
  listenStreams: absent,
  connectStream: absent,
};

/** Opens a receiver and keeps what it did. */
export class ReceiverHarness {
  readonly clock: VirtualClock = new VirtualClock();
  /** Values on disk, as text, in log order. */
  readonly durable: string[] = [];
  readonly setAside: { readonly text: string; readonly code: string }[] = [];
  /** Values that were given up: their text, and why. */
  readonly givenUp: { readonly text: string; readonly code: string }[] = [];
  /** What came with a failure, as text. */
  readonly offending: string[] = [];
  /** Thrown by every `setAside` from now on. */
  refuseLetters: Error | undefined;
  /** Durable positions of channels. */
  readonly positions: Map<string, Uint8Array> = new Map();
  readonly idempotencyKeys: string[] = [];
  readonly failures: Error[] = [];
  readonly warnings: string[] = [];
  /** Codes in the fields of log lines of any level. */
  readonly codes: unknown[] = [];
  readonly abort: AbortController = new AbortController();
  connectionCount = 0;
  aliveCount = 0;
  busyCount = 0;
  droppedCount = 0;
  readonly dropReasons: Set<string> = new Set();
  /** Thrown by every `storeBlock` from now on, as a rejection. */
  refuseWith: Error | undefined;
  readonly #parts: HarnessParts;
  #waiting: Waiting[] = [];
  readonly #pauses = new Set<"by hand" | "in flight">();
  #session: ReceiverSession | undefined;

  constructor(parts: HarnessParts) {
    this.#parts = parts;
  }

  get session(): ReceiverSession {
    if (this.#session === undefined) throw new Error("the receiver is not open");
    return this.#session;
  }

  get port(): number {
    return this.session.address?.port ?? 0;
  }

  async open(receiver: Receiver): Promise<ReceiverSession> {
    this.#session = await receiver.open(this.#context(receiver));
    return this.#session;
  }

  /** Blocks that were handed over and are not on disk. */
  get inflightBlocks(): readonly (readonly string[])[] {
    return this.#waiting.map(({ texts }) => texts);
  }

  /** A group commit of everything in flight, or of the oldest blocks; returns when its effects are done. */
  async commit(blockCount: number = this.#waiting.length): Promise<void> {
    for (const { texts, channel, position, resolve } of this.#waiting.splice(0, blockCount)) {
      if (position !== undefined) this.positions.set(channel, position);
      resolve({ firstOffset: this.durable.length, recordCount: texts.length });
      this.durable.push(...texts);
    }
    await settle();
    this.#resumeIfRoom();
    await settle();
  }

  /** The oldest block fails. */
  async failOldest(cause: Error): Promise<void> {
    this.#waiting.shift()?.reject(cause);
    await settle();
  }

  pause(why: "by hand" | "in flight" = "by hand"): void {
    this.#pauses.add(why);
    if (this.#pauses.size === 1) this.session.pause?.();
  }

  resume(why: "by hand" | "in flight" = "by hand"): void {
    if (this.#pauses.delete(why) && this.#pauses.size === 0) this.session.resume?.();
  }

  #resumeIfRoom(): void {
    const { inflightBytesMax = Infinity } = this.#parts;
    if (this.#inflightBytes() * 2 <= inflightBytesMax) this.resume("in flight");
  }

  #inflightBytes(): number {
    return this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #store(block: RecordBlock): Promise<Stored> {
    if (this.refuseWith !== undefined) return Promise.reject(this.refuseWith);
    const texts = textsOf(block);
    const bytes = (block.valueEnds[block.count - 1] ?? 0) - valueStart(block, 0);
    const inflight = this.#inflightBytes();
    const { inflightBytesMax = Infinity } = this.#parts;
    if (inflight > 0 && inflight + bytes > inflightBytesMax) {
      this.busyCount++;
      this.pause("in flight");
      return Promise.reject(
        new HoldfastError("BUSY", `${inflight} bytes are in flight, limit ${inflightBytesMax}`),
      );
    }
    const { channel } = block;
    const position = block.position && new Uint8Array(block.position);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ texts, channel, position, bytes, resolve, reject });
    });
  }

  #context(receiver: Receiver): ReceiverContext<unknown> {
    const isFull = (): boolean => this.#pauses.size > 0;
    const fail = (cause: unknown, bytes?: Uint8Array): void => {
      this.failures.push(toError(cause));
      if (bytes !== undefined) this.offending.push(Buffer.from(bytes).toString("latin1"));
    };
    return {
      name: receiver.name,
      epoch: 1,
      options: receiver.options,
      signal: this.abort.signal,
      clock: this.clock,
      random: createSeededRandom(7),
      logger: {
        ...silentLogger,
        debug: (_message, fields) => this.#noteCode(fields),
        warn: (message, fields) => {
          this.warnings.push(message);
          this.#noteCode(fields);
        },
      },
      files: this.#parts.files ?? realFiles,
      sockets: this.#parts.sockets ?? NO_SOCKETS,
      http: this.#parts.http ?? { listen: absent },
      connect: absent,
      dial: (_address, connect) => connect(),
      store: async (records, at) => {
        const block = buildBlock(records, at);
        if (at?.idempotencyKey !== undefined) this.idempotencyKeys.push(at.idempotencyKey);
        return await this.#store(block);
      },
      storeBlock: (block) => this.#store(block),
      storePosition: async (channel, position) =>
        void (await this.#store(positionBlock(channel, position))),
      setAside: async (bytes, cause) => {
        if (this.refuseLetters !== undefined) throw this.refuseLetters;
        this.setAside.push({
          text: Buffer.from(bytes).toString("latin1"),
          code: "code" in cause ? String(cause.code) : cause.message,
        });
      },
      giveUp: (block, cause) => {
        for (const text of textsOf(block)) this.givenUp.push({ text, code: codeOf(cause) });
      },
      get pressure() {
        return isFull() ? "full" : "ok";
      },
      resumePosition: (channel) => this.positions.get(channel),
      guard:
        (callback) =>
        (...args) => {
          try {
            const pending = callback(...args);
            if (pending instanceof Promise) pending.catch(fail);
          } catch (cause) {
            fail(cause);
          }
        },
      alive: () => void this.aliveCount++,
      fail,
      dropped: (recordCount, reason) => {
        this.droppedCount += recordCount;
        this.dropReasons.add(reason);
      },
      connections: (count) => {
        this.connectionCount = count;
      },
    };
  }

  #noteCode(fields: object | undefined): void {
    if (fields !== undefined && "code" in fields) this.codes.push(fields.code);
  }
}

function textsOf(block: RecordBlock): readonly string[] {
  return Array.from({ length: block.count }, (_, i) =>
    Buffer.from(valueOf(block, i)).toString("latin1"),
  );
}

/** Lets every promise that is resolved by now have its effects. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await realClock.yield();
}
