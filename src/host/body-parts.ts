/**
 * The body of a request while it arrives.
 */

/**
 * Chunks that are kept as they came. The client decides how long a chunk is: of one byte, what stands for it in memory
 * is a hundred times longer, so that many are copied into one.
 */
export const CHUNKS_MAX = 256;

/** Takes chunks, gives the whole. */
export class BodyParts {
  #parts: Buffer[] = [];
  #chunks: Buffer[] = [];

  /** How many buffers are kept. */
  get count(): number {
    return this.#parts.length + this.#chunks.length;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    if (this.#chunks.length < CHUNKS_MAX) return;
    this.#parts.push(Buffer.concat(this.#chunks));
    this.#chunks = [];
  }

  /** Everything that was added. */
  whole(): Buffer {
    return Buffer.concat([...this.#parts, ...this.#chunks]);
  }

  /** Forgets what was added. */
  clear(): void {
    this.#parts = [];
    this.#chunks = [];
  }
}
