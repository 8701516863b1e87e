/**
 * What blocks of an entry carry beside their values while it fills: positions, idempotency keys, columns, as they will
 * lie in the body. The buffer is kept from entry to entry and grows on demand.
 */
import type { Idempotency, RecordBlock } from "../contract/record.ts";
import { IDEMPOTENCY_BYTES } from "./block-codec.ts";
import { extraBytes } from "./block-shape.ts";
import { padTo8 } from "./format.ts";

/** A block with an idempotency key, and where it is in its entry. */
export interface KeyedBlock extends Idempotency {
  readonly firstRecord: number;
  readonly count: number;
}

/** See the file's head. */
export class EntryExtras {
  #buffer: Uint8Array = new Uint8Array(0);
  #byteCount = 0;
  #keyed: KeyedBlock[] = [];

  get byteCount(): number {
    return this.#byteCount;
  }

  /** A view, valid until the next `add`. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#byteCount);
  }

  /** Blocks with an idempotency key, in order. */
  get keyed(): readonly KeyedBlock[] {
    return this.#keyed;
  }

  /** Copies position, key and columns. Returns how many bytes they take with their padding. */
  add(block: RecordBlock, firstRecord: number): number {
    const bytes = extraBytes(block);
    const start = this.#byteCount;
    if (start + bytes > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(4096, 2 * (start + bytes)));
      grown.set(this.#buffer.subarray(0, start));
      this.#buffer = grown;
    }
    // Padding must be zero: the buffer may hold an older entry.
    this.#buffer.fill(0, start, start + bytes);
    let at = start;
    if (block.position !== undefined) {
      this.#buffer.set(block.position, at);
      at += padTo8(block.position.length);
    }
    if (block.idempotency !== undefined) {
      this.#addIdempotency(block.idempotency, at);
      this.#keyed.push({ ...copyOf(block.idempotency), firstRecord, count: block.count });
      at += IDEMPOTENCY_BYTES;
    }
    for (const column of [block.keys, block.timestampsMs, block.headers]) {
      if (column !== undefined)
        at +=
          column instanceof Float64Array
            ? this.#addNumbers(column, block.count, at)
            : this.#addList(column, block.count, at);
    }
    this.#byteCount = start + bytes;
    return bytes;
  }

  reset(): void {
    this.#byteCount = 0;
    if (this.#keyed.length > 0) this.#keyed = [];
  }

  #addIdempotency({ keyHash, bodyHash }: Idempotency, at: number): void {
    this.#buffer.set(keyHash, at);
    this.#buffer.set(bodyHash, at + keyHash.length);
  }

  #addNumbers(numbers: Float64Array, count: number, at: number): number {
    new Float64Array(this.#buffer.buffer, at, count).set(numbers.subarray(0, count));
    return count * 8;
  }

  #addList(
    column: { readonly bytes: Uint8Array; readonly ends: Uint32Array },
    count: number,
    at: number,
  ): number {
    new Uint32Array(this.#buffer.buffer, at, count).set(column.ends.subarray(0, count));
    const valueBytes = column.ends[count - 1] ?? 0;
    this.#buffer.set(column.bytes.subarray(0, valueBytes), at + count * 4);
    return padTo8(count * 4 + valueBytes);
  }
}

function copyOf({ keyHash, bodyHash }: Idempotency): Idempotency {
  return { keyHash: new Uint8Array(keyHash), bodyHash: new Uint8Array(bodyHash) };
}
