/**
 * Messages of many clients to one block: no object per message.
 */
import type { RecordBlock } from "../../src/contract/record.ts";

/** Most bytes of a gathered block in one column, and messages; a longer message is a block by itself. */
const BYTES_MAX: number = 256 * 1024;
const COUNT_MAX = 8_192;

/** One message as a record. */
export interface Message {
  /** The key. */
  readonly topic: string;
  /** The value. */
  readonly payload: Uint8Array;
  /** A JSON object of texts. */
  readonly headers: Uint8Array;
}

/** A column that grows to its limit and is used again. */
class GrowingColumn {
  readonly #bytes = Buffer.allocUnsafeSlow(BYTES_MAX);
  readonly #ends = new Uint32Array(COUNT_MAX);
  #length = 0;

  hasRoomFor(byteCount: number): boolean {
    return this.#length + byteCount <= BYTES_MAX;
  }

  add(i: number, item: Uint8Array): void {
    this.#bytes.set(item, this.#length);
    this.#length += item.length;
    this.#ends[i] = this.#length;
  }

  addText(i: number, text: string): void {
    this.#length += this.#bytes.write(text, this.#length);
    this.#ends[i] = this.#length;
  }

  /** What was added; it begins anew. */
  take(count: number): { readonly bytes: Uint8Array; readonly ends: Uint32Array } {
    const column = {
      bytes: this.#bytes.subarray(0, this.#length),
      ends: this.#ends.subarray(0, count),
    };
    this.#length = 0;
    return column;
  }
}

/** Where the messages of a turn come together. */
export class MessageBlock {
  readonly #values = new GrowingColumn();
  readonly #keys = new GrowingColumn();
  readonly #headers = new GrowingColumn();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Whether the message goes into this block. An empty block has room for all but what needs one of its own. */
  hasRoomFor({ topic, payload, headers }: Message): boolean {
    return (
      this.#count < COUNT_MAX &&
      this.#values.hasRoomFor(payload.length) &&
      // A character takes 3 bytes at most.
      this.#keys.hasRoomFor(topic.length * 3) &&
      this.#headers.hasRoomFor(headers.length)
    );
  }

  add({ topic, payload, headers }: Message): void {
    this.#values.add(this.#count, payload);
    this.#keys.addText(this.#count, topic);
    this.#headers.add(this.#count, headers);
    this.#count++;
  }

  /** The block, valid until something is added; it begins anew. */
  take(): RecordBlock {
    const count = this.#count;
    this.#count = 0;
    const { bytes, ends } = this.#values.take(count);
    return {
      count,
      values: bytes,
      valuesStart: 0,
      valueEnds: ends,
      delimiterBytes: 0,
      keys: this.#keys.take(count),
      headers: this.#headers.take(count),
      channel: "",
    };
  }
}

/** A message as a block of its own: a view of its payload. */
export function blockOf({ topic, payload, headers }: Message): RecordBlock {
  const key = Buffer.from(topic);
  return {
    count: 1,
    values: payload,
    valuesStart: 0,
    valueEnds: Uint32Array.of(payload.length),
    delimiterBytes: 0,
    keys: { bytes: key, ends: Uint32Array.of(key.length) },
    headers: { bytes: headers, ends: Uint32Array.of(headers.length) },
    channel: "",
  };
}
