/**
 * The files behind segments: spares that are ready, new ones within the budget, and freed ones that
 * come back.
 */
import type { FullBy, ReserveProgress } from "../contract/log.ts";
import { toError } from "../errors.ts";
import type { Cancel, Clock } from "../host/clock.ts";
import type { FileHandle, Files } from "../host/files.ts";
import { SEGMENT_HEADER_BYTES, spareFileName } from "./format.ts";
import { type PoolSpace, Reserve } from "./reserve.ts";
import type { Segment } from "./segment.ts";
import { bearSegment, type SegmentRequest, type UnbornSegment } from "./segment-birth.ts";
import { isDiskFull, type SegmentWriter } from "./segment-writer.ts";
import { Pace, SpareFile } from "./spare-file.ts";

/** Files that are kept ready where space is not reserved. */
export const SPARES_MAX = 2;
/** How often space that could not be reserved is tried again. */
export const RESERVE_RETRY_MS = 60_000;

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
  /** Whether the whole budget is allocated in advance; told how far it is. */
  readonly reserve: "none" | "full";
  readonly reserved: (progress: ReserveProgress) => void;
  /** Segments in use that lack blocks and are not written again: how many bytes, by id. */
  readonly missingBytes: ReadonlyMap<number, number>;
}

/** A spare, and when its making is over, well or not. */
interface SpareInTheMaking {
  readonly spare: SpareFile;
  readonly over: Promise<void>;
}

/** Segments' files. `take` is never called twice at once; the rest may overlap. */
export class SegmentPool {
  readonly #options: SegmentPoolOptions;
  readonly #spares: string[];
  #nextSegmentId: number;
  #bytes: number;
  #preparing: Promise<void> | undefined;
  #making: SpareInTheMaking | undefined;
  readonly #sparesMax: number;
  readonly #reserve: Reserve;
  #filling: Pace | undefined;
  #retry: Cancel | undefined;
  #isReserving = false;
  /** Something was freed or begun while the reserve was being filled. */
  #isChanged = false;
  #isClosed = false;

