/**
 * Messages of a fetched batch -> blocks, without an object per record: values, keys and headers are copied into buffers
 * that are used again for the next block.
 */
import { isUtf8 } from "node:buffer";
import type { RecordBlock } from "../../src/contract/record.ts";
import { HoldfastError } from "../../src/errors.ts";
import type { KafkaOptions } from "./options.ts";

/** A record of Kafka. */
export interface Message {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Milliseconds since 1970; below 0 for none. */
  readonly timestamp: string | number;
  readonly offset: string | number;
  readonly headers?: FetchedHeaders;
}

/** A message as kafkajs decodes it. */
export interface FetchedMessage extends Message {
  readonly offset: string;
}

/** Values of one header: several when its name comes more than once. */
export type HeaderValue = Buffer | string | undefined | null;
export type FetchedHeaders = Readonly<Record<string, HeaderValue | readonly HeaderValue[]>>;

/** A block is closed before it grows over so many bytes; one record alone may be longer. */
export const BLOCK_BYTES: number = 1024 * 1024;
/** Records of a block at most: their lengths and timestamps take room too. */
export const BLOCK_RECORDS_MAX = 32_768;
/** Header that tells a record without a value from one with an empty value. */
export const TOMBSTONE_HEADER = "kafka-tombstone";

/** What came of the messages from one index on. */
export interface Written {
  /** Index of the first message that was not looked at. */
  readonly nextIndex: number;
  /** In the block; with 0 there is none. */
  readonly count: number;
  /** Tombstones that the options drop. */
  readonly droppedCount: number;
  /** The message at `nextIndex - 1`, when it can be no record; it is in no block. */
  readonly refused?: { readonly bytes: Uint8Array; readonly error: HoldfastError };
}

type WriterOptions = Pick<KafkaOptions, "keys" | "tombstones" | "messageBytesMax">;

const EMPTY = Buffer.alloc(0);

