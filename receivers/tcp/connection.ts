/**
 * One accepted connection: bytes to blocks, blocks to the log, counts back.
 *
 * What it promises: messages are stored in the order in which they came; the count never runs ahead of what is on
 * disk, and never over a message that was refused; after FIN the last count is still sent; the count of a session goes on
 * over connections and crashes. Without counts, what was
 * read and cannot be stored is set aside, or counted as dropped: nobody sends it again.
 */
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import { codeOf, HoldfastError, toError } from "../../src/errors.ts";
import type { BlockSplitter, Refusal, Split, Workspace } from "../../src/framing/index.ts";
import type { Cancel } from "../../src/host/clock.ts";
import type { Connection } from "../../src/host/sockets.ts";
import type { ConnectionGroup, GroupedConnection } from "../../src/record/connection-group.ts";
import { StoreQueue, type StoreQueueOwner } from "../../src/record/store-queue.ts";
import type { UnfinishedBytes, UnfinishedHolder } from "../../src/record/unfinished-bytes.ts";
import { redelivers, type TcpOptions } from "./options.ts";
import {
  countPosition,
  OpeningReader,
  positionCount,
  sessionChannel,
  type SessionHolder,
  type Sessions,
} from "./session.ts";

/** Counts that a client does not read pile up to here, then its connection ends. */
const UNSENT_BYTES_MAX = 64 * 1024;
/** How long the peer may go on sending after we said goodbye, so that it reads the last count and no reset. */
const LINGER_MS = 2_000;
/** The same when we stop: a client that keeps its side open must not hold that up. */
const STOP_LINGER_MS = 250;

/** What a connection needs of the receiver it belongs to. */
export interface ConnectionOwner {
  readonly context: ReceiverContext<TcpOptions>;
  readonly workspace: Workspace;
  /** Who has which session. */
  readonly sessions: Sessions;
  /** All connections of the receiver. */
  readonly group: ConnectionGroup<TcpConnection>;
  /** What they keep of messages whose end has not come. */
  readonly unfinished: UnfinishedBytes;
}

/**
 * `reading` until the peer ends, is refused, falls silent or we stop; `over` until everything that was read is
 * settled; then `goodbye`.
 */
type Phase = "reading" | "over" | "goodbye";

