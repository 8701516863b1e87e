/**
 * Octet counting, as syslog over TCP has it (RFC 6587, 3.4.1): `MSG-LEN SP MSG`, the length in decimal.
 */
import { HoldfastError } from "../errors.ts";
import { type Framing, MESSAGE_BYTES_DEFAULT, MESSAGE_BYTES_LIMIT } from "./framing.ts";
import { checkMessageBytesMax, tooLong } from "./limits.ts";
import { MessageSplitter } from "./message-splitter.ts";
import {
  INCOMPLETE_PREFIX,
  INVALID_PREFIX,
  type PrefixReader,
  PrefixSplitter,
} from "./prefix-splitter.ts";

/** Options of {@link octetCounting}. */
export interface OctetCountingOptions {
  /** Longest message in bytes, its length not counted: 1 .. 3 MiB. @defaultValue the receiver's limit, or 1 MiB */
  readonly messageBytesMax?: number;
}

const SPACE = 0x20;
const ZERO = 0x30;
const NINE = 0x39;
/** More digits than any allowed length has. */
const DIGITS_MAX: number = String(MESSAGE_BYTES_LIMIT).length;
/** What of a wrong length is shown. */
const SHOWN_BYTES: number = DIGITS_MAX + 1;

/**
 * Messages behind their length in decimal and a space: `5 hello`. A length has no leading zero and is not 0.
 *
 * @throws CONFIG_OUT_OF_RANGE
 */
export function octetCounting({ messageBytesMax }: OctetCountingOptions = {}): Framing {
  const ownMax = checkMessageBytesMax(messageBytesMax);
  const framing: Framing = {
    kind: "framing",
    type: "octet-counting",
    messageBytesMax: ownMax,
    frame(message) {
      const bytes = Buffer.from(message);
      const limit = ownMax ?? MESSAGE_BYTES_DEFAULT;
      if (bytes.length > limit) throw tooLong(bytes.length, true, limit);
      if (bytes.length === 0)
        throw new HoldfastError("BLOCK_INVALID", "a message of 0 bytes cannot be counted");
      return Buffer.concat([Buffer.from(`${bytes.length} `), bytes]);
    },
    splitter: () => new MessageSplitter(framing),
    blockSplitter: (workspace, receiverMax) =>
      new PrefixSplitter(reader, ownMax ?? receiverMax, workspace),
  };
  return Object.freeze(framing);
}

const reader: PrefixReader = {
  bytesAt(bytes, at) {
    const end = Math.min(bytes.length, at + DIGITS_MAX + 1);
    for (let index = at; index < end; index++) {
      const byte = bytes[index] ?? 0;
      if (byte === SPACE && index > at) return index - at + 1;
      const isDigit = byte >= ZERO && byte <= NINE;
      if (!isDigit || (index === at && byte === ZERO)) return INVALID_PREFIX;
    }
    return end - at > DIGITS_MAX ? INVALID_PREFIX : INCOMPLETE_PREFIX;
  },
  lengthAt(bytes, at, prefixBytes) {
    let length = 0;
    for (let index = at; index < at + prefixBytes - 1; index++)
      length = length * 10 + (bytes[index] ?? 0) - ZERO;
    return length;
  },
  invalid(bytes, at) {
    const shown = JSON.stringify(bytes.toString("latin1", at, at + SHOWN_BYTES));
    return new HoldfastError(
      "FRAME_INVALID",
      `a message begins with ${shown}, wanted are 1 to ${DIGITS_MAX} digits, no leading zero, and a space`,
      { fix: "use the framing that the sender uses" },
    );
  },
};
