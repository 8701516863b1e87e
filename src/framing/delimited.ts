/**
 * Messages that end with a delimiter: lines, or anything else that a message cannot hold.
 */
import { HoldfastError } from "../errors.ts";
import { Carry } from "./carry.ts";
import {
  type BlockSplitter,
  type Framing,
  MESSAGE_BYTES_DEFAULT,
  type Refusal,
  type Split,
} from "./framing.ts";
import { checkMessageBytesMax, INCOMPLETE, refuse, refusedSplit, tooLong } from "./limits.ts";
import { MessageSplitter } from "./message-splitter.ts";
import type { Workspace } from "./workspace.ts";

/** Longest delimiter in bytes: the log keeps its length in one. */
const DELIMITER_BYTES_MAX = 255;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Options of {@link lines}. */
export interface LinesOptions {
  /** Longest line in bytes, its end not counted: 1 .. 3 MiB. @defaultValue the receiver's limit, or 1 MiB */
  readonly messageBytesMax?: number;
}

/**
 * Lines that end with LF; a CR before it belongs to the end of the line. Empty lines are no messages.
 *
 * @throws CONFIG_OUT_OF_RANGE
 */
export function lines({ messageBytesMax }: LinesOptions = {}): Framing {
  return delimitedFraming(
    { type: "lines", delimiter: Buffer.of(LINE_FEED), dropsCarriageReturn: true },
    messageBytesMax,
  );
}

/** Options of {@link delimited}. */
export interface DelimitedOptions extends LinesOptions {
  /** Text (as UTF-8) or bytes: 1 .. 255 bytes. */
  readonly delimiter: string | Uint8Array;
}

/**
 * Messages that end with `delimiter`. Nothing between two delimiters is no message.
 *
 * @throws CONFIG_OUT_OF_RANGE
 */
export function delimited({ delimiter, messageBytesMax }: DelimitedOptions): Framing {
  const bytes = Buffer.from(delimiter);
  if (bytes.length < 1 || bytes.length > DELIMITER_BYTES_MAX) {
    throw new HoldfastError(
      "CONFIG_OUT_OF_RANGE",
      `delimiter has ${bytes.length} bytes, allowed are 1 to ${DELIMITER_BYTES_MAX}`,
    );
  }
  return delimitedFraming(
    { type: "delimited", delimiter: bytes, dropsCarriageReturn: false },
    messageBytesMax,
  );
}

interface Delimiting {
  readonly type: string;
  readonly delimiter: Buffer;
  readonly dropsCarriageReturn: boolean;
}

function delimitedFraming(delimiting: Delimiting, limit: number | undefined): Framing {
  const messageBytesMax = checkMessageBytesMax(limit);
  const { type, delimiter } = delimiting;
  const framing: Framing = {
    kind: "framing",
    type,
    messageBytesMax,
    frame(message) {
      const bytes = Buffer.from(message);
      const limit = messageBytesMax ?? MESSAGE_BYTES_DEFAULT;
      if (bytes.length > limit) throw tooLong(bytes.length, true, limit);
      const at = bytes.indexOf(delimiter);
      if (at !== -1)
        throw new HoldfastError(
          "BLOCK_INVALID",
          `the message holds the delimiter at byte ${at} of ${bytes.length}`,
        );
      return Buffer.concat([bytes, delimiter]);
    },
    splitter: () => new MessageSplitter(framing),
    blockSplitter: (workspace, receiverMax) =>
      new DelimitedSplitter(delimiting, messageBytesMax ?? receiverMax, workspace),
  };
  return Object.freeze(framing);
}

/** What a scan has found so far. Numbers are indexes in the bytes that are scanned. */
interface Scan {
  count: number;
  /** Where the next message begins. */
  start: number;
  /** Where its bytes belong: below `start` once something was left out. */
  target: number;
  refused: Refusal | undefined;
}

class DelimitedSplitter implements BlockSplitter {
  readonly #delimiter: Buffer;
  /** For one byte a number: searching for it is several times faster. */
  readonly #needle: Buffer | number;
  readonly #dropsCarriageReturn: boolean;
  readonly #messageBytesMax: number;
  /** Longer without a delimiter: too long. A part of the delimiter may be there already. */
  readonly #unfinishedBytesMax: number;
  readonly #workspace: Workspace;
  readonly #carry = new Carry();
  #refused: Refusal | undefined;

