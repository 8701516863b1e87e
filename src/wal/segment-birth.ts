/**
 * How a file becomes a segment, each step durable before the next:
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
} from "./format.ts";
import { closeQuietly } from "./close-quietly.ts";
import { Segment } from "./segment.ts";
import { SegmentWriter, writeFully } from "./segment-writer.ts";

/** What the next segment has to say in its header. */
export interface SegmentRequest {
  readonly baseOffset: number;
  readonly epoch: number;
  readonly previousEnd: number;
  readonly previousSalt: number;
  /** Capacity that is needed at least; beyond `segmentBytes` for a single large entry. */
  readonly capacityBytesMin: number;
}

/** The file that becomes a segment. */
export interface UnbornSegment {
  readonly files: Files;
  readonly clock: Clock;
  readonly directory: string;
  readonly logUuid: Uint8Array;
  /** Opened for durable writes; closed when this fails. */
  readonly handle: FileHandle;
  /** Its name as a spare. */
  readonly spare: string;
  /** Never used before. */
  readonly segmentId: number;
  readonly capacityBytes: number;
  /** It is written, with zeros or an earlier life, up to here. */
  readonly zeroedTo: number;
}

/** Steps 1 and 2. Rejects as the disk does; then no file of the new name is left, as far as that can be helped. */
export async function bearSegment(
  unborn: UnbornSegment,
  request: SegmentRequest,
): Promise<SegmentWriter> {
  const { capacityBytes, directory, files, handle, logUuid, segmentId } = unborn;
  const { baseOffset, epoch, previousEnd, previousSalt } = request;
  const salt = saltOf(segmentId, logUuid);
  const fileName = segmentFileName(baseOffset, segmentId);
  try {
    const header = encodeSegmentHeader({
      kind: SEGMENT_KIND.data,
      logUuid,
      segmentId,
      baseOffset,
      salt,
      epoch,
      capacityBytes,
      createdWallMs: Math.floor(unborn.clock.wallMs()),
      previousEnd,
      previousSalt,
    });
    await writeFully(handle, header, header.length, 0);
    await files.rename(`${directory}/${unborn.spare}`, `${directory}/${fileName}`);
    await files.syncDirectory(directory);
  } catch (cause) {
    // What closing and removing say changes nothing: the error that led here is the one to tell.
    await closeQuietly(handle);
    await files.remove(`${directory}/${fileName}`).catch(() => undefined);
    throw cause;
  }
  const segment = new Segment(
    { segmentId, baseOffset, salt, epoch, capacityBytes, fileName },
    { position: SEGMENT_HEADER_BYTES, offset: baseOffset },
  );
  return new SegmentWriter(segment, handle, {
    zeroedTo: unborn.zeroedTo,
    previousHeaderCrc: 0,
    entryCount: 0,
    firstTimeMs: 0,
  });
}
