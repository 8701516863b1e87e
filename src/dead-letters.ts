/**
 * The dead-letter log: letters as records of a log of their own, in `DATA/dead-letters`.
 *
 * A letter's value is the bytes as they came, its key the letter's identity, its headers say who set it aside
 * and why.
 */
import type { DeadLetter, DeadLetterStore } from "./contract/dead-letters.ts";
import type { Log } from "./contract/log.ts";
import type { RecordInput, StoredBlock } from "./contract/record.ts";
import { copyOf } from "./contract/record.ts";
import type { Clock } from "./host/clock.ts";
import { OriginView } from "./operator/origin-view.ts";
import { buildBlock } from "./record/block-builder.ts";

/** Name of the only receiver of the dead-letter log. */
const LETTERS = "dead-letters";
/** Letters stored as one block: it stays far below the limit of a block unless the letters are long. */
const LETTERS_PER_BLOCK = 1_000;
/** Bytes of letters in one block; one letter may be longer. */
const BLOCK_BYTES = 1024 * 1024;
/** Longest text of a reason that is kept, in characters. */
const MESSAGE_CHARACTERS = 1_000;

/** A letter as it is listed. */
export interface StoredLetter {
  readonly letterOffset: number;
  readonly atMs: number;
  readonly unit: string;
  readonly stage: string;
  readonly code: string;
  readonly message: string;
  readonly receiver: string;
  readonly offset: number | undefined;
  readonly bytes: Uint8Array;
}

/** The store over an open log. */
export function deadLetterStore(log: Log, clock: Clock): DeadLetterStore {
  return {
    get nextOffset() {
      return log.status().nextOffset;
    },
    async add(letters) {
      const blocks = inBlocks(letters).map((part) =>
        buildBlock(part.map((letter) => toRecord(letter, clock.wallMs()))),
      );
      await Promise.all(blocks.map((block) => log.append(block, { receiver: LETTERS, epoch: 0 })));
    },
    async keysFrom(offset, signal) {
      const keys = new Set<string>();
      for await (const item of log.read({ from: offset, to: log.durableEnd }, signal)) {
        if (item.kind === "gap") continue;
        for (const { key } of origins(item.block)) if (key !== undefined) keys.add(key);
      }
      return keys;
    },
  };
}

/** The letters of a block, for listing. */
export function lettersOf(block: StoredBlock): readonly StoredLetter[] {
  // Mapped one by one: the view is the same object for every record.
  return Array.from(origins(block), (origin) => {
    const text = (name: string): string => origin.header(name) ?? "";
    const offset = origin.header("offset");
    return {
      letterOffset: origin.offset,
      atMs: origin.timestampMs ?? origin.receivedAtMs,
      unit: text("unit"),
      stage: text("stage"),
      code: text("code"),
      message: text("message"),
      receiver: text("receiver"),
      offset: offset === undefined ? undefined : Number(offset),
      bytes: copyOf(block, origin.recordIndex),
    };
  });
}

function* origins(block: StoredBlock): Generator<OriginView> {
  const view = new OriginView();
  view.block = block;
  for (let recordIndex = 0; recordIndex < block.count; recordIndex++) {
    view.recordIndex = recordIndex;
    yield view;
  }
}

function inBlocks(letters: readonly DeadLetter[]): readonly (readonly DeadLetter[])[] {
  const blocks: DeadLetter[][] = [];
  let bytes = Infinity;
  for (const letter of letters) {
    const last = blocks.at(-1);
    const fits =
      last !== undefined &&
      last.length < LETTERS_PER_BLOCK &&
      bytes + letter.bytes.length <= BLOCK_BYTES;
    if (fits) last.push(letter);
    else blocks.push([letter]);
    bytes = (fits ? bytes : 0) + letter.bytes.length;
  }
  return blocks;
}

function toRecord(
  { key, unit, stage, code, message, receiver, offset, bytes }: DeadLetter,
  wallMs: number,
): RecordInput {
  const headers = {
    unit,
    stage,
    code,
    message: message.slice(0, MESSAGE_CHARACTERS),
    receiver,
    ...(offset === undefined ? {} : { offset: String(offset) }),
  };
  return { value: bytes, timestampMs: wallMs, headers, ...(key === "" ? {} : { key }) };
}
