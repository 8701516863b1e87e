/**
 * The broker's bytes -> control packets. PUBLISH and PUBREL, the path of the records, are handed out where they lie in
 * the read buffer; every other packet is a few bytes for the client library.
 *
 * A packet starts with a byte of type and flags and its remaining length:
 *
 *   | type 4 bits, flags 4 bits | remaining length, 1 to 4 bytes of 7 bits | variable header, payload |
 */
import { HoldfastError } from "../../src/errors.ts";

const PUBLISH = 3;
const PUBREL = 6;
/** Only a PUBLISH has flags that mean something. */
const PUBREL_FLAGS = 2;
/** Longest first part: the type and four bytes of length. */
const HEAD_BYTES_MAX = 5;
/** Longest packet that is no PUBLISH: they carry a few properties. */
const CONTROL_BYTES_MAX = 256 * 1024;
/** Of a PUBLISH over the limit so much is kept: its topic, its id, and some of its payload. */
export const OVERSIZED_HEAD_BYTES: number = 128 * 1024;
/** Types that a broker may send, as bits: it never connects, subscribes or pings. */
const FROM_BROKER = 0b1110_1010_1111_1100;

/** A packet where it lies: valid during the call only, and the same object each time. */
export interface Packet {
  bytes: Buffer;
  /** Flags of the first byte. */
  flags: number;
  /** First byte behind the remaining length. */
  start: number;
  /** Behind the last byte. */
  end: number;
}

/** Who takes the packets, in the order in which they came. A throw ends the stream. */
export interface PacketConsumer {
  published(packet: Packet): void;
  /** A PUBLISH over the limit: `packet` is its beginning, `packetBytes` what follows the fixed header. */
  oversized(packet: Packet, packetBytes: number): void;
  released(packet: Packet): void;
  /** Any other packet, whole, with its first byte; it may be kept. */
  controlled(packet: Buffer, type: number): void;
}

/** Finds packets in chunks of any size. At most one packet, of at most `publishBytesMax`, is kept between chunks. */
export class PacketSplitter {
  readonly #consumer: PacketConsumer;
  readonly #publishBytesMax: number;
  readonly #packet: Packet = { bytes: Buffer.alloc(0), flags: 0, start: 0, end: 0 };
  /** The beginning of a packet whose length is not known yet. */
  readonly #head = Buffer.alloc(HEAD_BYTES_MAX);
  #headBytes = 0;
  /** A packet that is not whole yet. */
  #part: Buffer | undefined;
  #partBytes = 0;
  #partStart = 0;
  /** Bytes that still belong to a PUBLISH over the limit, of which only the beginning is kept. */
  #oversizedBytes = 0;
  #leftToSkip = 0;

  /** `publishBytesMax`: longest PUBLISH that is handed over whole, without its fixed header. */
  constructor(consumer: PacketConsumer, publishBytesMax: number) {
    this.#consumer = consumer;
    this.#publishBytesMax = publishBytesMax;
  }

