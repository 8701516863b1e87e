/**
 * The files behind segments: spares that are ready, new ones within the budget, and freed ones that
 * come back.
 *
 * A file becomes a segment in this order, each step durable before the next:
 * 1. its header is written with a new segment id, and so with a new salt: nothing that an earlier
 *    life left in the file can pass a checksum any more;
 * 2. it gets its name `seg-...` and the directory is synced: a crash before leaves a `spare-...`,
 *    or a name whose header disagrees, and in both cases no entry was written;
 * 3. entries are written (by the caller).
 */
import type { Clock } from "../host/clock.ts";
import type { FileHandle, Files } from "../host/files.ts";
import {
  encodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  SEGMENT_KIND,
  saltOf,
  segmentFileName,
  spareFileName,
  zeros,
} from "./format.ts";
import { Segment } from "./segment.ts";
import { isDiskFull, SegmentWriter, writeFully, ZERO_STRIDE_BYTES } from "./segment-writer.ts";

/** Files that are kept ready. */
export const SPARES_MAX = 2;

/** What a pool needs. */
export interface SegmentPoolOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly directory: string;
  readonly logUuid: Uint8Array;
  readonly segmentBytes: number;
  readonly bytesMax: number;
  /**
   * False on copy-on-write file systems, where writing zeros first or over an old file gains
   * nothing.
   */
  readonly preallocates: boolean;
  /** Ids from here on were never used. */
  readonly nextSegmentId: number;
  /** Spares that were found, whole and of `segmentBytes`. */
  readonly spares: readonly string[];
  /** Bytes of the segments that are in use. */
  readonly usedBytes: number;
}

/** What the next segment has to say in its header. */
export interface SegmentRequest {
  readonly baseOffset: number;
  readonly epoch: number;
  readonly previousEnd: number;
  readonly previousSalt: number;
  /** Capacity that is needed at least; beyond `segmentBytes` for a single large entry. */
  readonly capacityBytesMin: number;
}

