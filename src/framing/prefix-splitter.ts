/**
 * Splits messages that have their length in front of them, however that is written.
 */
import type { HoldfastError } from "../errors.ts";
import { Carry } from "./carry.ts";
import type { BlockSplitter, Refusal, Split } from "./framing.ts";
import { INCOMPLETE, refuse, refusedSplit, tooLong } from "./limits.ts";
import type { Workspace } from "./workspace.ts";

/** Answers of {@link PrefixReader.bytesAt} that are no number of bytes. */
export const INCOMPLETE_PREFIX = 0;
export const INVALID_PREFIX = -1;

/** Reads the length in front of a message. No object is made per message. */
export interface PrefixReader {
  /** Bytes of the prefix at `at`, or one of the two constants. */
  bytesAt(bytes: Buffer, at: number): number;
  /** The length that a whole prefix says. */
  lengthAt(bytes: Buffer, at: number, prefixBytes: number): number;
  /** What is wrong with the prefix at `at`. */
  invalid(bytes: Buffer, at: number): HoldfastError;
}

/** See the file's head. */
export class PrefixSplitter implements BlockSplitter {
  readonly #prefix: PrefixReader;
  readonly #messageBytesMax: number;
  readonly #workspace: Workspace;
  readonly #carry = new Carry();
  #refused: Refusal | undefined;

  constructor(prefix: PrefixReader, messageBytesMax: number, workspace: Workspace) {
    this.#prefix = prefix;
    this.#messageBytesMax = messageBytesMax;
    this.#workspace = workspace;
  }

  get unfinishedBytes(): number {
    return this.#carry.byteCount;
  }

  unfinished(): Uint8Array {
    return Uint8Array.from(this.#carry.bytes);
  }

  push(chunk: Uint8Array, headroomBytes: number): Split {
    if (this.#refused !== undefined) return refusedSplit(this.#refused);
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.#carry.byteCount === 0) return this.#scan(bytes);
    if (this.#carry.byteCount + bytes.length >= this.#wantedBytes()) {
      return this.#scan(this.#carry.joinWith(bytes, headroomBytes, this.#workspace));
    }
    // Bounded by the length that was read and checked when its last byte came.
    this.#carry.append(bytes);
    return INCOMPLETE;
  }

  /** Bytes at which the carried message can be judged: its prefix while that is not whole, then all of it. */
  #wantedBytes(): number {
    const kept = this.#carry.bytes;
    const prefixBytes = this.#prefix.bytesAt(kept, 0);
    return prefixBytes === INCOMPLETE_PREFIX
      ? kept.length + 1
      : prefixBytes + this.#prefix.lengthAt(kept, 0, prefixBytes);
  }

  /** Moves each message to the end of the one before it: the prefixes between them are not stored. */
  #scan(bytes: Buffer): Split {
    let { ends } = this.#workspace;
    let count = 0;
    let at = 0;
    let target = 0;
    while (at < bytes.length) {
      const prefixBytes = this.#prefix.bytesAt(bytes, at);
      if (prefixBytes === INCOMPLETE_PREFIX) break;
      if (prefixBytes === INVALID_PREFIX) {
        this.#refused = refuse(this.#prefix.invalid(bytes, at), bytes.subarray(at));
        break;
      }
      const length = this.#prefix.lengthAt(bytes, at, prefixBytes);
      const start = at + prefixBytes;
      if (length > this.#messageBytesMax) {
        this.#refused = refuse(tooLong(length, true, this.#messageBytesMax), bytes.subarray(at));
        break;
      }
      if (start + length > bytes.length) break;
      bytes.copyWithin(target, start, start + length);
      target += length;
      if (count === ends.length) ends = this.#workspace.moreEnds();
      ends[count++] = target;
      at = start + length;
    }
    if (this.#refused === undefined && at < bytes.length) this.#carry.append(bytes.subarray(at));
    return {
      count,
      values: bytes,
      valuesStart: 0,
      valueEnds: ends,
      delimiterBytes: 0,
      refused: this.#refused,
    };
  }
}
