/**
 * The beginning of a message whose end has not come, kept between two chunks of a connection.
 */
import type { Workspace } from "./workspace.ts";

/** A larger buffer is given back once its message is complete. */
const KEPT_BYTES = 4_096;
const SMALLEST_BYTES = 256;

/** Bytes that grow at their end; each is copied a constant number of times on average. */
export class Carry {
  #buffer: Buffer = Buffer.alloc(0);
  #byteCount = 0;

  get byteCount(): number {
    return this.#byteCount;
  }

  /** A view of what is kept. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#byteCount);
  }

  /** Adds a copy of `bytes`. The caller has checked the limit. */
  append(bytes: Uint8Array): void {
    const needed = this.#byteCount + bytes.length;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.max(needed, 2 * this.#buffer.length, SMALLEST_BYTES),
      );
      this.#buffer.copy(larger, 0, 0, this.#byteCount);
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#byteCount);
    this.#byteCount = needed;
  }

  /** What is kept and the chunk behind it in one piece: in the chunk's headroom if it fits, else in the workspace. Keeps nothing. */
  joinWith(chunk: Buffer, headroomBytes: number, workspace: Workspace): Buffer {
    const kept = this.bytes;
    const byteCount = kept.length + chunk.length;
    const fits = kept.length <= headroomBytes;
    const joined = fits
      ? Buffer.from(chunk.buffer, chunk.byteOffset - kept.length, byteCount)
      : workspace.joined(byteCount);
    joined.set(kept, 0);
    if (!fits) joined.set(chunk, kept.length);
    this.clear();
    return joined;
  }

  clear(): void {
    this.#byteCount = 0;
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = Buffer.alloc(0);
  }
}
