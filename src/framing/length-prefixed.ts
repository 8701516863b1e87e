/**
 * Messages with their length in front, as a whole number of 1, 2 or 4 bytes.
 */
import { HoldfastError } from "../errors.ts";
import { type Framing, MESSAGE_BYTES_DEFAULT, MESSAGE_BYTES_LIMIT } from "./framing.ts";
import { checkMessageBytesMax, tooLong } from "./limits.ts";
import { MessageSplitter } from "./message-splitter.ts";
import { INCOMPLETE_PREFIX, type PrefixReader, PrefixSplitter } from "./prefix-splitter.ts";

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
      new PrefixSplitter(readerOf(prefix), ownMax ?? receiverMax, workspace),
  };
  return Object.freeze(framing);
}

interface Prefix {
  readonly byteCount: number;
  readonly isBig: boolean;
}

function readerOf({ byteCount, isBig }: Prefix): PrefixReader {
  return {
    bytesAt: (bytes, at) => (at + byteCount <= bytes.length ? byteCount : INCOMPLETE_PREFIX),
    lengthAt: isBig
      ? (bytes, at) => bytes.readUIntBE(at, byteCount)
      : (bytes, at) => bytes.readUIntLE(at, byteCount),
    invalid: () => new HoldfastError("INTERNAL", "any number is a length"),
  };
}
