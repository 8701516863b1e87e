/**
 * Space that is allocated in advance: which files lack blocks, how far it is, and what is told of it.
 */
import type { ReserveProgress } from "../contract/log.ts";
import type { Segment } from "./segment.ts";
import type { FoundSegment } from "./survey.ts";

/** Progress is told in steps of this share. */
const TOLD_SHARE = 1 / 10;

/** A segment's writer, as far as its blocks go. */
export interface PartialFile {
  readonly segment: Segment;
  /** Bytes of the file that were never written: they have no blocks yet. */
  readonly missingBytes: number;
  /** Writes zeros to a piece of them; false when there is nothing to do. Rejects as the disk does. */
  zeroFurther(): Promise<boolean>;
}

/** Space of the pool's files. */
export interface PoolSpace {
  /** Capacities of all files. */
  readonly bytes: number;
  readonly bytesMax: number;
  readonly segmentBytes: number;
  readonly spareBytes: number;
  /** Of the spare in the making. */
  readonly unwrittenBytes: number;
}

/** Keeps account of what is allocated. */
export class Reserve {
  readonly #told: (progress: ReserveProgress) => void;
  readonly #writers = new Map<number, PartialFile>();
  /** Missing bytes of segments that are never written again. */
  readonly #lost: Map<number, number>;
  #toldStep = -1;

  constructor(lost: ReadonlyMap<number, number>, told: (progress: ReserveProgress) => void) {
    this.#lost = new Map(lost);
    this.#told = told;
  }

  /** A segment that is written to from now on. */
  add(writer: PartialFile): void {
    if (writer.missingBytes > 0) this.#writers.set(writer.segment.identity.segmentId, writer);
  }

  /** A segment's file is gone or is a spare. */
  forget(segmentId: number): void {
    this.#writers.delete(segmentId);
    this.#lost.delete(segmentId);
  }

  /** Writers whose files lack blocks. */
  *incomplete(): Iterable<PartialFile> {
    for (const writer of this.#writers.values()) if (writer.missingBytes > 0) yield writer;
  }

  progress(space: PoolSpace): ReserveProgress {
    const { bytes, bytesMax, segmentBytes, spareBytes, unwrittenBytes } = space;
    const room = Math.max(0, Math.floor((bytesMax - bytes) / segmentBytes)) * segmentBytes;
    const missing = [
      unwrittenBytes,
      ...this.#lost.values(),
      ...Array.from(this.#writers.values(), (writer) => writer.missingBytes),
    ].reduce((sum, each) => sum + each, 0);
    return { bytes: bytes - missing, bytesTarget: bytes + room, spareBytes };
  }

  /** Tells how far it is when it has come a step further, is complete, or is held up by `error`. */
  tell(space: PoolSpace, error?: Error): void {
    const progress = this.progress(space);
    const { bytes, bytesTarget } = progress;
    const step = Math.floor(bytes / bytesTarget / TOLD_SHARE);
    if (step === this.#toldStep && error === undefined) return;
    this.#toldStep = step;
    this.#told(error === undefined ? progress : { ...progress, error });
  }
}

/** Bytes of files that end before their capacity: blocks that they never got. */
export function missingBytesOf(found: readonly FoundSegment[]): ReadonlyMap<number, number> {
  return new Map(
    found
      .map(
        ({ segment: { identity }, sizeBytes }) =>
          [identity.segmentId, identity.capacityBytes - sizeBytes] as const,
      )
      .filter(([, bytes]) => bytes > 0),
  );
}