  /** @throws MQTT_PROTOCOL_ERROR, and what the consumer throws; nothing more can be read then */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length)
      at = this.#part === undefined ? this.#begin(chunk, at) : this.#go(chunk, at);
  }

  /** A packet begins at `at`, or went on there with its length still unknown; returns where to go on. */
  #begin(chunk: Buffer, at: number): number {
    if (this.#headBytes > 0) return this.#goOnWithHead(chunk, at);
    const start = startOf(chunk, at, chunk.length);
    if (start === undefined) {
      this.#headBytes = chunk.copy(this.#head, 0, at);
      return chunk.length;
    }
    const length = lengthOf(chunk, at, start);
    const end = start + length;
    const first = chunk[at] ?? 0;
    this.#check(first, length);
    if (end <= chunk.length && !this.#isOversized(first, length)) {
      this.#deliver(chunk, at, start, end);
      return end;
    }
    this.#keep(chunk.subarray(at, start), length);
    return start;
  }

  #goOnWithHead(chunk: Buffer, at: number): number {
    const head = this.#head;
    head[this.#headBytes++] = chunk[at] ?? 0;
    const start = startOf(head, 0, this.#headBytes);
    if (start === undefined) return at + 1;
    this.#headBytes = 0;
    const length = lengthOf(head, 0, start);
    this.#check(head[0] ?? 0, length);
    this.#keep(head.subarray(0, start), length);
    return at + 1;
  }

  /** Makes room for a packet of which only the fixed header is here. */
  #keep(head: Buffer, length: number): void {
    const isOversized = this.#isOversized(head[0] ?? 0, length);
    const kept = isOversized ? OVERSIZED_HEAD_BYTES : length;
    this.#part = Buffer.allocUnsafe(head.length + kept);
    this.#partBytes = head.copy(this.#part);
    this.#partStart = head.length;
    this.#oversizedBytes = isOversized ? length : 0;
    this.#leftToSkip = length - kept;
    if (length === 0) this.#whole(this.#part);
  }

  /** More of the packet that is kept; returns where to go on. */
  #go(chunk: Buffer, at: number): number {
    const part = this.#part ?? chunk;
    const copied = chunk.copy(part, this.#partBytes, at);
    this.#partBytes += copied;
    const skipped = Math.min(this.#leftToSkip, chunk.length - at - copied);
    this.#leftToSkip -= skipped;
    if (this.#partBytes === part.length && this.#leftToSkip === 0) this.#whole(part);
    return at + copied + skipped;
  }

  #whole(part: Buffer): void {
    this.#part = undefined;
    const length = this.#oversizedBytes;
    if (length === 0) return this.#deliver(part, 0, this.#partStart, part.length);
    this.#oversizedBytes = 0;
    this.#consumer.oversized(this.#view(part, 0, this.#partStart, part.length), length);
  }

  #isOversized(first: number, length: number): boolean {
    return first >> 4 === PUBLISH && length > this.#publishBytesMax;
  }

  #check(first: number, length: number): void {
    const type = first >> 4;
    if (((FROM_BROKER >> type) & 1) === 0)
      throw protocolError(`a packet of type ${type}, which no broker sends`);
    if (type !== PUBLISH && (first & 0x0f) !== (type === PUBREL ? PUBREL_FLAGS : 0))
      throw protocolError(`a packet of type ${type} with flags ${first & 0x0f}`);
    if (type !== PUBLISH && length > CONTROL_BYTES_MAX)
      throw protocolError(
        `a packet of type ${type} has ${length} bytes, limit ${CONTROL_BYTES_MAX}`,
      );
  }

  #deliver(bytes: Buffer, at: number, start: number, end: number): void {
    const type = (bytes[at] ?? 0) >> 4;
    if (type === PUBLISH) this.#consumer.published(this.#view(bytes, at, start, end));
    else if (type === PUBREL) this.#consumer.released(this.#view(bytes, at, start, end));
    else this.#consumer.controlled(Buffer.from(bytes.subarray(at, end)), type);
  }

  #view(bytes: Buffer, at: number, start: number, end: number): Packet {
    const packet = this.#packet;
    packet.bytes = bytes;
    packet.flags = (bytes[at] ?? 0) & 0x0f;
    packet.start = start;
    packet.end = end;
    return packet;
  }
}

/** What the broker sent is not MQTT, or not the version that was agreed on. */
export function protocolError(what: string): HoldfastError {
  return new HoldfastError("MQTT_PROTOCOL_ERROR", what, {
    fix: "check that an MQTT broker listens there, and protocolVersion",
  });
}

/** Index behind the fixed header that begins at `at`, or undefined when it is not whole. @throws MQTT_PROTOCOL_ERROR */
function startOf(bytes: Buffer, at: number, end: number): number | undefined {
  for (let index = at + 1; index < end; index++) {
    if ((bytes[index] ?? 0) < 0x80) return index + 1;
    if (index - at === HEAD_BYTES_MAX - 1)
      throw protocolError("a packet's length takes more than 4 bytes");
  }
  return undefined;
}

function lengthOf(bytes: Buffer, at: number, start: number): number {
  let length = 0;
  for (let index = start - 1; index > at; index--)
    length = length * 0x80 + ((bytes[index] ?? 0) & 0x7f);
  return length;
}
