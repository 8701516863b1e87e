/**
 * A PUBLISH packet -> where its topic, its packet id and its payload lie. No object is made for a packet; the properties
 * of MQTT 5 are read with the client library's own parser, and only where a packet has some.
 *
 *   | topic length u16, topic | packet id u16, QoS 1 and 2 only | properties, MQTT 5 only | payload |
 */
import { type IPublishPacket, parser } from "mqtt-packet";
import { type Packet, protocolError } from "./packet-splitter.ts";

/** What headers are made of, as the parser gives it. */
export type PublishProperties = NonNullable<IPublishPacket["properties"]>;

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** Bytes of a payload that its digest covers. */
const DIGESTED_BYTES_MAX = 4_096;

/** One PUBLISH at a time: its fields are those of the packet that was read last. */
export class PublishReader {
  readonly #isVersion5: boolean;
  readonly #properties: PropertyReader;
  /** The packet's bytes, in which the indexes below lie. */
  bytes: Buffer = Buffer.alloc(0);
  qos = 0;
  isRetained = false;
  /** The broker says that it has sent this before. */
  isRepeated = false;
  topicStart = 0;
  topicEnd = 0;
  /** 0 with QoS 0. */
  packetId = 0;
  payloadStart = 0;
  payloadEnd = 0;
  #flags = 0;
  #packetStart = 0;
  #hasProperties = false;

  constructor(protocolVersion: 4 | 5) {
    this.#isVersion5 = protocolVersion === 5;
    this.#properties = new PropertyReader();
  }

  /** @throws MQTT_PROTOCOL_ERROR */
  read(packet: Packet): void {
    const at = this.#readHead(packet);
    this.payloadStart = this.#isVersion5 ? this.#behindProperties(at) : at;
  }

  /** The same of a packet that is cut off somewhere: properties that are not whole count as payload. @throws MQTT_PROTOCOL_ERROR */
  readBeginning(packet: Packet): void {
    const at = this.#readHead(packet);
    this.payloadStart = at;
    try {
      if (this.#isVersion5) this.payloadStart = this.#behindProperties(at);
    } catch {
      // They go on behind the cut: what there is of them is as good as anything to know the message by.
      this.#hasProperties = false;
    }
  }

  #readHead({ bytes, flags, start, end }: Packet): number {
    this.bytes = bytes;
    this.qos = (flags >> 1) & 3;
    this.isRetained = (flags & 1) === 1;
    this.isRepeated = (flags & 8) !== 0;
    this.#flags = flags;
    this.#packetStart = start;
    this.#hasProperties = false;
    this.payloadEnd = end;
    if (this.qos === 3) throw protocolError("a PUBLISH has QoS 3");
    this.topicStart = start + 2;
    this.topicEnd = this.topicStart + wordAt(bytes, start, end);
    if (this.topicEnd === this.topicStart)
      throw protocolError("a PUBLISH has no topic, and no topic alias was allowed");
    const behind = this.qos === 0 ? this.topicEnd : this.topicEnd + 2;
    if (behind > end) throw truncated(end - start, behind - start);
    this.packetId = this.qos === 0 ? 0 : wordAt(bytes, this.topicEnd, end);
    if (this.qos > 0 && this.packetId === 0) throw protocolError("a PUBLISH has packet id 0");
    return behind;
  }

  /** The properties of the packet that was read last; undefined where it has none. @throws MQTT_PROTOCOL_ERROR */
  properties(): PublishProperties | undefined {
    if (!this.#hasProperties) return undefined;
    // Without its payload: the parser would copy it.
    const body = this.bytes.subarray(this.#packetStart, this.payloadStart);
    return this.#properties.read(this.#flags, body);
  }

  /** Of topic and payload, 1 .. 65,535: two messages have the same by chance only. Of a long payload its beginning counts. */
  digest(): number {
    const { bytes, topicStart, topicEnd, payloadStart, payloadEnd } = this;
    let hash = fnv(FNV_OFFSET, bytes, topicStart, topicEnd);
    hash = fnv(hash, bytes, payloadStart, Math.min(payloadEnd, payloadStart + DIGESTED_BYTES_MAX));
    hash = Math.imul(hash ^ (payloadEnd - payloadStart), FNV_PRIME) >>> 0;
    return (hash >>> 16) ^ (hash & 0xffff) || 1;
  }

  #behindProperties(at: number): number {
    const { bytes, payloadEnd: end } = this;
    let length = 0;
    let next = at;
    for (let shift = 0; ; shift += 7) {
      if (next >= end || shift > 21)
        throw truncated(end - this.#packetStart, next + 1 - this.#packetStart);
      const byte = bytes[next++] ?? 0;
      length += (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    this.#hasProperties = length > 0;
    if (next + length > end)
      throw truncated(end - this.#packetStart, next + length - this.#packetStart);
    return next + length;
  }
}

/** The client library's parser, which takes whole packets. */
class PropertyReader {
  readonly #parser = parser({ protocolVersion: 5 });
  #properties: PublishProperties | undefined;
  /** Of the packet that was read last. */
  #failure: Error | undefined;

  constructor() {
    this.#parser.on("packet", (packet) => {
      this.#properties = packet.cmd === "publish" ? packet.properties : undefined;
    });
    this.#parser.on("error", (cause: Error) => {
      this.#failure = cause;
    });
  }

  read(flags: number, body: Buffer): PublishProperties | undefined {
    this.#properties = undefined;
    this.#failure = undefined;
    this.#parser.parse(Buffer.concat([fixedHeader(flags, body.length), body]));
    this.#throwFailure();
    return this.#properties;
  }

  #throwFailure(): void {
    if (this.#failure === undefined) return;
    throw protocolError(`the properties of a PUBLISH: ${this.#failure.message}`);
  }
}

function fixedHeader(flags: number, length: number): Buffer {
  const head = [0x30 | flags];
  let left = length;
  do {
    head.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>= 7;
  } while (left > 0);
  return Buffer.from(head);
}

function wordAt(bytes: Buffer, at: number, end: number): number {
  if (at + 2 > end) throw truncated(end - at, 2);
  return bytes.readUInt16BE(at);
}

function truncated(got: number, needed: number): Error {
  return protocolError(`a PUBLISH of ${got} bytes, its fields need ${needed}`);
}

/** FNV-1a. */
function fnv(seed: number, bytes: Buffer, start: number, end: number): number {
  let hash = seed;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), FNV_PRIME);
  return hash >>> 0;
}
