/**
 * Requests of Kafka's protocol that kafkajs does not have, sent over its connections, and the types of the protocol's later
 * versions: lengths are variable, one more than they are, and every structure ends with tags.
 */
import type { Broker } from "kafkajs";

/** Sends requests; a broker of kafkajs has one. */
export interface RequestSender {
  send(protocol: {
    readonly request: KafkaRequest;
    readonly response: KafkaResponse;
  }): Promise<unknown>;
}

/** Bytes in the shape that kafkajs takes them. */
interface Encoded {
  readonly buf: Buffer;
  readonly buffer: Buffer;
  size(): number;
}

interface KafkaRequest {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
  encode(): Promise<Encoded>;
}

interface KafkaResponse {
  decode(payload: Buffer): Promise<object>;
  parse(decoded: object): Promise<object>;
}

/** One request in one version. */
export interface Api {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
}

/** How kafkajs's brokers send a request that is none of kafkajs's; undefined where the broker does not answer it. */
export function senderOf(broker: Broker, api: Api): RequestSender | undefined {
  if (!("versions" in broker) || !answers(broker.versions, api)) return undefined;
  const pool = "connectionPool" in broker ? broker.connectionPool : undefined;
  if (typeof pool !== "object" || pool === null || !("send" in pool)) return undefined;
  // Decode boundary: what kafkajs's own requests are sent with.
  return pool as RequestSender;
}

/** Whether a broker that answers these versions answers this one. */
export function answers(versions: unknown, { apiKey, apiVersion }: Api): boolean {
  const range: unknown = isObject(versions) ? versions[apiKey] : undefined;
  if (!isObject(range)) return false;
  const { minVersion, maxVersion } = range;
  return (
    typeof minVersion === "number" &&
    typeof maxVersion === "number" &&
    minVersion <= apiVersion &&
    maxVersion >= apiVersion
  );
}

/** Sends the body behind the header, whose own tags kafkajs does not write: they come first in it. */
export async function ask<T extends object>(
  sender: RequestSender,
  api: Api,
  body: Buffer,
  decode: (reader: WireReader) => T,
): Promise<T> {
  let answer: T | undefined;
  await sender.send({
    request: {
      ...api,
      encode: () => Promise.resolve({ buf: body, buffer: body, size: () => body.length }),
    },
    response: {
      async decode(payload) {
        const reader = new WireReader(payload);
        reader.tags();
        answer = decode(reader);
        return answer;
      },
      parse: (decoded) => Promise.resolve(decoded),
    },
  });
  if (answer === undefined) throw new TypeError(`kafkajs has not decoded ${api.apiName}`);
  return answer;
}

/** No tags: the end of a structure. */
export const NO_TAGS: Buffer = Buffer.of(0);

/** Reads the types of the protocol. Past the end it throws a RangeError. */
export class WireReader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  get leftBytes(): number {
    return this.#buffer.length - this.#at;
  }

  skip(byteCount: number): void {
    this.bytes(byteCount);
  }

  /** A view of the next bytes. */
  bytes(byteCount: number): Buffer {
    const end = this.#at + byteCount;
    if (byteCount < 0 || end > this.#buffer.length)
      throw new RangeError(`the answer has ${this.#buffer.length} bytes, wanted ${end}`);
    const bytes = this.#buffer.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  int16(): number {
    return this.bytes(2).readInt16BE();
  }

  int32(): number {
    return this.bytes(4).readInt32BE();
  }

  /** Offsets and times: exact up to 2^53. */
  int64(): number {
    return Number(this.bytes(8).readBigInt64BE());
  }

  /** Nothing reads as an empty text. */
  text(): string {
    return this.compactBytes().toString();
  }

  /** Nothing reads as no bytes. */
  compactBytes(): Buffer {
    return this.bytes(Math.max(0, this.unsigned() - 1));
  }

  each(read: () => void): void {
    const count = this.unsigned() - 1;
    for (let i = 0; i < count; i++) read();
  }

  tags(): void {
    const count = this.unsigned();
    for (let i = 0; i < count; i++) {
      this.unsigned();
      this.skip(this.unsigned());
    }
  }

  unsigned(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#buffer[this.#at++];
      if (byte === undefined) throw new RangeError(`the answer ends in a number`);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  /** Variable length with a sign: 0, -1, 1, -2 ... */
  signed(): number {
    const value = this.unsigned();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

/** A number of variable length. */
export function unsigned(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** A list's length as it is written. */
export function lengthOf(count: number): Buffer {
  return unsigned(count + 1);
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

function isObject(value: unknown): value is Readonly<Record<string | number, unknown>> {
  return typeof value === "object" && value !== null;
}
