/**
 * One websocket, whoever dialled: messages to blocks, blocks to the log, counts back.
 *
 * What it promises: messages are stored in the order in which they came; the count never runs ahead of what is on
 * disk, and never over a message that was refused; who says goodbye with a Close frame still gets the last count before
 * the answer. Without counts, what was read and cannot be stored is set aside, or counted as dropped.
 */
import type { WebSocket } from "ws";
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import type { RecordBlock } from "../../src/contract/record.ts";
import { codeOf, HoldfastError } from "../../src/errors.ts";
import type { Cancel } from "../../src/host/clock.ts";
import type { PeerStream } from "../../src/host/sockets.ts";
import type { ConnectionGroup, GroupedConnection } from "../../src/record/connection-group.ts";
import { StoreQueue, type StoreQueueOwner } from "../../src/record/store-queue.ts";
import type { UnfinishedBytes, UnfinishedHolder } from "../../src/record/unfinished-bytes.ts";
import { countUnfinished } from "../../src/record/unfinished-frames.ts";
import type { BlockTaker, Gather } from "./gather.ts";
import { redelivers, type StreamOptions } from "./options.ts";

/** Counts and pongs that the other side does not read pile up to here, then its connection ends. */
const UNSENT_BYTES_MAX: number = 64 * 1024;
/**
 * What a connection may have read and not handed over. A pause comes into effect behind the chunk that is being read, and
 * a compressed chunk may be a thousand times longer than it was on the wire.
 */
const HELD_BYTES_MAX: number = 4 * 1024 * 1024;
/** How long the other side may take to answer our Close. */
const LINGER_MS = 2_000;
/** The same when we stop: nobody may hold that up. */
const STOP_LINGER_MS = 250;
/** ws's own limit for the same, behind ours. Its declarations do not know the option. */
export const CLOSE_LIMIT: object = { closeTimeout: 2 * LINGER_MS };
/** ws's names for: the message is too long. */
const TOO_LONG = new Set([
  "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
  "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH",
]);

/** Reasons of a Close that are ours to give (RFC 6455 and its registry). */
export const CLOSE = {
  normal: 1000,
  goingAway: 1001,
  tooBig: 1009,
  internal: 1011,
  tryAgainLater: 1013,
} as const;
/** What ws says where there was no Close frame, or one without a code. */
const NO_CODE = 1005;

/** What a connection needs of the receiver it belongs to. */
export interface ConnectionOwner {
  readonly context: ReceiverContext<StreamOptions>;
  readonly gather: Gather;
  /** All connections of the receiver. */
  readonly group: ConnectionGroup<WebSocketConnection>;
  /** What they keep of messages whose end has not come. */
  readonly unfinished: UnfinishedBytes;
  /** The socket is gone; the connection may have something left to store. */
  disconnected(code: number, reason: string): void;
}

/**
 * `reading` until the other side says goodbye or breaks, is refused, falls silent or we stop; `over` until everything
 * that was read is settled; then `goodbye`.
 */
type Phase = "reading" | "over" | "goodbye";

