/**
 * What a framing is: where messages begin and end in a stream of bytes. The framings are in
 * `delimited.ts`, `length-prefixed.ts` and `octet-counting.ts`.
 */
import type { HoldfastError } from "../errors.ts";
import type { Workspace } from "./workspace.ts";

/** Longest message where nothing else is said: 1 MiB. */
export const MESSAGE_BYTES_DEFAULT: number = 2 ** 20;
/** Longest message that can be asked for: 3 MiB. A chunk more, and it still fits a block of the log. */
export const MESSAGE_BYTES_LIMIT: number = 3 * 2 ** 20;

/** How messages are told apart. A value: it holds no state and may serve any number of connections. */
export interface Framing {
  readonly kind: "framing";
  /** For messages: `lines`, `delimited`, `length-prefixed`, `octet-counting`. */
  readonly type: string;
  /** Longest message without its frame, or undefined: then the receiver's limit holds, or 1 MiB. */
  readonly messageBytesMax: number | undefined;
  /**
   * The message in its frame, ready to be sent.
   *
   * @throws MESSAGE_TOO_LONG beyond `messageBytesMax`; BLOCK_INVALID when it holds the delimiter.
   */
  frame(message: Uint8Array | string): Uint8Array;
  /** For one connection: an array per chunk. */
  splitter(): Splitter;
  /** For one connection: no object per message. Splitters that share a workspace may take turns. */
  blockSplitter(workspace: Workspace, messageBytesMax: number): BlockSplitter;
}

/** Splits what one connection sends, a message at a time. */
export interface Splitter {
  /**
   * The messages that this chunk completes, in order, as copies.
   *
   * @throws MESSAGE_TOO_LONG, FRAME_INVALID: at once when nothing came before the message in question, else at the next
   * call. From then on every call throws.
   */
  push(chunk: Uint8Array): Uint8Array[];
  /** Bytes of a message whose end has not come. */
  readonly unfinishedBytes: number;
}

/** What a chunk completed, shaped like a block; valid until the workspace is used again. */
export interface Split {
  /** 0 or more. */
  readonly count: number;
  readonly values: Uint8Array;
  readonly valuesStart: number;
  readonly valueEnds: Uint32Array;
  readonly delimiterBytes: number;
  /** Set when what follows those messages is refused. The splitter takes nothing more. */
  readonly refused: Refusal | undefined;
}

/** Why the rest of a stream is refused. */
export interface Refusal {
  /** MESSAGE_TOO_LONG, FRAME_INVALID */
  readonly error: HoldfastError;
  /** What there is of the refused message, a copy, cut to {@link EXCERPT_BYTES}. */
  readonly bytes: Uint8Array;
}

/** How much of a refused message is kept for the dead letter. */
export const EXCERPT_BYTES = 4_096;

/** Splits what one connection sends, a chunk at a time. */
export interface BlockSplitter {
  /**
   * The messages that this chunk completes. The chunk may be changed, and so may the `headroomBytes` bytes in
   * front of it in its ArrayBuffer: a beginning that was carried over is put there.
   */
  push(chunk: Uint8Array, headroomBytes: number): Split;
  readonly unfinishedBytes: number;
  /** A copy of the message whose end has not come. */
  unfinished(): Uint8Array;
}
