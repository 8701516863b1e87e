/**
 * Where a partition resumes, as the log keeps it with each block:
 *
 *     +---------+-------------------+------------------------+
 *     | version | next offset (u64) | id of the topic (16 B) |
 *     +---------+-------------------+------------------------+
 *       1 byte    big-endian          zeros where not known
 */
import { HoldfastError } from "../../src/errors.ts";

/** The first offset that the log does not hold, and of which topic. */
export interface Position {
  readonly next: number;
  /** 32 hexadecimal digits; undefined where the brokers do not tell. */
  readonly topicId: string | undefined;
}

const VERSION = 1;
const NEXT_AT = 1;
const TOPIC_ID_AT = 9;
const POSITION_BYTES = 25;
/** What brokers without ids answer. */
const NO_TOPIC_ID = "0".repeat(32);

/** The id as a broker's 16 bytes; undefined for zeros. */
export function topicIdOf(bytes: Buffer): string | undefined {
  const id = bytes.toString("hex");
  return id === NO_TOPIC_ID ? undefined : id;
}

/** A position as bytes. */
export function encodePosition({ next, topicId }: Position): Uint8Array {
  const bytes = Buffer.alloc(POSITION_BYTES);
  bytes.writeUInt8(VERSION);
  bytes.writeBigUInt64BE(BigInt(next), NEXT_AT);
  if (topicId !== undefined) bytes.write(topicId, TOPIC_ID_AT, "hex");
  return bytes;
}

/** @throws LOG_VERSION for bytes of a later Holdfast, or of something else */
export function decodePosition(channel: string, bytes: Uint8Array): Position {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length !== POSITION_BYTES || buffer.readUInt8() !== VERSION)
    throw new HoldfastError(
      "LOG_VERSION",
      `position of ${channel} has ${buffer.length} bytes and version ${buffer[0] ?? "none"}, wanted ${POSITION_BYTES} and ${VERSION}`,
      { fix: "use the version of Holdfast that wrote it, or a receiver with another name" },
    );
  return {
    next: Number(buffer.readBigUInt64BE(NEXT_AT)),
    topicId: topicIdOf(buffer.subarray(TOPIC_ID_AT)),
  };
}
