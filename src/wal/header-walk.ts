/**
 * Follows the segment that is being written by the headers of its entries, from outside the writer. A header says what
 * was durable when it was made, so a later one is the proof of all before it, whatever became of its own body.
 */
import type { FileHandle, Files } from "../host/files.ts";
import { closeQuietly } from "./close-quietly.ts";
import { decodeEntryHeader, entryDiskBytes, type EntryHeader } from "./entry.ts";
import { ALIGNMENT_BYTES, SEGMENT_HEADER_BYTES } from "./format.ts";
import { startWalk, type Step, stepWalk, type Walk } from "./recovery.ts";
import type { SegmentIdentity, SegmentPlace } from "./segment.ts";
import { readSeal } from "./segment-scan.ts";
import { readFully } from "./segment-window.ts";

const CHUNK_BYTES: number = 64 * 1024;

/** One segment, walked as far as it is written. Not for several callers at once. */
export class HeaderWalk {
  readonly #files: Files;
  readonly #path: string;
  readonly #identity: SegmentIdentity;
  #chunk: Uint8Array = new Uint8Array(0);
  #chunkStart = 0;
  #chunkBytes = 0;
  #handle: FileHandle | undefined;
  #walk: Walk;
  #proven: SegmentPlace;
  #recordCount = 0;

  constructor(files: Files, path: string, identity: SegmentIdentity) {
    this.#files = files;
    this.#path = path;
    this.#identity = identity;
    this.#proven = { position: SEGMENT_HEADER_BYTES, offset: identity.baseOffset };
    this.#walk = startWalk(identity, this.#proven);
  }

  /** Everything before this place is durable: the newest header, or the SEAL, says so. */
  get proven(): SegmentPlace {
    return this.#proven;
  }

  /** Behind the newest entry that was seen. */
  get end(): SegmentPlace {
    return { position: this.#walk.position, offset: this.#walk.expected };
  }

  /** Whether an entry with records was seen. */
  get hasRecords(): boolean {
    return this.#recordCount > 0;
  }

  /**
   * Looks at what was written since. `isThorough` looks behind a place that holds no entry too, up to the end of the
   * file: it may be damage and not the end. Rejects with ENOENT when the file is gone, and as the disk does; the next
   * call then opens the file anew.
   */
  async advance(isThorough: boolean): Promise<void> {
    try {
      await this.#look(isThorough);
    } catch (cause) {
      await this.close();
      throw cause;
    }
  }

  async #look(isThorough: boolean): Promise<void> {
    this.#handle ??= await this.#files.open(this.#path, "read");
    if (this.#chunk.length === 0) this.#chunk = new Uint8Array(CHUNK_BYTES);
    // What was read before may have been written to since.
    this.#chunkBytes = 0;
    while (await this.#step());
    if (isThorough) await this.#search();
    await this.#lookForSeal();
  }

  /** Frees file and memory; may be called twice, and `advance` may follow. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    this.#chunk = new Uint8Array(0);
    if (handle !== undefined) await closeQuietly(handle);
  }

  async #step(): Promise<boolean> {
    const { step, header } = await this.#stepFrom(this.#walk);
    if (step.kind === "nothing" || header === undefined) return false;
    this.#accept(step.walk, header);
    return true;
  }

  async #search(): Promise<void> {
    let walk = this.#walk;
    while (walk.position < this.#limit) {
      const { step, header } = await this.#stepFrom(walk);
      walk = step.walk;
      if (step.kind === "nothing" || header === undefined) continue;
      this.#accept(step.walk, header);
    }
  }

  #accept(walk: Walk, header: EntryHeader): void {
    const position = walk.position - entryDiskBytes(header.entryBytes);
    this.#proven = { position, offset: Math.max(header.durableEnd, this.#proven.offset) };
    this.#recordCount += header.recordCount;
    this.#walk = walk;
  }

  /** The last block belongs to the SEAL. */
  get #limit(): number {
    return this.#identity.capacityBytes - ALIGNMENT_BYTES;
  }

  async #stepFrom(walk: Walk): Promise<{ readonly step: Step; readonly header?: EntryHeader }> {
    const header = walk.position < this.#limit ? await this.#headerAt(walk.position) : undefined;
    if (header === undefined) return { step: stepWalk(walk, { kind: "nothing" }) };
    return { step: stepWalk(walk, { kind: "entry", header, isBodyValid: true }), header };
  }

  async #headerAt(position: number): Promise<EntryHeader | undefined> {
    const isHeld =
      position >= this.#chunkStart &&
      position + ALIGNMENT_BYTES <= this.#chunkStart + this.#chunkBytes;
    if (!isHeld && this.#handle !== undefined) {
      await readFully(this.#handle, this.#chunk, position);
      this.#chunkStart = position;
      this.#chunkBytes = CHUNK_BYTES;
    }
    return decodeEntryHeader(this.#chunk, position - this.#chunkStart, this.#identity.salt);
  }

  /** A full log may stay sealed for long before its next segment comes. */
  async #lookForSeal(): Promise<void> {
    const { capacityBytes: sizeBytes, salt, segmentId } = this.#identity;
    const found = await readSeal(this.#files, this.#path, { segmentId, salt, sizeBytes });
    if (found === undefined) return;
    const { endOffset: offset, endPosition: position } = found.seal;
    this.#proven = { position, offset };
  }
}