  constructor(
    { delimiter, dropsCarriageReturn }: Delimiting,
    messageBytesMax: number,
    workspace: Workspace,
  ) {
    this.#delimiter = delimiter;
    this.#needle = delimiter.length === 1 ? (delimiter[0] ?? 0) : delimiter;
    this.#dropsCarriageReturn = dropsCarriageReturn;
    this.#messageBytesMax = messageBytesMax;
    this.#unfinishedBytesMax =
      messageBytesMax + delimiter.length - 1 + (dropsCarriageReturn ? 1 : 0);
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
    const bytes = asBuffer(chunk);
    const carried = this.#carry.byteCount;
    if (carried === 0) return this.#scan(bytes, 0);
    if (!this.#completes(bytes)) return this.#keep(bytes);
    // What was carried over was searched when it came, except for a delimiter that ends in the new bytes.
    const from = Math.max(0, carried - this.#delimiter.length + 1);
    return this.#scan(this.#carry.joinWith(bytes, headroomBytes, this.#workspace), from);
  }

  /** Whether a delimiter ends in this chunk. Only then the carried bytes are moved: else many small chunks would move them many times. */
  #completes(chunk: Buffer): boolean {
    if (chunk.indexOf(this.#needle) !== -1) return true;
    const overlap = this.#delimiter.length - 1;
    if (overlap === 0) return false;
    const seam = Buffer.concat([this.#carry.bytes.subarray(-overlap), chunk.subarray(0, overlap)]);
    return seam.indexOf(this.#needle) !== -1;
  }

  /** Keeps bytes that complete nothing, within the limit. */
  #keep(tail: Buffer): Split {
    const byteCount = this.#carry.byteCount + tail.length;
    if (byteCount <= this.#unfinishedBytesMax) {
      this.#carry.append(tail);
      return INCOMPLETE;
    }
    const error = tooLong(byteCount, false, this.#messageBytesMax);
    this.#refused = refuse(error, this.#carry.bytes, tail);
    this.#carry.clear();
    return refusedSplit(this.#refused);
  }

  #scan(bytes: Buffer, from: number): Split {
    const scan: Scan = { count: 0, start: 0, target: 0, refused: undefined };
    this.#scanPlain(bytes, from, scan);
    if (scan.refused === undefined) scan.refused = this.#keep(bytes.subarray(scan.start)).refused;
    else this.#refused = scan.refused;
    const { count, refused } = scan;
    const valueEnds = this.#workspace.ends;
    return {
      count,
      values: bytes,
      valuesStart: 0,
      valueEnds,
      delimiterBytes: this.#delimiter.length,
      refused,
    };
  }

  /** Finds delimiters as long as nothing has to be left out: nothing moves. */
  #scanPlain(bytes: Buffer, from: number, scan: Scan): void {
    const needle = this.#needle;
    const width = this.#delimiter.length;
    const messageBytesMax = this.#messageBytesMax;
    const checksReturn = this.#dropsCarriageReturn;
    let { ends } = this.#workspace;
    let start = 0;
    let count = 0;
    let at = bytes.indexOf(needle, from);
    while (at !== -1) {
      const length = at - start;
      const leavesOut = length === 0 || (checksReturn && bytes[at - 1] === CARRIAGE_RETURN);
      if (leavesOut || length > messageBytesMax) break;
      start = at + width;
      if (count === ends.length) ends = this.#workspace.moreEnds();
      ends[count++] = start;
      at = bytes.indexOf(needle, start);
    }
    scan.count = count;
    scan.start = start;
    scan.target = start;
    if (at !== -1) this.#scanLeavingOut(bytes, at, scan);
  }

  /** Goes on where a line ends with CR LF, is empty or too long: each message moves down by what was left out. */
  #scanLeavingOut(bytes: Buffer, from: number, scan: Scan): void {
    const delimiter = this.#delimiter;
    for (let at = from; at !== -1; at = bytes.indexOf(this.#needle, scan.start)) {
      const { start } = scan;
      const endsWithReturn =
        this.#dropsCarriageReturn && at > start && bytes[at - 1] === CARRIAGE_RETURN;
      const length = (endsWithReturn ? at - 1 : at) - start;
      if (length > this.#messageBytesMax) {
        scan.refused = refuse(
          tooLong(length, true, this.#messageBytesMax),
          bytes.subarray(start, start + length),
        );
        return;
      }
      scan.start = at + delimiter.length;
      if (length === 0) continue;
      bytes.copyWithin(scan.target, start, start + length);
      bytes.set(delimiter, scan.target + length);
      scan.target += length + delimiter.length;
      const ends =
        scan.count === this.#workspace.ends.length
          ? this.#workspace.moreEnds()
          : this.#workspace.ends;
      ends[scan.count++] = scan.target;
    }
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
