/**
 * Stores under an idempotency key: what was stored once under a key is not stored again, whether the first time was
 * just now and is on its way to the disk, or before a crash.
 */
import { createHash } from "node:crypto";
import type { Log } from "./contract/log.ts";
import { type Column, type RecordBlock, type Stored, valueStart } from "./contract/record.ts";
import { HoldfastError } from "./errors.ts";

/** Of SHA-256, as the log keeps it: two keys of 4,096 have the same with a chance below 10^-31. */
const HASH_BYTES = 16;

interface InFlight {
  readonly bodyHash: Uint8Array;
  readonly stored: Promise<Stored>;
}

/** One per receiver, over all its incarnations: an older one's store may still be on its way. */
export class KeyedStores {
  readonly #receiver: string;
  readonly #log: Pick<Log, "keyed">;
  readonly #inFlight = new Map<string, InFlight>();

  constructor(receiver: string, log: Pick<Log, "keyed">) {
    this.#receiver = receiver;
    this.#log = log;
  }

  /**
   * Stores the block, or resolves with where it is already. Waits for a store of the same key that is in flight, and
   * ends as that does. @throws IDEMPOTENCY_MISMATCH, and what `store` rejects with
   */
  async store(
    key: string,
    block: RecordBlock,
    store: (block: RecordBlock) => Promise<Stored>,
  ): Promise<Stored> {
    const keyHash = hashOf([this.#receiver, "\0", key]);
    const bodyHash = hashOfBlock(block);
    const name = keyHash.toString("latin1");
    const flying = this.#inFlight.get(name);
    if (flying !== undefined) {
      this.#check(key, flying.bodyHash, bodyHash);
      return { ...(await flying.stored), isRepeat: true };
    }
    const known = this.#log.keyed(keyHash);
    if (known !== undefined) {
      this.#check(key, known.bodyHash, bodyHash);
      const { firstOffset, recordCount } = known;
      return { firstOffset, recordCount, isRepeat: true };
    }
    const stored = store({ ...block, idempotency: { keyHash, bodyHash } });
    this.#inFlight.set(name, { bodyHash, stored });
    try {
      return await stored;
    } finally {
      this.#inFlight.delete(name);
    }
  }

  #check(key: string, known: Uint8Array, given: Uint8Array): void {
    if (Buffer.compare(known, given) === 0) return;
    throw new HoldfastError(
      "IDEMPOTENCY_MISMATCH",
      `${this.#receiver}: 2 different bodies came under the key ${JSON.stringify(key)}`,
      { fix: "a new key for each request; the same one only when it is sent again unchanged" },
    );
  }
}

function hashOfBlock(block: RecordBlock): Uint8Array {
  const { count, values, valueEnds, delimiterBytes, keys, timestampsMs, headers } = block;
  const start = valueStart(block, 0);
  const lengths = Uint32Array.from(valueEnds.subarray(0, count), (end) => end - start);
  return hashOf([
    `${count} ${delimiterBytes} ${keys === undefined ? "" : "k"}${headers === undefined ? "" : "h"}`,
    bytesOf(lengths),
    values.subarray(start, valueEnds[count - 1]),
    ...(timestampsMs === undefined ? [] : [bytesOf(timestampsMs.subarray(0, count))]),
    ...[keys, headers].flatMap((column) => (column === undefined ? [] : partsOf(column, count))),
  ]);
}

function partsOf({ bytes, ends }: Column, count: number): readonly Uint8Array[] {
  return [bytesOf(ends.subarray(0, count)), bytes.subarray(0, ends[count - 1])];
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array | Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Each part with its length in front, so that no two lists of parts hash alike. */
function hashOf(parts: readonly (string | Uint8Array)[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length} `).update(part);
  return hash.digest().subarray(0, HASH_BYTES);
}
