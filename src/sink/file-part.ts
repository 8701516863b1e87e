/**
 * The open part of a file sink: bytes go in at its end, in few and large writes, and are durable after `sync`.
 */
import { codeOf, HoldfastError, toError } from "../errors.ts";
import type { FileHandle, Files } from "../host/files.ts";
import type { LineWriter } from "./lines.ts";

/** Size of a write buffer. There are two: one is filled while the other is written. */
export const WRITE_BUFFER_BYTES: number = 1024 * 1024;

/** UTF-8 bytes that one UTF-16 unit needs at most. */
const BYTES_PER_UNIT_MAX = 3;

/** Lines as long as this are encoded apart; shorter ones go straight into the buffer. */
const TEXT_UNITS_MAX: number = WRITE_BUFFER_BYTES / (2 * BYTES_PER_UNIT_MAX);

/** An open part. A call that rejects leaves it unusable: discard it and open it again. */
export class PartFile implements LineWriter {
  readonly #handle: FileHandle;
  readonly #sink: string;
  #buffer: Buffer = EMPTY;
  #filledBytes = 0;
  /** The other buffer, while it is not written. */
  #spare: Buffer = EMPTY;
  #writing: Promise<void> = Promise.resolve();
  /** Bytes that are in the file or on their way there. */
  #sentBytes: number;
  #isChanged = false;

  private constructor(sink: string, handle: FileHandle, bytes: number) {
    this.#sink = sink;
    this.#handle = handle;
    this.#sentBytes = bytes;
  }

  /**
   * Opens the part at `path` with its first `bytes` bytes and nothing behind them; a part of no bytes is made.
   *
   * @throws SINK_BEHIND when the file has fewer bytes; SINK_FAILED, also when it is not there; DIRECTORY_UNWRITABLE
   */
  static async open(
    files: Files,
    sink: string,
    at: { readonly path: string; readonly bytes: number },
  ): Promise<PartFile> {
    const { path, bytes } = at;
    const handle = await fileCall(
      sink,
      path,
      bytes > 0 ? files.open(path, "write") : openOrCreate(files, path),
    );
    try {
      const size = await fileCall(sink, path, handle.size());
      if (size < bytes)
        throw new HoldfastError(
          "SINK_BEHIND",
          `${sink}: ${path} has ${size} bytes, ${bytes} of them are committed`,
        );
      if (size > bytes) await fileCall(sink, path, handle.truncate(bytes));
      return new PartFile(sink, handle, bytes);
    } catch (cause) {
      await handle.close();
      throw cause;
    }
  }

  /** Bytes so far, buffered ones included. */
  get bytes(): number {
    return this.#sentBytes + this.#filledBytes;
  }

  append(bytes: Uint8Array, start: number, end: number): Promise<void> | undefined {
    const length = end - start;
    this.#isChanged = true;
    if (length > this.#buffer.length - this.#filledBytes)
      return this.#appendPieces(bytes, start, end);
    this.#buffer.set(bytes.subarray(start, end), this.#filledBytes);
    this.#filledBytes += length;
    return undefined;
  }

  appendText(text: string): Promise<void> | undefined {
    if (text.length > TEXT_UNITS_MAX) {
      const bytes = Buffer.from(text, "utf8");
      return this.append(bytes, 0, bytes.length);
    }
    this.#isChanged = true;
    if (text.length * BYTES_PER_UNIT_MAX > this.#buffer.length - this.#filledBytes)
      return this.#appendTextBehind(text);
    this.#filledBytes += this.#buffer.write(text, this.#filledBytes, "utf8");
    return undefined;
  }

  /** Everything appended is on the disk when it resolves. */
  async sync(): Promise<void> {
    if (!this.#isChanged) return;
    await this.#send();
    await this.#writing;
    await this.#call(this.#handle.sync());
    this.#isChanged = false;
  }

  /** Cuts everything behind the first `bytes` bytes, buffered ones included. */
  async cutTo(bytes: number): Promise<void> {
    // A failed write is void: what it left behind is cut away now.
    await this.#writing.catch(() => undefined);
    await this.#call(this.#handle.truncate(bytes));
    this.#writing = Promise.resolve();
    this.#filledBytes = 0;
    this.#sentBytes = bytes;
  }

  /** May be called twice. */
  async close(): Promise<void> {
    await this.#writing.catch(() => undefined);
    await this.#handle.close();
  }

  async #appendPieces(bytes: Uint8Array, start: number, end: number): Promise<void> {
    for (let at = start; at < end; ) {
      if (this.#filledBytes === this.#buffer.length) await this.#send();
      const length = Math.min(end - at, this.#buffer.length - this.#filledBytes);
      this.#buffer.set(bytes.subarray(at, at + length), this.#filledBytes);
      this.#filledBytes += length;
      at += length;
    }
  }

  async #appendTextBehind(text: string): Promise<void> {
    await this.#send();
    this.#filledBytes += this.#buffer.write(text, this.#filledBytes, "utf8");
  }

  /** Starts writing the filled buffer, after the one before is written, and takes the other. */
  async #send(): Promise<void> {
    await this.#writing;
    const [full, length] = [this.#buffer, this.#filledBytes];
    this.#buffer =
      this.#spare.length > 0 ? this.#spare : Buffer.allocUnsafeSlow(WRITE_BUFFER_BYTES);
    this.#spare = full;
    this.#filledBytes = 0;
    if (length === 0) return;
    this.#writing = this.#writeAll(full, length, this.#sentBytes);
    this.#sentBytes += length;
    // Whoever waits for it next gets the failure; until then it is not unhandled.
    this.#writing.catch(() => undefined);
  }

  async #writeAll(buffer: Buffer, length: number, position: number): Promise<void> {
    for (let done = 0; done < length; ) {
      const taken = await this.#call(
        this.#handle.write(buffer, done, length - done, position + done),
      );
      if (taken === 0)
        throw new HoldfastError(
          "SINK_FAILED",
          `${this.#sink}: ${this.#handle.path} took 0 of ${length - done} bytes`,
        );
      done += taken;
    }
  }

  #call<T>(call: Promise<T>): Promise<T> {
    return fileCall(this.#sink, this.#handle.path, call);
  }
}

const EMPTY: Buffer = Buffer.alloc(0);

async function openOrCreate(files: Files, path: string): Promise<FileHandle> {
  try {
    return await files.open(path, "write");
  } catch (cause) {
    if (codeOf(cause) !== "ENOENT") throw cause;
    return await files.open(path, "create");
  }
}

/** Codes of a place that needs a human: waiting does not help. */
const UNWRITABLE: readonly string[] = [
  "EACCES",
  "EPERM",
  "EROFS",
  "ENOTDIR",
  "EISDIR",
  "ENAMETOOLONG",
];

/**
 * The call's result, with failures in our words.
 *
 * @throws DIRECTORY_UNWRITABLE, SINK_FAILED
 */
export async function fileCall<T>(sink: string, path: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (cause) {
    const code = codeOf(cause);
    if (UNWRITABLE.includes(code)) {
      throw new HoldfastError(
        "DIRECTORY_UNWRITABLE",
        `${sink}: ${path} cannot be written: ${code}`,
        { cause, fix: "give this user write permission, or choose another directory" },
      );
    }
    throw new HoldfastError("SINK_FAILED", `${sink}: ${path}: ${toError(cause).message}`, {
      cause,
    });
  }
}
