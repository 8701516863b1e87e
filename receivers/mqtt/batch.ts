/**
 * Messages that become one block, and the acknowledgements that are due when it is on disk.
 */
import type { RecordBlock } from "../../src/contract/record.ts";
import type { PublishReader } from "./publish-reader.ts";

const RECORDS_AT_FIRST = 256;
const BYTES_AT_FIRST = 16 * 1024;
/** Accounted for each message beside its bytes: ends, acknowledgement, headers in the log. */
const MESSAGE_BYTES = 32;
/** Columns that a burst made longer than this are not kept for the next batch. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

/** Bytes that grow. */
class GrowingBytes {
  bytes: Buffer = Buffer.allocUnsafe(BYTES_AT_FIRST);
  length = 0;

  append(source: Buffer, start: number, end: number): void {
    this.#reserve(end - start);
    this.length += source.copy(this.bytes, this.length, start, end);
  }

  appendText(text: string): void {
    // At most three bytes for each unit of UTF-16.
    this.#reserve(text.length * 3);
    this.length += this.bytes.write(text, this.length);
  }

  appendByte(byte: number): void {
    this.#reserve(1);
    this.bytes[this.length++] = byte;
  }

  clear(): void {
    this.length = 0;
    if (this.bytes.length > KEPT_BYTES_MAX) this.bytes = Buffer.allocUnsafe(BYTES_AT_FIRST);
  }

  #reserve(byteCount: number): void {
    const needed = this.length + byteCount;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}

/** A message that can be no record, or its beginning, and why. */
interface Letter {
  readonly bytes: Uint8Array;
  readonly cause: Error;
}

/** See the file's head. */
export class Batch {
  readonly #values = new GrowingBytes();
  readonly #keys = new GrowingBytes();
  readonly #headers = new GrowingBytes();
  readonly #acks = new GrowingBytes();
  #valueEnds = new Uint32Array(RECORDS_AT_FIRST);
  #keyEnds = new Uint32Array(RECORDS_AT_FIRST);
  #headerEnds = new Uint32Array(RECORDS_AT_FIRST);
  #count = 0;
  /** Of its records, those that nobody sends again. */
  qos0Count = 0;
  /** The set of unreleased ids was changed by what is in this batch. */
  movesPosition = false;
  /** That set behind this batch, once the batch takes no more. */
  position: Uint8Array | undefined;
  #letters: Letter[] = [];
  #letterBytes = 0;

  /** Dead letters that have to be on disk before anything here is acknowledged. */
  get letters(): readonly Letter[] {
    return this.#letters;
  }

  get recordCount(): number {
    return this.#count;
  }

  /** What it holds in memory, nearly. */
  get heldBytes(): number {
    const { length: valueBytes } = this.#values;
    return (
      valueBytes +
      this.#keys.length +
      this.#headers.length +
      this.#acks.length +
      this.#letterBytes +
      this.#count * MESSAGE_BYTES
    );
  }

  get isEmpty(): boolean {
    return (
      this.#count === 0 &&
      this.#acks.length === 0 &&
      !this.movesPosition &&
      this.#letters.length === 0
    );
  }

  /** The message that was read last. */
  add(message: PublishReader, headers: string): void {
    const { bytes, topicStart, topicEnd, payloadStart, payloadEnd } = message;
    if (this.#count === this.#valueEnds.length) this.#growEnds();
    this.#values.append(bytes, payloadStart, payloadEnd);
    this.#keys.append(bytes, topicStart, topicEnd);
    if (headers !== "") this.#headers.appendText(headers);
    this.#valueEnds[this.#count] = this.#values.length;
    this.#keyEnds[this.#count] = this.#keys.length;
    this.#headerEnds[this.#count] = this.#headers.length;
    this.#count += 1;
    if (message.qos === 0) this.qos0Count += 1;
  }

  /** A copy of these bytes becomes a dead letter. */
  setAside(bytes: Uint8Array, cause: Error): void {
    this.#letters.push({ bytes: new Uint8Array(bytes), cause });
    this.#letterBytes += bytes.length + MESSAGE_BYTES;
  }

  lettersStored(): void {
    this.#letters = [];
    this.#letterBytes = 0;
  }

  /** An acknowledgement packet of a packet id; a reason is given only where it is not success. */
  acknowledge(firstByte: number, packetId: number, reasonCode = 0): void {
    const acks = this.#acks;
    acks.appendByte(firstByte);
    acks.appendByte(reasonCode === 0 ? 2 : 3);
    acks.appendByte(packetId >> 8);
    acks.appendByte(packetId & 0xff);
    if (reasonCode !== 0) acks.appendByte(reasonCode);
  }

  /** A copy of the acknowledgements. */
  acks(): Buffer {
    return Buffer.from(this.#acks.bytes.subarray(0, this.#acks.length));
  }

  /** Its records; 1 or more. The arrays are this batch's own. */
  block(channel: string): RecordBlock {
    const count = this.#count;
    const column = (bytes: GrowingBytes, ends: Uint32Array) => ({
      bytes: bytes.bytes.subarray(0, bytes.length),
      ends: ends.subarray(0, count),
    });
    return {
      count,
      values: this.#values.bytes,
      valuesStart: 0,
      valueEnds: this.#valueEnds,
      delimiterBytes: 0,
      keys: column(this.#keys, this.#keyEnds),
      ...(this.#headers.length === 0 ? {} : { headers: column(this.#headers, this.#headerEnds) }),
      channel,
      ...(this.position === undefined ? {} : { position: this.position }),
    };
  }

  /** Empty again, with its buffers. */
  clear(): void {
    for (const bytes of [this.#values, this.#keys, this.#headers, this.#acks]) bytes.clear();
    this.#count = 0;
    this.qos0Count = 0;
    this.movesPosition = false;
    this.position = undefined;
    this.lettersStored();
  }

  #growEnds(): void {
    this.#valueEnds = doubled(this.#valueEnds);
    this.#keyEnds = doubled(this.#keyEnds);
    this.#headerEnds = doubled(this.#headerEnds);
  }
}

function doubled(ends: Uint32Array): Uint32Array<ArrayBuffer> {
  const grown = new Uint32Array(ends.length * 2);
  grown.set(ends);
  return grown;
}
