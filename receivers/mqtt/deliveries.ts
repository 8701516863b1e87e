/**
 * From the broker's PUBLISH packets to blocks in the log, and back to acknowledgements.
 *
 * What arrives while one block is on its way to the disk becomes the next one. Only one is on its way at a time: its
 * position says which QoS 2 ids are durable, so a block must never be on disk while one before it is not. The
 * acknowledgements of a block are written in one go, in the order in which its messages came.
 */
import type { ReceiverContext } from "../../src/contract/receiver.ts";
import { codeOf, HoldfastError, toError } from "../../src/errors.ts";
import type { Cancel } from "../../src/host/clock.ts";
import { Batch } from "./batch.ts";
import { headersText } from "./headers.ts";
import type { MqttOptions } from "./options.ts";
import { type Packet, protocolError } from "./packet-splitter.ts";
import { PublishReader } from "./publish-reader.ts";
import { UnreleasedIds } from "./unreleased-ids.ts";

/** Bytes after which a batch takes no further message; one message may be longer. */
const BATCH_BYTES = 1024 * 1024;
/** Held in memory, all batches together; beyond it nothing more is read from the broker, until half of it is stored. */
const HELD_BYTES_MAX = 2 * 1024 * 1024;
/** Longest headers of a record: with the longest payload and topic it fits into a block. */
const HEADERS_BYTES_MAX = 512 * 1024;
/** Of a message that is too long so much becomes a dead letter. */
const LETTER_BYTES_MAX = 64 * 1024;
/** While receivers are paused, messages of QoS 0 are dropped when so much is held. */
const QOS0_HELD_BYTES_MAX = HELD_BYTES_MAX / 2;
/** Before a refused block is tried again, where nobody will tell that there is room. */
const RETRY_MS = 10;
/** Empty batches that are kept with their buffers. */
const IDLE_BATCHES_MAX = 2;

const PUBACK = 0x40;
const PUBREC = 0x50;
const PUBCOMP = 0x70;
/** MQTT 5: the answer to the release of an id that nobody holds. */
const PACKET_ID_NOT_FOUND = 0x92;

/** The connection, as deliveries see it. */
export interface Acknowledger {
  /** Writes to the connection that delivered; ignored when that is gone. */
  write(acknowledgements: Buffer): void;
  /** Reads nothing more from the broker for now, or again. */
  pauseReading(): void;
  resumeReading(): void;
}

/** How long the queue is refused for: BUSY and LOG_FULL pass. */
const PASSING: ReadonlySet<string> = new Set(["BUSY", "LOG_FULL"]);

/** The messages of one connection. */
export class Deliveries {
  readonly #context: ReceiverContext<MqttOptions>;
  readonly #acknowledger: Acknowledger;
  readonly #message: PublishReader;
  /** Whether the broker sends again what is not acknowledged. */
  readonly #redelivers: boolean;
  #channel = "";
  #ids = new UnreleasedIds();
  /** Full batches, oldest first; the last one that fills is apart. */
  readonly #waiting: Batch[] = [];
  readonly #idle: Batch[] = [];
  #filling = new Batch();
  #flying: Batch | undefined;
  #phase: "not yet" | "storing" | "settling" | "over" = "not yet";
  #isPaused = false;
  #isReadingPaused = false;
  #isScheduled = false;
  #qos0Dropped = 0;
  #retryTimer: Cancel | undefined;
  #whenSettled: (() => void) | undefined;
  #settling: Promise<void> | undefined;

  constructor(
    context: ReceiverContext<MqttOptions>,
    acknowledger: Acknowledger,
    redelivers: boolean,
  ) {
    this.#context = context;
    this.#acknowledger = acknowledger;
    this.#redelivers = redelivers;
    this.#message = new PublishReader(context.options.protocolVersion);
  }

  /** Before the first message: the session's channel, and the ids that it holds. */
  begin(channel: string, ids: UnreleasedIds): void {
    this.#channel = channel;
    this.#ids = ids;
  }