/** Fills one block at a time; `block` is valid until the next `write`. */
export class BlockWriter {
  readonly #options: WriterOptions;
  #values = new GrowingBytes();
  #keys = new GrowingBytes();
  #headers = new GrowingBytes();
  readonly #valueEnds = new Uint32Array(BLOCK_RECORDS_MAX);
  readonly #keyEnds = new Uint32Array(BLOCK_RECORDS_MAX);
  readonly #headerEnds = new Uint32Array(BLOCK_RECORDS_MAX);
  readonly #timestampsMs = new Float64Array(BLOCK_RECORDS_MAX);
  #hasTimestamps = false;
  #count = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Takes messages from `firstIndex` on, until a block is full or a message is refused. */
  write(messages: readonly Message[], firstIndex: number): Written {
    this.#clear();
    let droppedCount = 0;
    for (let index = firstIndex; index < messages.length; index++) {
      const message = messages[index];
      if (message === undefined || this.#isFullFor(message))
        return { nextIndex: index, count: this.#count, droppedCount };
      if (message.value === null && this.#options.tombstones === "drop") droppedCount++;
      else {
        const error = this.#add(message);
        if (error === "full") return { nextIndex: index, count: this.#count, droppedCount };
        if (error !== undefined) {
          const refused = { bytes: message.value ?? EMPTY, error };
          return { nextIndex: index + 1, count: this.#count, droppedCount, refused };
        }
      }
    }
    return { nextIndex: messages.length, count: this.#count, droppedCount };
  }

  /** What was written. */
  block(channel: string, position: Uint8Array): RecordBlock {
    const count = this.#count;
    return {
      count,
      values: this.#values.bytes,
      valuesStart: 0,
      valueEnds: this.#valueEnds,
      delimiterBytes: 0,
      ...(this.#keys.length === 0
        ? {}
        : { keys: { bytes: this.#keys.written, ends: this.#keyEnds.subarray(0, count) } }),
      ...(this.#hasTimestamps ? { timestampsMs: this.#timestampsMs.subarray(0, count) } : {}),
      ...(this.#headers.length === 0
        ? {}
        : { headers: { bytes: this.#headers.written, ends: this.#headerEnds.subarray(0, count) } }),
      channel,
      position,
    };
  }

  /** What its buffers take: they grow to the longest block, and stay. */
  get heldBytes(): number {
    return this.#values.bytes.length + this.#keys.bytes.length + this.#headers.bytes.length;
  }

  #clear(): void {
    this.#count = 0;
    this.#hasTimestamps = false;
    this.#values.clear();
    this.#keys.clear();
    this.#headers.clear();
  }

  #isFullFor({ value }: Message): boolean {
    if (this.#count === 0) return false;
    const bytes = this.#byteCount + (value?.length ?? 0);
    return this.#count === BLOCK_RECORDS_MAX || bytes > BLOCK_BYTES;
  }

  get #byteCount(): number {
    return this.#values.length + this.#keys.length + this.#headers.length;
  }

  /** Why the message can be no record, if so, or of this block: then nothing was added. */
  #add(message: Message): HoldfastError | "full" | undefined {
    const { value, key, headers, timestamp, offset } = message;
    const keyBytes = key === null ? EMPTY : keyOf(key, this.#options.keys);
    const headerText = headersOf(headers, value === null);
    const headerBytes = headerText === "" ? EMPTY : Buffer.from(headerText);
    const valueBytes = value ?? EMPTY;
    const byteCount = valueBytes.length + keyBytes.length + headerBytes.length;
    // Keys and headers may be longer as text: only now is it known that the log could not take the block.
    if (this.#count > 0 && this.#byteCount + byteCount > BLOCK_BYTES) return "full";
    if (byteCount > this.#options.messageBytesMax)
      return new HoldfastError(
        "MESSAGE_TOO_LONG",
        `record at offset ${offset} has ${byteCount} bytes with its key and headers, limit ${this.#options.messageBytesMax}`,
        { fix: "raise messageBytesMax" },
      );
    const recordIndex = this.#count++;
    this.#valueEnds[recordIndex] = this.#values.add(valueBytes);
    this.#keyEnds[recordIndex] = this.#keys.add(keyBytes);
    this.#headerEnds[recordIndex] = this.#headers.add(headerBytes);
    const timestampMs = Number(timestamp);
    const isKnown = timestampMs >= 0;
    this.#timestampsMs[recordIndex] = isKnown ? timestampMs : Number.NaN;
    this.#hasTimestamps ||= isKnown;
    return undefined;
  }
}

/** Bytes back to back, in a buffer that grows and is kept. */
class GrowingBytes {
  bytes: Buffer = EMPTY;
  length = 0;

  get written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
  }

  /** Returns the new length. */
  add(more: Buffer): number {
    const end = this.length + more.length;
    if (end > this.bytes.length) this.#grow(end);
    if (more.length > 0) this.bytes.set(more, this.length);
    this.length = end;
    return end;
  }

  #grow(bytesMin: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(bytesMin, this.bytes.length * 2, 4_096));
    grown.set(this.written);
    this.bytes = grown;
  }
}

function keyOf(key: Buffer, keys: KafkaOptions["keys"]): Buffer {
  if (keys === "text") return isUtf8(key) ? key : Buffer.from(asText(key));
  return Buffer.from(key.toString(keys));
}

/** Bytes as text; what is no UTF-8 says so. */
function asText(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString() : `base64:${bytes.toString("base64")}`;
}

/**
 * A JSON object of texts, or nothing. Of a name that comes more than once the last value has the name, as Kafka's own
 * `lastHeader` takes it; those before it are `name[0]`, `name[1]`.
 */
function headersOf(headers: FetchedHeaders | undefined, isTombstone: boolean): string {
  const members: string[] = [];
  const add = (name: string, value: HeaderValue): void => {
    const text = typeof value === "string" ? value : asText(value ?? EMPTY);
    members.push(`${JSON.stringify(name)}:${JSON.stringify(text)}`);
  };
  for (const name in headers) {
    const value = headers[name];
    if (isList(value)) addEach(name, value, add);
    else add(name, value);
  }
  if (isTombstone) add(TOMBSTONE_HEADER, "true");
  return members.length === 0 ? "" : `{${members.join(",")}}`;
}

function isList(value: HeaderValue | readonly HeaderValue[]): value is readonly HeaderValue[] {
  return Array.isArray(value);
}

function addEach(
  name: string,
  values: readonly HeaderValue[],
  add: (name: string, value: HeaderValue) => void,
): void {
  const last = values.length - 1;
  values.forEach((value, i) => add(i === last ? name : `${name}[${i}]`, value));
}
