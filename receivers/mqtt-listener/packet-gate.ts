/**
 * Between a socket and aedes: whole packets only, none that is too long, and no more of them than may wait.
 *
 * aedes reads what it gets, however much waits for the disk, and its parser gathers whatever length a packet claims. So
 * what comes in is cut into packets here: a length is judged before its bytes are kept, the first packet has to be a
 * CONNECT, nothing follows it before it was answered, and beyond `inflightMessagesMax` messages nothing is read.
 */
import { Duplex } from "node:stream";
import { type Code, HoldfastError } from "../../src/errors.ts";
import type { Cancel, Clock } from "../../src/host/clock.ts";
import type { PeerStream } from "../../src/host/sockets.ts";
import type { UnfinishedBytes, UnfinishedHolder } from "../../src/record/unfinished-bytes.ts";

/** Longest topic in bytes. */
export const TOPIC_BYTES_MAX = 1_024;
/** Longest packet that is no PUBLISH; a will and a password are in a CONNECT. */
const OTHER_BYTES_MAX: number = 16 * 1024;
/** Of a PUBLISH beside topic and payload: the length of the topic and the packet's id. */
const PUBLISH_EXTRA_BYTES = 4;
/** Pieces of one packet; beyond it they are joined, for each takes memory of its own, however short it is. */
const PARTS_MAX = 1_024;
/** For a whole CONNECT to arrive, and for it to be answered. */
const CONNECT_TIMEOUT_MS = 10_000;
/** A client has to say something within this many times its keep-alive [MQTT-3.1.2-24]. */
const KEEP_ALIVE_FACTOR = 1.5;
/** What was written and the client has not taken is given so long when the connection ends. */
const LINGER_MS = 250;

const CONNECT = 1;
const PUBLISH = 3;

/** What a gate needs of its listener. */
export interface GateOwner {
  readonly clock: Clock;
  readonly guard: <A extends readonly unknown[]>(
    callback: (...args: A) => void,
  ) => (...args: A) => void;
  readonly inflightMessagesMax: number;
  readonly messageBytesMax: number;
  /** What all gates keep of packets whose end has not come. */
  readonly unfinished: UnfinishedBytes;
  /** Whether messages may come: not while too much waits, and not when it stops. */
  readonly hasRoom: boolean;
  /** It ends for this reason. */
  refused(gate: PacketGate, cause: HoldfastError): void;
  /** It is gone; called once. */
  closed(gate: PacketGate): void;
}

/** A packet's place: where its content begins and ends. */
interface Place {
  readonly type: number;
  readonly qos: number;
  readonly end: number;
}

/** See above. */
export class PacketGate implements UnfinishedHolder {
  readonly peer: PeerStream;
  /** What aedes takes for the connection. Its reading side is a chunk of whole packets at a time. */
  readonly stream: Duplex;
  readonly #owner: GateOwner;
  readonly #source: Duplex;
  /** Bytes that came and were not passed on: at most a packet, and what was read with its end. */
  #parts: Buffer[] = [];
  #partsBytes = 0;
  /** With fewer bytes there is no whole packet. */
  #neededBytes = 2;
  #state: "before-connect" | "connecting" | "open" = "before-connect";
  #isWanted = false;
  #isEnded = false;
  #isOver = false;
  #inflight = 0;
  #keepAliveMs = 0;
  #heardMs: number;
  #timer: Cancel | undefined;