/** See above. */
export class WebSocketConnection
  implements StoreQueueOwner, BlockTaker, GroupedConnection, UnfinishedHolder
{
  readonly #owner: ConnectionOwner;
  readonly #socket: WebSocket;
  readonly #peer: string;
  readonly #queue: StoreQueue;
  /** The method that sends a Close: ws calls it as soon as one came, and we when everything is counted. */
  readonly #sendClose: (code?: number, reason?: string | Buffer) => void;
  #phase: Phase = "reading";
  #isConnected = true;
  #isSettled = false;
  #closeCode: number = CLOSE.normal;
  #closeReason = "";
  #lingerMs = LINGER_MS;
  #toldCount = 0;
  #heardMs: number;
  #isPinged = false;
  #idleTimer: Cancel | undefined;
  #lingerTimer: Cancel | undefined;

  constructor(owner: ConnectionOwner, socket: WebSocket, { stream, peer }: PeerStream) {
    const { guard, clock, options } = owner.context;
    this.#owner = owner;
    this.#socket = socket;
    this.#peer = peer;
    this.#queue = new StoreQueue(this);
    this.#heardMs = clock.monotonicMs();
    this.#sendClose = socket.close.bind(socket);
    socket.close = guard((code?: number) => this.#closedByProtocol(code));
    socket.on(
      "error",
      guard((cause: Error) => this.#refused(cause)),
    );
    socket.on(
      "message",
      guard((message: Uint8Array) => this.#received(message)),
    );
    // Bytes, not messages: a long message may take its time.
    countUnfinished(
      socket,
      stream,
      guard((byteCount: number) => this.#heard(byteCount)),
    );
    socket.on(
      "close",
      guard((code: number, reason: Buffer) => this.#disconnected(code, reason.toString())),
    );
    if (options.idleTimeoutMs > 0) this.#watchIdle(options.idleTimeoutMs);
    if (owner.group.isPaused) socket.pause();
  }

  get context(): ReceiverContext<StreamOptions> {
    return this.#owner.context;
  }

  get isPaused(): boolean {
    return this.#owner.group.isPaused;
  }

  /** Who gets counts sends again what they do not cover. */
  get redelivers(): boolean {
    return redelivers(this.#owner.context.options);
  }

  pause(): void {
    this.#socket.pause();
  }

  /** There is room again: what was held goes first. */
  resume(): void {
    this.#heardMs = this.context.clock.monotonicMs();
    this.#queue.storeHeld();
    if (this.#phase !== "over" && !this.#queue.isBlocked) this.#socket.resume();
    this.#finishIfDone();
  }

  /** We stop: what was read is settled, and counted, and nothing more is read. May be called twice. */
  stop(): void {
    this.#lingerMs = STOP_LINGER_MS;
    this.#end(CLOSE.goingAway, "the receiver stops");
    // Fenced already: what is held would be refused, and its sender has no count that covers it.
    if (this.redelivers && this.context.signal.aborted) this.#queue.dropHeld();
    this.#finishIfDone();
  }

  /** Ends at once: what is held is lost for this reason. What was handed over is still stored. */
  destroy(cause: Error): void {
    this.#owner.gather.flush();
    this.#queue.abandon(cause);
    this.#socket.terminate();
  }

  /** All connections together keep too much of unfinished messages, and this one most. */
  evict(cause: HoldfastError): void {
    this.#warn(`ends: ${cause.message}`, cause.code);
    if (!this.redelivers) this.context.dropped(1, cause.code);
    this.#end(CLOSE.tryAgainLater, "too much is unfinished");
    this.#finishIfDone();
  }

  /** Tells the count if it has grown. */
  acknowledge(): void {
    this.#tellCount();
    this.#finishIfDone();
  }

  /** Called by the gather. */
  take(block: RecordBlock): void {
    if (this.#queue.heldBytes <= HELD_BYTES_MAX) return this.#queue.take(block);
    const message = `${this.#queue.heldBytes} bytes were read and wait for room, limit ${HELD_BYTES_MAX}`;
    const cause = new HoldfastError("BUSY", message);
    if (!this.redelivers) this.context.giveUp(block, cause);
    if (this.#phase === "reading") this.#warn(`ends: ${message}`, cause.code);
    this.#end(CLOSE.tryAgainLater, "too much is waiting");
  }

  stored(): void {
    this.#owner.group.acknowledgeSoon(this);
  }

  broke(cause: Error): void {
    const code = codeOf(cause);
    this.#end(CLOSE.tryAgainLater, "not stored");
    // A fenced incarnation is about to be closed; anything else is worth a line.
    if (code !== "STORE_FENCED")
      this.#warn(`ends after ${this.#queue.storedCount} messages: ${cause.message}`, code);
    this.#owner.group.acknowledgeSoon(this);
  }

  settledOne(): void {
    this.#finishIfDone();
  }

  lostLetter(byteCount: number, failure: Error): void {
    this.#warn(`${byteCount} bytes could not be set aside: ${failure.message}`, codeOf(failure));
  }

  canResume(): void {
    this.resume();
  }

  #tellCount(): void {
    const { acknowledge } = this.context.options;
    const { storedCount } = this.#queue;
    if (acknowledge === "none" || !this.#isConnected || storedCount === this.#toldCount) return;
    this.#toldCount = storedCount;
    this.#socket.send(
      acknowledge === "count-json" ? `{"stored":${storedCount}}` : countBytes(storedCount),
      { compress: false },
    );
    const unsentBytes = this.#socket.bufferedAmount;
    if (unsentBytes <= UNSENT_BYTES_MAX) return;
    this.#warn(
      `does not read its counts: ${unsentBytes} bytes wait, limit ${UNSENT_BYTES_MAX}`,
      "CONNECTION_FAILED",
    );
    this.#socket.terminate();
  }

  #received(message: Uint8Array): void {
    // Behind the end, frames are only read so that the answer to our Close is found.
    if (this.#phase !== "reading") return;
    this.#owner.gather.add(this, message);
  }

  #heard(unfinishedBytes: number): void {
    this.#heardMs = this.context.clock.monotonicMs();
    if (this.#phase === "reading") this.#owner.unfinished.set(this, unfinishedBytes);
    if (!this.#isPinged) return;
    this.#isPinged = false;
    this.context.alive();
  }

  /** ws calls this when a Close came, and when a frame was wrong; `error` follows then. */
  #closedByProtocol(code: number = NO_CODE): void {
    this.#end(code, "");
    this.#finishIfDone();
  }

  /** A frame that is wrong, a message that is too long. Errors of the socket itself never come here. */
  #refused(cause: Error): void {
    const { dropped, options } = this.context;
    const isTooLong = TOO_LONG.has(codeOf(cause));
    const code = isTooLong ? "MESSAGE_TOO_LONG" : "PROTOCOL_VIOLATION";
    this.#end(CLOSE.tooBig, "");
    if (!this.redelivers) dropped(1, code);
    const why = isTooLong
      ? `a message is longer than the limit of ${options.messageBytesMax} bytes`
      : cause.message;
    this.#warn(`ends after ${this.#queue.storedCount} stored messages: ${why}`, code);
    this.#finishIfDone();
  }

  /** What comes now stays in its socket, until goodbye has been said. */
  #end(code: number, reason: string): void {
    if (this.#phase !== "reading") return;
    // First what was read in this turn: it goes the way of what came before it.
    this.#owner.gather.flush();
    this.#phase = "over";
    this.#owner.unfinished.set(this, 0);
    this.#closeCode = code;
    this.#closeReason = reason;
    this.#socket.pause();
  }

  /** Pings after half of the limit, ends after all of it. */
  #watchIdle(limitMs: number): void {
    const { clock, guard, logger } = this.context;
    const look = guard(() => {
      if (this.#phase !== "reading") return;
      const isWaitingForUs = this.#queue.isBlocked || this.#queue.isPending;
      const idleMs = isWaitingForUs ? 0 : clock.monotonicMs() - this.#heardMs;
      const next = idleMs < limitMs / 2 ? limitMs / 2 : limitMs;
      if (idleMs < limitMs) {
        if (next === limitMs) this.#ping();
        this.#idleTimer = clock.after(next - idleMs, look);
        return;
      }
      logger.debug("connection closed: idle", {
        peer: this.#peer,
        code: "CONNECTION_IDLE",
        idleMs,
        limitMs,
      });
      // Nobody is there to answer a Close.
      this.#lingerMs = STOP_LINGER_MS;
      this.#end(CLOSE.goingAway, "idle");
      this.#finishIfDone();
    });
    this.#idleTimer = clock.after(limitMs / 2, look);
  }

  #ping(): void {
    if (this.#isPinged) return;
    this.#isPinged = true;
    this.#socket.ping();
  }

  /** Goodbye once everything that was read is settled and counted. */
  #finishIfDone(): void {
    if (this.#phase === "reading" || !this.#queue.isEmpty) return;
    if (!this.#isConnected) return this.#settle();
    if (this.#phase === "goodbye") return;
    this.#phase = "goodbye";
    this.#tellCount();
    this.#lingerTimer = this.context.clock.after(this.#lingerMs, () => this.#socket.terminate());
    if (this.#closeCode === NO_CODE) this.#sendClose();
    else this.#sendClose(this.#closeCode, this.#closeReason);
    // The answer to our Close is to be read.
    this.#socket.resume();
  }

  #disconnected(code: number, reason: string): void {
    this.#isConnected = false;
    for (const cancel of [this.#idleTimer, this.#lingerTimer]) cancel?.();
    this.#end(code, "");
    this.#owner.disconnected(code, reason);
    this.#finishIfDone();
  }

  #settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#queue.close();
    this.#owner.group.settled(this);
  }

  #warn(what: string, code: string): void {
    this.#owner.group.warnings.warn(this.#peer, what, code);
  }
}

/** A count as 4 bytes, big-endian. */
function countBytes(count: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(count % 2 ** 32);
  return bytes;
}
