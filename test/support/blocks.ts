/** Blocks and receivers for tests, from plain strings. */
import type { Receiver } from "../../src/contract/receiver.ts";
import type { StoredBlock } from "../../src/contract/record.ts";

/** What a test may say about a block; the rest has plain values. */
export interface BlockInput {
  readonly receiver?: string;
  readonly firstOffset?: number;
  readonly receivedAtMs?: number;
  readonly delimiter?: string;
}

/** A stored block of these texts, each followed by the delimiter. */
export function storedBlock(texts: readonly string[], input: BlockInput = {}): StoredBlock {
  const { receiver = "meters", firstOffset = 0, receivedAtMs = 1_000, delimiter = "\n" } = input;
  const parts = texts.map((text) => Buffer.from(text + delimiter));
  const values = Buffer.concat(parts);
  const valueEnds = new Uint32Array(parts.length);
  let end = 0;
  for (const [index, part] of parts.entries()) valueEnds[index] = end += part.length;
  return {
    receiver,
    firstOffset,
    values,
    valueEnds,
    partition: 0,
    count: texts.length,
    valuesStart: 0,
    delimiterBytes: Buffer.byteLength(delimiter),
    channel: "",
    receivedAtMs: () => receivedAtMs,
  };
}

/** A receiver value that is never opened. */
export function receiverNamed<const Name extends string>(name: Name): Receiver<Name> {
  return {
    kind: "receiver",
    name,
    type: "test",
    redelivers: true,
    options: {},
    common: { inflightBytesMax: 8 * 1024 * 1024, storeTimeoutMs: 30_000 },
    open: () => Promise.reject(new Error("never opened")),
  };
}