  /** What the log knows of the session is true now: messages may be stored. */
  start(): void {
    if (this.#phase === "not yet") this.#phase = "storing";
    this.#next();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#next();
  }

  /** @throws MQTT_PROTOCOL_ERROR */
  published(packet: Packet): void {
    if (this.#isOver) return;
    const message = this.#message;
    message.read(packet);
    if (this.#isHeld()) this.#acknowledge(PUBREC);
    else if (message.qos === 0 && this.#isDroppingQos0) this.#qos0Dropped += 1;
    else this.#take();
  }

  /** A message over the limit, of which `packet` is the beginning. @throws MQTT_PROTOCOL_ERROR */
  oversized(packet: Packet, packetBytes: number): void {
    if (this.#isOver) return;
    const message = this.#message;
    message.readBeginning(packet);
    const { payloadStart } = message;
    if (this.#isHeld()) return this.#acknowledge(PUBREC);
    const payloadBytes = packetBytes - (payloadStart - packet.start);
    this.#refuse(payloadBytes, packet.bytes.subarray(payloadStart, packet.end));
  }

  /** PUBREL: the broker will not send this id's message again. @throws MQTT_PROTOCOL_ERROR */
  released({ bytes, start, end }: Packet): void {
    if (this.#isOver) return;
    if (end - start < 2)
      throw protocolError(`a PUBREL of ${end - start} bytes, at least 2 are needed`);
    const id = bytes.readUInt16BE(start);
    const wasHeld = this.#ids.delete(id);
    if (wasHeld) this.#filling.movesPosition = true;
    const isVersion5 = this.#context.options.protocolVersion === 5;
    this.#filling.acknowledge(PUBCOMP, id, wasHeld || !isVersion5 ? 0 : PACKET_ID_NOT_FOUND);
  }

  /** The packets of one read were handed over: a block of them is due at the end of this turn of the loop. */
  readEnded(): void {
    this.#watchMemory();
    if (this.#isScheduled || this.#isOver) return;
    this.#isScheduled = true;
    const { clock, guard } = this.#context;
    void clock.yield().then(guard(() => this.#turnEnded()));
  }

  /** Takes nothing more; resolves when what was taken is stored and acknowledged, or is the broker's again. */
  settle(): Promise<void> {
    this.#settling ??= this.#settle();
    return this.#settling;
  }

  async #settle(): Promise<void> {
    if (this.#phase === "over") return;
    // Before the start nothing may be stored: it is the broker's still.
    if (this.#phase === "not yet") return this.end(stopped());
    this.#phase = "settling";
    // Fenced: what is not on its way would be refused.
    if (this.#context.signal.aborted && this.#redelivers) this.#forget("STORE_FENCED");
    if (this.#isSettled) return this.end(stopped());
    const settled = new Promise<void>((resolve) => {
      this.#whenSettled = resolve;
    });
    this.#next();
    await settled;
    this.end(stopped());
  }

  /** Ends at once. What nobody sends again is given up, by name. */
  end(cause: Error): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#retryTimer?.();
    this.#tellDropped();
    if (this.#redelivers) this.#forget(codeOf(cause));
    else this.#giveUp(cause);
    this.#whenSettled?.();
  }

  get #isOver(): boolean {
    return this.#phase === "settling" || this.#phase === "over";
  }

  get #isBlocked(): boolean {
    return this.#isPaused || this.#context.pressure === "full";
  }

  get #isDroppingQos0(): boolean {
    return this.#isBlocked && this.#heldBytes >= QOS0_HELD_BYTES_MAX;
  }

  get #heldBytes(): number {
    let bytes = this.#filling.heldBytes + (this.#flying?.heldBytes ?? 0);
    for (const batch of this.#waiting) bytes += batch.heldBytes;
    return bytes;
  }

  get #isSettled(): boolean {
    return this.#flying === undefined && this.#waiting.length === 0 && this.#filling.isEmpty;
  }

  /**
   * The message that was read last is stored already, or on its way. One that is not marked as repeated is new: a broker
   * that uses an id again before it has released it has lost its memory.
   */
  #isHeld(): boolean {
    const message = this.#message;
    const { isRepeated, packetId, qos } = message;
    return qos === 2 && isRepeated && this.#ids.holds(packetId, message.digest());
  }

  #take(): void {
    const message = this.#message;
    const { payloadBytesMax, headers } = this.#context.options;
    const payloadBytes = message.payloadEnd - message.payloadStart;
    if (payloadBytes > payloadBytesMax)
      return this.#refuse(
        payloadBytes,
        message.bytes.subarray(message.payloadStart, message.payloadEnd),
      );
    const text = headers ? headersText(message.properties(), message.isRetained) : "";
    if (text.length > HEADERS_BYTES_MAX / 3 && Buffer.byteLength(text) > HEADERS_BYTES_MAX)
      return this.#refuse(Buffer.byteLength(text), Buffer.from(text));
    const bytes = payloadBytes + message.topicEnd - message.topicStart + text.length;
    if (!this.#filling.isEmpty && this.#filling.heldBytes + bytes > BATCH_BYTES) this.#cut();
    this.#filling.add(message, text);
    this.#accepted();
  }

  /** The message that was read last is in the batch that fills, or is a dead letter that this batch waits for. */
  #accepted(): void {
    const { qos, packetId } = this.#message;
    if (qos === 1) this.#acknowledge(PUBACK);
    if (qos !== 2) return;
    this.#ids.add(packetId, this.#message.digest());
    this.#filling.movesPosition = true;
    this.#acknowledge(PUBREC);
  }

  #acknowledge(firstByte: number): void {
    this.#filling.acknowledge(firstByte, this.#message.packetId);
  }

  /** A message that can be no record: its beginning is set aside, then it is acknowledged, or it would come for ever. */
  #refuse(byteCount: number, bytes: Uint8Array): void {
    const { topicStart, topicEnd } = this.#message;
    const { payloadBytesMax } = this.#context.options;
    const topic = this.#message.bytes.toString(
      "utf8",
      topicStart,
      Math.min(topicEnd, topicStart + 200),
    );
    const cause = new HoldfastError(
      "MESSAGE_TOO_LONG",
      `message of ${byteCount} bytes on ${JSON.stringify(topic)}, limit ${payloadBytesMax}`,
      { fix: "raise payloadBytesMax" },
    );
    this.#context.logger.warn(cause.message, { code: cause.code });
    this.#filling.setAside(bytes.subarray(0, LETTER_BYTES_MAX), cause);
    if (this.#message.qos === 0) this.#filling.qos0Count += 1;
    this.#accepted();
  }

  #turnEnded(): void {
    this.#isScheduled = false;
    this.#tellDropped();
    this.#next();
  }

  #tellDropped(): void {
    if (this.#qos0Dropped === 0) return;
    const count = this.#qos0Dropped;
    this.#qos0Dropped = 0;
    this.#context.dropped(count, "pressure");
  }

  /** The batch that fills takes no more: its position is that of now. */
  #cut(): void {
    const batch = this.#filling;
    if (batch.movesPosition) batch.position = this.#ids.encode();
    this.#waiting.push(batch);
    this.#filling = this.#idle.pop() ?? new Batch();
  }

  #next(): void {
    const canStore = this.#phase === "storing" || this.#phase === "settling";
    if (!canStore || this.#flying !== undefined || this.#isBlocked) return;
    this.#retryTimer?.();
    if (this.#waiting.length === 0 && !this.#filling.isEmpty) this.#cut();
    const batch = this.#waiting.shift();
    if (batch === undefined) return this.#whenSettled?.();
    this.#flying = batch;
    const { guard } = this.#context;
    this.#store(batch).then(
      guard(() => this.#stored(batch)),
      guard((cause: unknown) => this.#refused(batch, toError(cause))),
    );
  }

  async #store(batch: Batch): Promise<void> {
    const { setAside, storeBlock, storePosition } = this.#context;
    if (batch.letters.length > 0) {
      await Promise.all(batch.letters.map(({ bytes, cause }) => setAside(bytes, cause)));
      // Should the block be refused, only the block is tried again.
      batch.lettersStored();
    }
    if (batch.recordCount > 0) await storeBlock(batch.block(this.#channel));
    else if (batch.position !== undefined) await storePosition(this.#channel, batch.position);
  }

  #stored(batch: Batch): void {
    this.#flying = undefined;
    this.#acknowledger.write(batch.acks());
    this.#recycle(batch);
    this.#watchMemory();
    this.#next();
  }

  #refused(batch: Batch, cause: Error): void {
    this.#flying = undefined;
    const code = codeOf(cause);
    if (this.#phase === "over") return this.#lose(batch, cause);
    this.#waiting.unshift(batch);
    if (PASSING.has(code)) return this.#tryAgain();
    this.end(cause);
    // The log may be closed because it is opened again, so that this incarnation would take nothing any more.
    if (code !== "STORE_FENCED") this.#context.fail(cause);
  }

  /** `resume` says that there is room. Where the pressure has gone already nobody will. */
  #tryAgain(): void {
    const { clock, guard } = this.#context;
    this.#retryTimer?.();
    this.#retryTimer = clock.after(
      RETRY_MS,
      guard(() => this.#next()),
    );
  }

  /** The broker sends these again, but for those of QoS 0. */
  #forget(code: string): void {
    let lost = 0;
    for (const batch of this.#takeAll()) lost += batch.qos0Count;
    if (lost > 0) this.#context.dropped(lost, code);
  }

  #giveUp(cause: Error): void {
    for (const batch of this.#takeAll()) this.#lose(batch, cause);
  }

  #lose(batch: Batch, cause: Error): void {
    const { giveUp, dropped } = this.#context;
    if (!this.#redelivers && batch.recordCount > 0) giveUp(batch.block(this.#channel), cause);
    const lostCount = this.#redelivers ? batch.qos0Count : batch.letters.length;
    if (lostCount > 0) dropped(lostCount, codeOf(cause));
  }

  #takeAll(): readonly Batch[] {
    const all = [...this.#waiting.splice(0), this.#filling];
    this.#filling = new Batch();
    return all;
  }

  #recycle(batch: Batch): void {
    batch.clear();
    if (this.#idle.length < IDLE_BATCHES_MAX) this.#idle.push(batch);
  }

  /** Never more in memory than the limit and what one read brings: the broker waits in its socket. */
  #watchMemory(): void {
    const held = this.#heldBytes;
    if (!this.#isReadingPaused && held >= HELD_BYTES_MAX) {
      this.#isReadingPaused = true;
      this.#acknowledger.pauseReading();
    } else if (this.#isReadingPaused && held * 2 <= HELD_BYTES_MAX) {
      this.#isReadingPaused = false;
      this.#acknowledger.resumeReading();
    }
  }
}

function stopped(): HoldfastError {
  return new HoldfastError("UNIT_STOPPED", "the receiver was stopped");
}