  constructor(options: SegmentPoolOptions) {
    this.#options = options;
    this.#sparesMax = options.reserve === "full" ? Infinity : SPARES_MAX;
    this.#reserve = new Reserve(options.missingBytes, options.reserved);
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
    if (!isOversized && this.#spares.length === 0 && this.#making !== undefined)
      await this.#awaitSpare(this.#making);
    if (isOversized) await this.#giveUpSpares(request.capacityBytesMin);
    const spare = isOversized ? undefined : this.#spares.shift();
    return spare === undefined ? await this.#create(request) : await this.#reuse(spare, request);
  }

  /** A spare in the making is nearly ready, and its bytes count already. */
  async #awaitSpare({ over, spare }: SpareInTheMaking): Promise<void> {
    const { bytesMax, reserve, segmentBytes } = this.#options;
    // One that is paced is not: beginning a file takes less time, while the budget allows it.
    if (reserve === "full" && this.#bytes + segmentBytes <= bytesMax) return;
    spare.hurry();
    await over;
  }

  /** A segment for one large entry: its room in the budget is worth more than files that are ready. */
  async #giveUpSpares(capacityBytes: number): Promise<void> {
    const { bytesMax, segmentBytes } = this.#options;
    while (this.#bytes + capacityBytes > bytesMax) {
      const spare = this.#spares.pop();
      if (spare === undefined) return;
      await this.#discard(spare, segmentBytes);
    }
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

  async #begin(
    handle: FileHandle,
    spare: string,
    request: SegmentRequest,
    file: Pick<UnbornSegment, "capacityBytes" | "zeroedTo">,
  ): Promise<SegmentWriter> {
    const { clock, directory, files, logUuid } = this.#options;
    const segmentId = this.#newSegmentId();
    const writer = await bearSegment(
      { ...file, files, clock, directory, logUuid, handle, spare, segmentId },
      request,
    );
    this.#reserve.add(writer);
    if (this.#isReserving) this.prepare();
    return writer;
  }

  /** A segment that was found and goes on. */
  adopt(writer: SegmentWriter): void {
    this.#reserve.forget(writer.segment.identity.segmentId);
    this.#reserve.add(writer);
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
    const isWanted = this.#spares.length < this.#sparesMax && this.#bytes <= this.#options.bytesMax;
    if (isWhole && isWanted && !this.#isClosed) {
      const spare = spareFileName(segmentId);
      await files.rename(this.#path(fileName), this.#path(spare));
      this.#spares.push(spare);
    } else {
      await files.remove(this.#path(fileName));
      this.#bytes -= capacityBytes;
    }
    this.#reserve.forget(segmentId);
    if (this.#isReserving) this.prepare();
    try {
      await files.syncDirectory(directory);
      return "freed";
    } catch {
      return "unsynced";
    }
  }

  /** Begins to allocate the whole budget in the background, where that is wanted. */
  startReserving(): void {
    this.#isReserving = this.#options.reserve === "full";
    if (this.#isReserving) this.prepare();
  }

  /** How much of the budget is allocated, where it is to be. */
  get reserved(): ReserveProgress | undefined {
    return this.#options.reserve === "full" ? this.#reserve.progress(this.#space()) : undefined;
  }

  /** What keeps it from making another segment. */
  get fullBy(): FullBy {
    const { bytesMax, segmentBytes } = this.#options;
    return this.#bytes + segmentBytes > bytesMax ? "bytesMax" : "disk";
  }

  #space(): PoolSpace {
    const { bytesMax, segmentBytes } = this.#options;
    return {
      bytes: this.#bytes,
      bytesMax,
      segmentBytes,
      spareBytes: this.#spares.length * segmentBytes,
      unwrittenBytes: this.#making?.spare.leftBytes ?? 0,
    };
  }

  /**
   * Makes spares in the background until there are {@link SPARES_MAX}, or the whole budget is
   * allocated, as far as budget and disk allow.
   */
  prepare(): void {
    this.#isChanged = this.#preparing !== undefined;
    if (this.#isChanged || this.#isClosed || !this.#options.preallocates) return;
    if (!this.#wantsSpare() && !this.#isReserving) return;
    this.#preparing = this.#makeSpares().finally(() => {
      this.#preparing = undefined;
      if (this.#isChanged && this.#isReserving) this.prepare();
    });
  }

  #wantsSpare(): boolean {
    const { bytesMax, segmentBytes } = this.#options;
    return (
      this.#spares.length < this.#sparesMax &&
      !this.#isClosed &&
      this.#bytes + segmentBytes <= bytesMax
    );
  }

  async #makeSpares(): Promise<void> {
    try {
      if (this.#isReserving) await this.#fillSegments();
      while (this.#wantsSpare()) {
        await this.#makeSpare();
        if (this.#isReserving) await this.#fillSegments();
      }
    } catch (cause) {
      // A spare is only an advantage: whoever needs a segment tries again and tells what is wrong.
      if (this.#isReserving) this.#reserveLater(toError(cause));
    }
  }

  async #makeSpare(): Promise<void> {
    const { clock, directory, files, reserve, segmentBytes } = this.#options;
    const fileName = spareFileName(this.#newSegmentId());
    const spare = new SpareFile({
      files,
      clock,
      path: this.#path(fileName),
      bytes: segmentBytes,
      isPaced: reserve === "full",
    });
    this.#bytes += segmentBytes;
    const made = this.#writeSpare(spare, fileName).finally(() => {
      this.#making = undefined;
    });
    this.#making = { spare, over: made.catch(() => undefined) };
    await made;
    // What is reserved stays so after a power cut.
    if (reserve === "full") await files.syncDirectory(directory);
  }

  async #writeSpare(spare: SpareFile, fileName: string): Promise<void> {
    try {
      if ((await spare.write()) === "whole") this.#spares.push(fileName);
    } catch (cause) {
      await this.#discard(fileName, this.#options.segmentBytes);
      throw cause;
    }
  }

  /** Segments that were begun without a spare get the rest of their blocks. */
  async #fillSegments(): Promise<void> {
    const pace = new Pace(this.#options.clock);
    this.#filling = pace;
    for (const writer of this.#reserve.incomplete())
      while (!this.#isClosed && (await pace.run(() => writer.zeroFurther())));
    this.#filling = undefined;
    this.#reserve.tell(this.#space());
  }

  #reserveLater(cause: Error): void {
    if (this.#isClosed) return;
    this.#reserve.tell(this.#space(), cause);
    this.#retry ??= this.#options.clock.after(RESERVE_RETRY_MS, () => {
      this.#retry = undefined;
      this.prepare();
    });
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
    this.#retry?.();
    this.#making?.spare.stop();
    this.#filling?.hurry();
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
