/**
 * A splitter that gives messages one by one, on top of the one that gives blocks.
 */
import type { BlockSplitter, Framing, Refusal, Splitter } from "./framing.ts";
import { MESSAGE_BYTES_DEFAULT } from "./framing.ts";
import { Workspace } from "./workspace.ts";

/** The public splitter of every framing. */
export class MessageSplitter implements Splitter {
  readonly #blocks: BlockSplitter;
  #refused: Refusal | undefined;

  constructor(framing: Framing) {
    this.#blocks = framing.blockSplitter(new Workspace(), MESSAGE_BYTES_DEFAULT);
  }

  get unfinishedBytes(): number {
    return this.#blocks.unfinishedBytes;
  }

  push(chunk: Uint8Array): Uint8Array[] {
    if (this.#refused !== undefined) throw this.#refused.error;
    // A copy: this chunk is the caller's, and the messages live as long as the caller wants.
    const split = this.#blocks.push(Buffer.from(chunk), 0);
    this.#refused = split.refused;
    if (split.count === 0 && split.refused !== undefined) throw split.refused.error;
    const messages: Uint8Array[] = [];
    let start = split.valuesStart;
    for (const end of split.valueEnds.subarray(0, split.count)) {
      messages.push(
        Uint8Array.prototype.slice.call(split.values, start, end - split.delimiterBytes),
      );
      start = end;
    }
    return messages;
  }
}