/** See above. */
export class TcpConnection
  implements StoreQueueOwner, SessionHolder, GroupedConnection, UnfinishedHolder
{
  readonly #owner: ConnectionOwner;
  readonly #connection: Connection;
  readonly #splitter: BlockSplitter;
  readonly #queue: StoreQueue;
  #phase: Phase = "reading";
  #isConnected = true;
  #isSettled = false;
  #lingerMs = LINGER_MS;
  #toldCount = 0;
  /** While the first bytes may begin a session. */
  #opening: OpeningReader | undefined;
  /** A session is known by its name and has to wait for its last connection: nothing is read. */
  #isOpening = false;
  #channel = "";
  /** Durable messages of the session before this connection. */
  #earlierCount = 0;
  #takenCount = 0;
  #quiet: () => void = () => undefined;
  readonly over: Promise<void>;
  #lastDataMs: number;
  #idleTimer: Cancel | undefined;
  #lingerTimer: Cancel | undefined;

  constructor(owner: ConnectionOwner, connection: Connection) {
    const { context, workspace } = owner;
    const { framing, messageBytesMax, idleTimeoutMs } = context.options;
    this.#owner = owner;
    this.#connection = connection;
    this.#queue = new StoreQueue(this);
    this.#splitter = framing.blockSplitter(workspace, messageBytesMax);
    this.#lastDataMs = context.clock.monotonicMs();
    // Who gets no counts has no use for a session.
    if (this.redelivers) this.#opening = new OpeningReader();
    this.over = new Promise((resolve) => {
      this.#quiet = resolve;
    });
    const { guard } = context;
    connection.onData(
      guard((chunk: Uint8Array, headroomBytes: number) => this.#received(chunk, headroomBytes)),
    );
    connection.onEnd(guard(() => this.#ended()));
    connection.onClose(guard((cause?: Error) => this.#disconnected(cause)));
    if (idleTimeoutMs > 0) this.#watchIdle(idleTimeoutMs);
    if (owner.group.isPaused) connection.pause();
  }

  get context(): ReceiverContext<TcpOptions> {
    return this.#owner.context;
  }

  get isPaused(): boolean {
    return this.#owner.group.isPaused;
  }

  /** A client that gets counts sends again what they do not cover. */
  get redelivers(): boolean {
    return redelivers(this.#owner.context.options);
  }

  pause(): void {
    this.#connection.pause();
  }

  /** There is room again: what was held goes first. */
  resume(): void {
    this.#lastDataMs = this.#owner.context.clock.monotonicMs();
    this.#queue.storeHeld();
    this.#readOn();
    this.#finishIfDone();
  }

  /** We stop: what was read is settled, and counted, and nothing more is read. May be called twice. */
  stop(): void {
    const { signal } = this.#owner.context;
    this.#lingerMs = STOP_LINGER_MS;
    if (this.redelivers) this.#endReading();
    else this.#endInput("the receiver was stopped");
    // Fenced already: what is held would be refused, and its sender has no count that covers it.
    if (this.redelivers && signal.aborted) this.#queue.dropHeld();
    this.#finishIfDone();
  }

  /** The client has connected anew, and sends again what its session's count does not cover. */
  supersede(): void {
    this.#lingerMs = STOP_LINGER_MS;
    this.#endReading();
    this.#queue.dropHeld();
    this.#finishIfDone();
  }

  /** All connections together keep too much of unfinished messages, and this one most. */
  evict(cause: HoldfastError): void {
    this.#warn(`ends: ${cause.message}`, cause.code);
    this.#endInput(cause.message);
    this.#finishIfDone();
  }

  /** Ends at once: what is held is lost for this reason. What was handed over is still stored. */
  destroy(cause: Error): void {
    this.#queue.abandon(cause);
    this.#connection.destroy();
  }

  /** Tells the count if it has grown. */
  acknowledge(): void {
    this.#tellCount();
    this.#finishIfDone();
  }

  stored(): void {
    this.#owner.group.acknowledgeSoon(this);
  }

  broke(cause: Error): void {
    const code = codeOf(cause);
    this.#endReading();
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
    const { acknowledge } = this.#owner.context.options;
    const storedCount = this.#earlierCount + this.#queue.storedCount;
    if (acknowledge === "none" || !this.#isConnected || storedCount === this.#toldCount) return;
    this.#toldCount = storedCount;
    this.#connection.write(
      acknowledge === "count-line" ? `${storedCount}\n` : countBytes(storedCount),
    );
    const { unsentBytes } = this.#connection;
    if (unsentBytes <= UNSENT_BYTES_MAX) return;
    this.#warn(
      `does not read its counts: ${unsentBytes} bytes wait, limit ${UNSENT_BYTES_MAX}`,
      "CONNECTION_FAILED",
    );
    this.#connection.destroy();
  }

  #received(chunk: Uint8Array, headroomBytes: number): void {
    // Behind the goodbye bytes are only read so that the peer is not reset.
    if (this.#phase !== "reading") return;
    this.#lastDataMs = this.#owner.context.clock.monotonicMs();
    if (this.#opening === undefined) this.#split(chunk, headroomBytes);
    else this.#open(this.#opening, chunk, headroomBytes);
  }

  #open(reader: OpeningReader, chunk: Uint8Array, headroomBytes: number): void {
    const opening = reader.push(chunk);
    if (opening.kind === "unknown") return;
    this.#opening = undefined;
    if (opening.kind === "session") return this.#openSession(opening.name, opening.rest);
    if (opening.kind === "refused") return this.#refuseSession(opening.error);
    if (reader.kept.length > 0) this.#split(reader.kept, 0);
    // That may have ended it.
    if (this.#phase === "reading") this.#split(chunk, headroomBytes);
  }

  #openSession(name: string, rest: Uint8Array): void {
    this.#isOpening = true;
    this.#connection.pause();
    const { guard } = this.#owner.context;
    this.#owner.sessions.take(name, this).then(
      guard(() => this.#beginSession(name, rest)),
      this.#owner.context.fail,
    );
  }

  /** What earlier connections of the session had handed over is settled: its count is final. */
  #beginSession(name: string, rest: Uint8Array): void {
    this.#isOpening = false;
    if (this.#phase !== "reading") return;
    this.#channel = sessionChannel(name);
    const position = this.#owner.context.resumePosition(this.#channel);
    this.#earlierCount = position === undefined ? 0 : positionCount(position);
    this.#toldCount = this.#earlierCount;
    this.#takenCount = this.#earlierCount;
    this.#connection.write(position === undefined ? "0 unknown\n" : `${this.#earlierCount}\n`);
    if (rest.length > 0) this.#split(rest, 0);
    this.#readOn();
  }

  #refuseSession(error: HoldfastError): void {
    this.#warn(`ends: ${error.message}`, error.code);
    this.#endReading();
    this.#finishIfDone();
  }

  #readOn(): void {
    if (this.#phase !== "over" && !this.#isOpening && !this.#queue.isBlocked)
      this.#connection.resume();
  }

  #split(chunk: Uint8Array, headroomBytes: number): void {
    try {
      const split = this.#splitter.push(chunk, headroomBytes);
      if (split.count > 0) this.#take(split);
      if (split.refused !== undefined) this.#refuse(split.refused);
    } catch (cause) {
      this.#losePlace(chunk, toError(cause));
    }
    if (this.#phase === "reading") this.#owner.unfinished.set(this, this.#splitter.unfinishedBytes);
  }

  /** A bug, and nobody knows where the next message begins: ends here, whatever becomes of the receiver. */
  #losePlace(chunk: Uint8Array, cause: Error): void {
    this.#endReading();
    this.#warn(`ends: ${cause.message}`, codeOf(cause));
    this.#owner.context.fail(cause, Buffer.concat([this.#splitter.unfinished(), chunk]));
    this.#finishIfDone();
  }

  #take({ count, values, valuesStart, valueEnds, delimiterBytes }: Split): void {
    const block = { count, values, valuesStart, valueEnds, delimiterBytes, channel: this.#channel };
    this.#takenCount += count;
    this.#queue.take(
      this.#channel === "" ? block : { ...block, position: countPosition(this.#takenCount) },
    );
  }

  #refuse({ error, bytes }: Refusal): void {
    this.#endReading();
    this.#warn(`ends: ${error.message}`, error.code);
    this.#queue.setAside(
      bytes,
      new HoldfastError(error.code, `${error.message}, from ${this.#connection.peer}`, {
        fix: error.fix,
      }),
    );
    this.#finishIfDone();
  }

  #ended(): void {
    this.#endInput("its sender ended");
    this.#finishIfDone();
  }

  /** What the peer sends now stays in its socket, until goodbye has been said. */
  #endReading(): void {
    if (this.#phase !== "reading") return;
    this.#phase = "over";
    this.#owner.unfinished.set(this, 0);
    this.#connection.pause();
  }

  /** No more will come: a beginning without an end is set aside. */
  #endInput(why: string): void {
    if (this.#phase !== "reading") return;
    this.#endReading();
    const tail = this.#opening?.kept ?? this.#splitter.unfinished();
    if (tail.length === 0) return;
    const { framing } = this.#owner.context.options;
    const message = `${tail.length} bytes without the end of a message (${framing.type}): ${why}; from ${this.#connection.peer}`;
    this.#queue.setAside(
      tail,
      new HoldfastError("MESSAGE_UNTERMINATED", message, { fix: "end the last message too" }),
    );
  }

  #watchIdle(limitMs: number): void {
    const { clock, guard } = this.#owner.context;
    const look = guard(() => {
      if (this.#phase !== "reading") return;
      const isWaitingForUs = this.#queue.isBlocked || this.#queue.isPending;
      const idleMs = isWaitingForUs ? 0 : clock.monotonicMs() - this.#lastDataMs;
      if (idleMs < limitMs) {
        this.#idleTimer = clock.after(limitMs - idleMs, look);
        return;
      }
      this.#owner.context.logger.debug("connection closed: idle", {
        peer: this.#connection.peer,
        code: "CONNECTION_IDLE",
        idleMs,
        limitMs,
      });
      this.#endInput(`nothing came for ${limitMs} ms`);
      this.#finishIfDone();
    });
    this.#idleTimer = clock.after(limitMs, look);
  }

  /** Goodbye once everything that was read is settled and counted. */
  #finishIfDone(): void {
    if (this.#phase === "reading" || !this.#queue.isEmpty) return;
    this.#quiet();
    if (!this.#isConnected) return this.#settle();
    if (this.#phase === "goodbye") return;
    this.#phase = "goodbye";
    this.#tellCount();
    const { clock } = this.#owner.context;
    this.#lingerTimer = clock.after(this.#lingerMs, () => this.#connection.destroy());
    void this.#connection.close();
  }

  #disconnected(cause: Error | undefined): void {
    this.#isConnected = false;
    for (const cancel of [this.#idleTimer, this.#lingerTimer]) cancel?.();
    this.#endInput(
      cause === undefined ? "the connection was closed" : `the connection broke (${cause.message})`,
    );
    this.#owner.group.disconnected();
    this.#finishIfDone();
  }

  #settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#queue.close();
    this.#owner.group.settled(this);
  }

  #warn(what: string, code: string): void {
    this.#owner.group.warnings.warn(this.#connection.peer, what, code);
  }
}

/** A count as 4 bytes, big-endian. */
function countBytes(count: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(count % 2 ** 32);
  return bytes;
}