/** Segments' files. `take` is never called twice at once; the rest may overlap. */
export class SegmentPool {
  readonly #options: SegmentPoolOptions;
  readonly #spares: string[];
  #nextSegmentId: number;
  #bytes: number;
  #preparing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: SegmentPoolOptions) {
    this.#options = options;
    this.#spares = [...options.spares];
    this.#nextSegmentId = options.nextSegmentId;
    this.#bytes = options.usedBytes + options.spares.length * options.segmentBytes;
  }

  /** Segments and spares, those in the making included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a file is ready that needs no room on the disk. */
  get hasSpare(): boolean {
    return this.#spares.length > 0;
  }

  /**
   * A segment with a durable header and name. `full`: neither a spare nor room in the budget or on
   * the disk.
   */
  async take(request: SegmentRequest): Promise<SegmentWriter | "full"> {
    const isOversized = request.capacityBytesMin > this.#options.segmentBytes;
    // A spare in the making is nearly ready, and its bytes count already.
    if (!isOversized && this.#spares.length === 0 && this.#preparing !== undefined)
      await this.#preparing;
    const spare = isOversized ? undefined : this.#spares.shift();
    return spare === undefined ? await this.#create(request) : await this.#reuse(spare, request);
  }

  async #reuse(spare: string, request: SegmentRequest): Promise<SegmentWriter> {
    const { files, segmentBytes } = this.#options;
    try {
      const handle = await files.open(this.#path(spare), "write-durable");
      return await this.#begin(handle, spare, request, {
        capacityBytes: segmentBytes,
        zeroedTo: segmentBytes,
      });
    } catch (cause) {
      await this.#discard(spare, segmentBytes);
      throw cause;
    }
  }

  async #create(request: SegmentRequest): Promise<SegmentWriter | "full"> {
    const { bytesMax, files, preallocates, segmentBytes } = this.#options;
    const capacityBytes = Math.max(segmentBytes, request.capacityBytesMin);
    if (this.#bytes + capacityBytes > bytesMax) return "full";
    this.#bytes += capacityBytes;
    const spare = spareFileName(this.#newSegmentId());
    try {
      const handle = await files.open(this.#path(spare), "create-durable");
      return await this.#begin(handle, spare, request, {
        capacityBytes,
        zeroedTo: preallocates ? SEGMENT_HEADER_BYTES : capacityBytes,
      });
    } catch (cause) {
      await this.#discard(spare, capacityBytes);
      if (isDiskFull(cause)) return "full";
      throw cause;
    }
  }

  /** Steps 1 and 2 of the order above. */
  async #begin(
    handle: FileHandle,
    spare: string,
    request: SegmentRequest,
    file: { readonly capacityBytes: number; readonly zeroedTo: number },
  ): Promise<SegmentWriter> {
    const { clock, directory, files, logUuid } = this.#options;
    const segmentId = this.#newSegmentId();
    const salt = saltOf(segmentId, logUuid);
    const { baseOffset, epoch, previousEnd, previousSalt } = request;
    const fileName = segmentFileName(baseOffset, segmentId);
    try {
      const createdWallMs = Math.floor(clock.wallMs());
      const header = encodeSegmentHeader({
        kind: SEGMENT_KIND.data,
        logUuid,
        segmentId,
        baseOffset,
        salt,
        epoch,
        capacityBytes: file.capacityBytes,
        createdWallMs,
        previousEnd,
        previousSalt,
      });
      await writeFully(handle, header, header.length, 0);
      await files.rename(this.#path(spare), this.#path(fileName));
      await files.syncDirectory(directory);
    } catch (cause) {
      await closeQuietly(handle);
      await this.#removeQuietly(fileName);
      throw cause;
    }
    const segment = new Segment(
      { segmentId, baseOffset, salt, epoch, capacityBytes: file.capacityBytes, fileName },
      { position: SEGMENT_HEADER_BYTES, offset: baseOffset },
    );
    return new SegmentWriter(segment, handle, {
      zeroedTo: file.zeroedTo,
      previousHeaderCrc: 0,
      entryCount: 0,
      firstTimeMs: 0,
    });
  }

  /**
   * Takes back the file of a segment that nobody needs; the caller has made that durable. A crash
   * in between leaves the segment, which is then free again by the same fact. Throws when the file
   * is as it was; `unsynced`: it is gone, and a power cut may bring it back.
   */
  async free(segment: Segment): Promise<"freed" | "unsynced"> {
    const { directory, files, preallocates, segmentBytes } = this.#options;
    const { capacityBytes, fileName, segmentId } = segment.identity;
    const isWhole =
      preallocates &&
      capacityBytes === segmentBytes &&
      (await files.stat(this.#path(fileName)))?.bytes === segmentBytes;
    if (isWhole && this.#spares.length < SPARES_MAX && !this.#isClosed) {
      const spare = spareFileName(segmentId);
      await files.rename(this.#path(fileName), this.#path(spare));
      this.#spares.push(spare);
    } else {
      await files.remove(this.#path(fileName));
      this.#bytes -= capacityBytes;
    }
    try {
      await files.syncDirectory(directory);
      return "freed";
    } catch {
      return "unsynced";
    }
  }

  /**
   * Makes spares in the background until there are {@link SPARES_MAX}, as far as budget and disk
   * allow.
   */
  prepare(): void {
    if (this.#preparing !== undefined || this.#isClosed || !this.#options.preallocates) return;
    if (!this.#wantsSpare()) return;
    this.#preparing = this.#makeSpares().finally(() => {
      this.#preparing = undefined;
    });
  }

  #wantsSpare(): boolean {
    const { bytesMax, segmentBytes } = this.#options;
    return (
      this.#spares.length < SPARES_MAX && !this.#isClosed && this.#bytes + segmentBytes <= bytesMax
    );
  }

  async #makeSpares(): Promise<void> {
    const { segmentBytes } = this.#options;
    while (this.#wantsSpare()) {
      this.#bytes += segmentBytes;
      const spare = spareFileName(this.#newSegmentId());
      try {
        await this.#writeZeros(spare);
        this.#spares.push(spare);
      } catch {
        // A spare is only an advantage: whoever needs a segment tries again and tells what is
        // wrong.
        await this.#discard(spare, segmentBytes);
        return;
      }
    }
  }

  /** Strides keep memory small and let other file calls in between. */
  async #writeZeros(spare: string): Promise<void> {
    const { files, segmentBytes } = this.#options;
    const handle = await files.open(this.#path(spare), "create");
    try {
      const stride = zeros(Math.min(ZERO_STRIDE_BYTES, segmentBytes));
      for (let at = 0; at < segmentBytes && !this.#isClosed; at += stride.length) {
        await writeFully(handle, stride, Math.min(stride.length, segmentBytes - at), at);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** Removes a file that could not be used and gives its bytes back. */
  async #discard(fileName: string, bytes: number): Promise<void> {
    this.#bytes -= bytes;
    await this.#removeQuietly(fileName);
  }

  async #removeQuietly(fileName: string): Promise<void> {
    try {
      await this.#options.files.remove(this.#path(fileName));
    } catch {
      // It stays, holds no entry, and the next opening takes or removes it. The error that led here
      // is the one to tell.
    }
  }

  /** Waits for a spare in the making. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#preparing;
  }

  #newSegmentId(): number {
    const segmentId = this.#nextSegmentId;
    this.#nextSegmentId += 1;
    return segmentId;
  }

  #path(fileName: string): string {
    return `${this.#options.directory}/${fileName}`;
  }
}

/** Closes a file that is given up; the error that led here is the one to tell. */
export async function closeQuietly(handle: FileHandle): Promise<void> {
  try {
    await handle.close();
  } catch {
    // Nothing depends on it.
  }
}
