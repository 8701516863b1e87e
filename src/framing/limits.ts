/**
 * What the framings say about messages that are too long, and how they check their options.
 */
import { HoldfastError } from "../errors.ts";
import { EXCERPT_BYTES, MESSAGE_BYTES_LIMIT, type Refusal, type Split } from "./framing.ts";

const NOTHING = new Uint8Array(0);
const NO_ENDS = new Uint32Array(0);

/** No message yet. */
export const INCOMPLETE: Split = Object.freeze({
  count: 0,
  values: NOTHING,
  valuesStart: 0,
  valueEnds: NO_ENDS,
  delimiterBytes: 0,
  refused: undefined,
});

/** No message, and none will follow. */
export function refusedSplit(refused: Refusal): Split {
  return { ...INCOMPLETE, refused };
}

/** MESSAGE_TOO_LONG with both numbers. `isWhole`: the message has exactly this length, else at least. */
export function tooLong(
  byteCount: number,
  isWhole: boolean,
  messageBytesMax: number,
): HoldfastError {
  const length = isWhole ? `${byteCount}` : `at least ${byteCount}`;
  return new HoldfastError(
    "MESSAGE_TOO_LONG",
    `message of ${length} bytes, limit ${messageBytesMax}`,
    {
      fix: "raise messageBytesMax, or use the framing that the sender uses",
    },
  );
}

/** A refusal with the beginning of what was refused. */
export function refuse(error: HoldfastError, ...parts: readonly Uint8Array[]): Refusal {
  const bytes = Buffer.concat(parts.map((part) => part.subarray(0, EXCERPT_BYTES)));
  return { error, bytes: bytes.subarray(0, EXCERPT_BYTES) };
}

/** The limit of a framing as its author gave it. */
export function checkMessageBytesMax(
  messageBytesMax: number | undefined,
  most: number = MESSAGE_BYTES_LIMIT,
): number | undefined {
  if (messageBytesMax === undefined) return undefined;
  if (Number.isInteger(messageBytesMax) && messageBytesMax >= 1 && messageBytesMax <= most)
    return messageBytesMax;
  throw new HoldfastError(
    "CONFIG_OUT_OF_RANGE",
    `messageBytesMax is ${messageBytesMax}, allowed are 1 to ${most}`,
  );
}
