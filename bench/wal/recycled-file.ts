/**
 * A file that was written once and is overwritten from then on, as a segment is: the bare calls that the log's
 * commits are held against.
 */
import { closeSync, constants, fdatasync, fsyncSync, openSync, write, writeSync } from "node:fs";

const strideBytes: number = 1024 * 1024;
const alignmentBytes = 4096;

/** How a write reaches the disk. */
export type Flush = "O_DSYNC" | "fdatasync";

/** Writes one after the other at fresh places, from the front again when the end is reached. */
export class RecycledFile {
  readonly #fd: number;
  readonly #bytes: number;
  readonly #flush: Flush;
  #position = alignmentBytes;

  constructor(path: string, bytes: number, flush: Flush) {
    this.#bytes = bytes;
    this.#flush = flush;
    writeOnce(path, bytes);
    this.#fd = openSync(path, constants.O_RDWR | (flush === "O_DSYNC" ? constants.O_DSYNC : 0));
  }

  /** Durable when it resolves. */
  write(buffer: Uint8Array): Promise<void> {
    const position = this.#next(buffer.length);
    return new Promise((resolve, reject) => {
      write(this.#fd, buffer, 0, buffer.length, position, (error, written) => {
        if (error !== null) return reject(error);
        if (written !== buffer.length) return reject(new Error(`${written} bytes were written`));
        if (this.#flush === "O_DSYNC") return resolve();
        fdatasync(this.#fd, (failure) => (failure === null ? resolve() : reject(failure)));
      });
    });
  }

  /** Durable when it returns; for a file with O_DSYNC. */
  writeSync(buffer: Uint8Array): void {
    const written = writeSync(this.#fd, buffer, 0, buffer.length, this.#next(buffer.length));
    if (written !== buffer.length) throw new Error(`${written} bytes were written`);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #next(length: number): number {
    if (this.#position + length > this.#bytes) this.#position = alignmentBytes;
    const position = this.#position;
    this.#position += length;
    return position;
  }
}

function writeOnce(path: string, bytes: number): void {
  const fd = openSync(path, "w", 0o600);
  try {
    const zeros = Buffer.alloc(Math.min(strideBytes, bytes));
    for (let at = 0; at < bytes; at += zeros.length)
      writeSync(fd, zeros, 0, Math.min(zeros.length, bytes - at), at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
