/**
 * Messages with their length in front, as a whole number of 1, 2 or 4 bytes.
 */
import { HoldfastError } from "../errors.ts";
import { Carry } from "./carry.ts";
import {
  type BlockSplitter,
  type Framing,
  MESSAGE_BYTES_DEFAULT,
  MESSAGE_BYTES_LIMIT,
  type Refusal,
  type Split,
} from "./framing.ts";
import { checkMessageBytesMax, INCOMPLETE, refuse, refusedSplit, tooLong } from "./limits.ts";
import { MessageSplitter } from "./message-splitter.ts";
import type { Workspace } from "./workspace.ts";

/** Options of {@link lengthPrefixed}. */
export interface LengthPrefixedOptions {
  readonly prefixBytes: 1 | 2 | 4;
  /** @defaultValue big */
  readonly endian?: "big" | "little";
  /** Longest message in bytes, its prefix not counted: 1 .. what the prefix can say, at most 3 MiB. @defaultValue the receiver's limit, or 1 MiB */
  readonly messageBytesMax?: number;
}

/**
 * Messages behind their length, which does not count itself. A message of length 0 is a message.
 *
 * @throws CONFIG_OUT_OF_RANGE
 */
export function lengthPrefixed({
  prefixBytes,
  endian = "big",
  messageBytesMax,
}: LengthPrefixedOptions): Framing {
  const sizes: readonly number[] = [1, 2, 4];
  if (!sizes.includes(prefixBytes)) {
    throw new HoldfastError(
      "CONFIG_OUT_OF_RANGE",
      `prefixBytes is ${prefixBytes}, allowed are 1, 2 and 4`,
    );
  }
  const sayable = 2 ** (8 * prefixBytes) - 1;
  const ownMax = checkMessageBytesMax(messageBytesMax, Math.min(sayable, MESSAGE_BYTES_LIMIT));
  const prefix: Prefix = { byteCount: prefixBytes, isBig: endian === "big" };
  const framing: Framing = {
    kind: "framing",
    type: "length-prefixed",
    messageBytesMax: ownMax,
    frame(message) {
      const bytes = Buffer.from(message);
      const limit = Math.min(ownMax ?? MESSAGE_BYTES_DEFAULT, sayable);
      if (bytes.length > limit) throw tooLong(bytes.length, true, limit);
      const framed = Buffer.allocUnsafe(prefixBytes + bytes.length);
      if (prefix.isBig) framed.writeUIntBE(bytes.length, 0, prefixBytes);
      else framed.writeUIntLE(bytes.length, 0, prefixBytes);
      framed.set(bytes, prefixBytes);
      return framed;
    },
    splitter: () => new MessageSplitter(framing),
    blockSplitter: (workspace, receiverMax) =>
      new LengthPrefixedSplitter(prefix, ownMax ?? receiverMax, workspace),
  };
  return Object.freeze(framing);
}

interface Prefix {
  readonly byteCount: number;
  readonly isBig: boolean;
}

class LengthPrefixedSplitter implements BlockSplitter {
  readonly #prefix: Prefix;
  readonly #messageBytesMax: number;
  readonly #workspace: Workspace;
  readonly #carry = new Carry();
  #refused: Refusal | undefined;

  constructor(prefix: Prefix, messageBytesMax: number, workspace: Workspace) {
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
    const { byteCount } = this.#prefix;
    const kept = this.#carry.bytes;
    return kept.length < byteCount ? byteCount : byteCount + this.#lengthAt(kept, 0);
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const { byteCount, isBig } = this.#prefix;
    return isBig ? bytes.readUIntBE(at, byteCount) : bytes.readUIntLE(at, byteCount);
  }

  /** Moves each message to the end of the one before it: the prefixes between them are not stored. */
  #scan(bytes: Buffer): Split {
    const { byteCount } = this.#prefix;
    let { ends } = this.#workspace;
    let count = 0;
    let at = 0;
    let target = 0;
    while (at + byteCount <= bytes.length) {
      const length = this.#lengthAt(bytes, at);
      const start = at + byteCount;
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