  constructor(owner: GateOwner, peer: PeerStream) {
    const { clock, guard } = owner;
    this.#owner = owner;
    this.peer = peer;
    this.#source = peer.stream;
    this.#heardMs = clock.monotonicMs();
    this.stream = new Duplex({
      readableObjectMode: true,
      readableHighWaterMark: 1,
      decodeStrings: true,
      read: () => {
        this.#isWanted = true;
        this.#pump();
      },
      write: (chunk: Buffer, _encoding, done) => this.#write(chunk, done),
      writev: (chunks, done) =>
        this.#write(Buffer.concat(chunks.map((each): Buffer => each.chunk)), done),
      destroy: (cause, done) => {
        this.#end();
        done(cause);
      },
    });
    this.stream.on("error", () => undefined);
    this.#source.on(
      "data",
      guard((chunk: Buffer) => this.#received(chunk)),
    );
    this.#source.on(
      "end",
      guard(() => {
        this.#isEnded = true;
        this.#pump();
      }),
    );
    this.#source.on(
      "close",
      guard(() => {
        this.stream.destroy();
        this.#end();
      }),
    );
    this.#timer = clock.after(
      CONNECT_TIMEOUT_MS,
      guard(() => this.refuse("CONNECTION_STALLED", `no CONNECT within ${CONNECT_TIMEOUT_MS} ms`)),
    );
  }

  /** Its CONNECT was accepted: messages may come. */
  open(keepAliveSeconds: number): void {
    // It may have ended while it was being let in.
    if (this.#isOver) return;
    this.#state = "open";
    this.#timer?.();
    this.#keepAliveMs = keepAliveSeconds * 1_000 * KEEP_ALIVE_FACTOR;
    if (this.#keepAliveMs > 0) this.#watch(this.#keepAliveMs);
    this.#pump();
  }

  /** A message of QoS 1 or 2 that was passed on is settled. */
  settled(): void {
    this.#inflight--;
    this.#pump();
  }

  /** There may be room again. */
  resume(): void {
    this.#pump();
  }

  /** Ends the connection. */
  refuse(code: Code, message: string): void {
    this.evict(new HoldfastError(code, message));
  }

  /** The same; also called when all gates together keep too much of unfinished packets, and this one most. */
  evict(cause: HoldfastError): void {
    if (this.#isOver) return;
    this.#owner.refused(this, cause);
    this.stream.destroy();
  }

  #received(chunk: Buffer): void {
    this.#heardMs = this.#owner.clock.monotonicMs();
    this.#parts.push(chunk);
    this.#partsBytes += chunk.length;
    if (this.#parts.length > PARTS_MAX) this.#parts = [Buffer.concat(this.#parts)];
    this.#pump();
    if (!this.#isOver) this.#owner.unfinished.set(this, this.#hasWhole ? 0 : this.#partsBytes);
  }

  get #isBlocked(): boolean {
    const { hasRoom, inflightMessagesMax } = this.#owner;
    return this.#state === "connecting" || !hasRoom || this.#inflight >= inflightMessagesMax;
  }

  /** Passes on what may go, and reads the socket only when nothing whole is left. */
  #pump(): void {
    while (!this.#isOver && this.#hasWhole && this.#isWanted && !this.#isBlocked) this.#pass();
    if (this.#isOver) return;
    if (this.#hasWhole) this.#source.pause();
    else if (!this.#isEnded) this.#read();
    else if (this.#isWanted) {
      this.#isWanted = false;
      this.stream.push(null);
    }
  }

  #read(): void {
    // What it said while it was not read comes now: until here it could not be heard.
    if (this.#source.isPaused()) this.#heardMs = this.#owner.clock.monotonicMs();
    this.#source.resume();
  }

  /** As far as is known. */
  get #hasWhole(): boolean {
    return this.#partsBytes >= this.#neededBytes;
  }

  #pass(): void {
    const [first] = this.#parts;
    const bytes =
      first !== undefined && this.#parts.length === 1 ? first : Buffer.concat(this.#parts);
    const end = this.#cut(bytes);
    if (end === undefined) return;
    this.#parts = end === bytes.length ? [] : [bytes.subarray(end)];
    this.#partsBytes = bytes.length - end;
    if (end > 0) this.#isWanted = this.stream.push(bytes.subarray(0, end));
  }

  /** Where the packets end that may be passed on; undefined when the connection was ended. */
  #cut(bytes: Buffer): number | undefined {
    let at = 0;
    this.#neededBytes = 2;
    while (at < bytes.length && !this.#isBlocked) {
      const place = this.#placeOf(bytes, at);
      if (place === "refused") return undefined;
      if (place === "unfinished") break;
      at = place.end;
      if (place.type === PUBLISH && place.qos > 0) this.#inflight++;
      if (place.type === CONNECT) this.#state = "connecting";
    }
    return at;
  }

  #placeOf(bytes: Buffer, start: number): Place | "refused" | "unfinished" {
    const first = bytes[start] ?? 0;
    const type = first >> 4;
    const qos = (first >> 1) & 3;
    if ((type === CONNECT) !== (this.#state === "before-connect"))
      return this.#violated(
        type === CONNECT
          ? "a second CONNECT"
          : `the first packet is of type ${type}, wanted CONNECT`,
      );
    let length = 0;
    let at = start + 1;
    for (let shift = 0; ; shift += 7, at++) {
      const byte = bytes[at];
      if (shift > 21) return this.#violated("the length of a packet takes more than 4 bytes");
      if (byte === undefined) return this.#unfinished(at - start + 1);
      length += (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    const end = at + 1 + length;
    const tooLong = this.#tooLong(type, length);
    if (tooLong !== undefined) {
      this.refuse("MESSAGE_TOO_LONG", tooLong);
      return "refused";
    }
    return end > bytes.length ? this.#unfinished(end - start) : { type, qos, end };
  }

  #tooLong(type: number, length: number): string | undefined {
    const { messageBytesMax } = this.#owner;
    if (type !== PUBLISH)
      return length > OTHER_BYTES_MAX
        ? `packet of type ${type} has ${length} bytes, limit ${OTHER_BYTES_MAX}`
        : undefined;
    const limit = messageBytesMax + TOPIC_BYTES_MAX + PUBLISH_EXTRA_BYTES;
    return length > limit
      ? `message of ${length} bytes with its topic, limit ${messageBytesMax} without`
      : undefined;
  }

  #unfinished(neededBytes: number): "unfinished" {
    this.#neededBytes = neededBytes;
    return "unfinished";
  }

  #violated(message: string): "refused" {
    this.refuse("PROTOCOL_VIOLATION", message);
    return "refused";
  }

  #watch(waitMs: number): void {
    const { clock, guard } = this.#owner;
    this.#timer = clock.after(
      waitMs,
      guard(() => {
        // Silence does not count while we are the ones who wait.
        const silentMs = this.#isBlocked ? 0 : clock.monotonicMs() - this.#heardMs;
        if (silentMs < this.#keepAliveMs) return this.#watch(this.#keepAliveMs - silentMs);
        this.refuse(
          "CONNECTION_IDLE",
          `nothing came for ${silentMs} ms, its keep-alive allows ${this.#keepAliveMs}`,
        );
      }),
    );
  }

  #write(bytes: Buffer, done: (cause?: Error) => void): void {
    if (this.#source.destroyed) return done(new Error("the connection is closed"));
    if (this.#source.write(bytes)) return done();
    this.#source.once("drain", done);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.();
    this.#owner.unfinished.set(this, 0);
    this.#parts = [];
    const source = this.#source;
    if (source.writableLength === 0) source.destroy();
    else {
      const cancel = this.#owner.clock.after(LINGER_MS, () => source.destroy());
      source.once("close", cancel);
      source.end(() => source.destroy());
    }
    this.#owner.closed(this);
  }
}
