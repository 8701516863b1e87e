/**
 * A window over a segment's file: reads in large pieces through one reused buffer, and looks at
 * entries in it.
 */
import { codeOf } from "../errors.ts";
import type { FileHandle, Files } from "../host/files.ts";
import { closeQuietly } from "./close-quietly.ts";
import { bodyIsValid, decodeEntryHeader, ENTRY_HEADER_BYTES, type EntryHeader } from "./entry.ts";
import { ALIGNMENT_BYTES, alignUp } from "./format.ts";
import type { Sighting } from "./recovery.ts";

/** What is read at once, unless one entry is longer. */
export const WINDOW_BYTES: number = 1024 * 1024;
/** Memory of a window, handed from one to the next. */
export interface WindowRoom {
  buffer?: Uint8Array;
}

/** How often a read that failed is tried, each time on a freshly opened file. */
const READ_TRIES = 3;

const NOTHING: Sighting = { kind: "nothing" };

/**
 * Reads one segment. Not for several callers at once. Views into `bytes` are valid until the next
 * `look`.
 */
export class SegmentWindow {
  readonly #files: Files;
  readonly #path: string;
  readonly #salt: number;
  /** Nothing behind is read: the end of what is durable, or of the entries. */
  readonly #limit: number;
  #handle: FileHandle | undefined;
  #buffer: Uint8Array;
  /**
   * The buffer holds the file's bytes from `#start` on, `#length` of them; zeros where the file has
   * none.
   */
  #start = 0;
  #length = 0;
  #unreadableBytes = 0;

  constructor(
    files: Files,
    path: string,
    segment: { readonly salt: number; readonly limit: number; readonly buffer?: Uint8Array },
  ) {
    this.#files = files;
    this.#path = path;
    this.#salt = segment.salt;
    this.#limit = segment.limit;
    this.#buffer = segment.buffer ?? new Uint8Array(0);
  }

  /** The buffer, for the next window. */
  get buffer(): Uint8Array {
    return this.#buffer;
  }

  /** Bytes that could not be read even alone; they count as zeros. */
  get unreadableBytes(): number {
    return this.#unreadableBytes;
  }

  /** Index in `buffer` of a position that was looked at last. */
  indexOf(position: number): number {
    return position - this.#start;
  }

  /**
   * What lies at `position`. The body is only read and checked when `wantsBody` says so. Throws
   * when the file cannot be opened; a place that cannot be read holds nothing.
   */
  async look(position: number, wantsBody: (header: EntryHeader) => boolean): Promise<Sighting> {
    if (!this.#holds(position, ENTRY_HEADER_BYTES)) await this.#load(position, ALIGNMENT_BYTES);
    const header = this.#headerAt(position);
    if (header === undefined) return NOTHING;
    if (!wantsBody(header)) return { kind: "entry", header, isBodyValid: true };
    if (position + header.entryBytes > this.#limit)
      return { kind: "entry", header, isBodyValid: false };
    if (!this.#holds(position, header.entryBytes)) await this.#load(position, header.entryBytes);
    const isBodyValid = bodyIsValid(
      this.#buffer.subarray(0, this.#length),
      this.indexOf(position),
      header,
      this.#salt,
    );
    return { kind: "entry", header, isBodyValid };
  }

  /** As `look` with the body, without waiting; undefined when the window does not hold it. */
  peek(position: number): Sighting | undefined {
    if (!this.#holds(position, ENTRY_HEADER_BYTES)) return undefined;
    const header = this.#headerAt(position);
    if (header === undefined) return NOTHING;
    if (!this.#holds(position, header.entryBytes)) return undefined;
    return {
      kind: "entry",
      header,
      isBodyValid: bodyIsValid(this.#buffer, this.indexOf(position), header, this.#salt),
    };
  }

  /** Forgets what was read: the next look asks the disk again. */
  forget(): void {
    this.#length = 0;
  }

  /** A copy of a range of the file, for the quarantine. */
  async copy(from: number, to: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(to - from);
    await this.#fill(bytes, from);
    return bytes;
  }

  /** May be called twice. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle !== undefined) await closeQuietly(handle);
  }

  #headerAt(position: number): EntryHeader | undefined {
    if (!this.#holds(position, ENTRY_HEADER_BYTES)) return undefined;
    return decodeEntryHeader(this.#buffer, this.indexOf(position), this.#salt);
  }

  #holds(position: number, bytes: number): boolean {
    return position >= this.#start && position + bytes <= this.#start + this.#length;
  }

  /** Moves the window to `position`; what it already holds from there on is kept. */
  async #load(position: number, bytes: number): Promise<void> {
    const length = Math.max(alignUp(bytes), Math.min(WINDOW_BYTES, this.#limit - position));
    const kept = this.#holds(position, 0) ? this.#start + this.#length - position : 0;
    const from = this.indexOf(position);
    if (length > this.#buffer.length) {
      const grown = new Uint8Array(alignUp(length));
      grown.set(this.#buffer.subarray(from, from + kept));
      this.#buffer = grown;
    } else {
      this.#buffer.copyWithin(0, from, from + kept);
    }
    // Nothing is held while the read is under way, so a failure leaves no half-filled window
    // behind.
    this.#length = 0;
    this.#start = position;
    if (length > kept) await this.#fill(this.#buffer.subarray(kept, length), position + kept);
    this.#length = Math.max(length, kept);
  }

  /**
   * Reads a range; what lies behind the file's end or the limit is zeros, and so is what cannot be
   * read.
   */
  async #fill(target: Uint8Array, position: number): Promise<void> {
    const wanted = target.subarray(0, Math.max(0, Math.min(target.length, this.#limit - position)));
    target.fill(0, wanted.length);
    if (await this.#tryRead(wanted, position)) return;
    for (let at = 0; at < wanted.length; at += ALIGNMENT_BYTES) {
      const piece = wanted.subarray(at, at + ALIGNMENT_BYTES);
      if (await this.#tryRead(piece, position + at)) continue;
      piece.fill(0);
      this.#unreadableBytes += piece.length;
    }
  }

  async #tryRead(target: Uint8Array, position: number): Promise<boolean> {
    for (let attempt = 1; attempt <= READ_TRIES; attempt += 1) {
      const handle = await this.#opened();
      if (handle === undefined) return false;
      try {
        await readFully(handle, target, position);
        return true;
      } catch {
        // A bad sector, or a descriptor that went bad: a fresh one decides. What stays unreadable
        // becomes a reported gap.
        await this.close();
      }
    }
    return false;
  }

  /**
   * Undefined when somebody removed the file: nothing in it can be read, which is a gap like any
   * other.
   */
  async #opened(): Promise<FileHandle | undefined> {
    try {
      this.#handle ??= await this.#files.open(this.#path, "read");
      return this.#handle;
    } catch (cause) {
      if (codeOf(cause) === "ENOENT") return undefined;
      throw cause;
    }
  }
}

/** Fills `target` from `position` on; zeros behind the end of the file. */
export async function readFully(
  handle: FileHandle,
  target: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < target.length) {
    const count = await handle.read(target, done, target.length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  target.fill(0, done);
}
