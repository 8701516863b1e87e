/**
 * What a sink knows of a writer, and what that says about a batch. Pure: the stores that keep positions share it.
 */
import type { Ends } from "../contract/log.ts";
import type { SinkBatch, SinkPosition } from "../contract/sink.ts";
import { HoldfastError } from "../errors.ts";

/** What is stored before the first batch. */
export const START: SinkPosition = Object.freeze({ batchId: 0, epoch: 0, ends: Object.freeze({}) });

/** The part of a batch that identifies it. */
export type BatchIdentity = Pick<SinkBatch<unknown>, "sink" | "batchId" | "epoch" | "ranges">;

/**
 * Whether a batch is to be written or is there already.
 *
 * A batch id alone says little: directories are deleted, cloned and restored. So a batch counts as written only
 * when every range of it lies at or below what is stored, and as new only when every range lies above.
 *
 * @throws SINK_CONFLICT when the batch overlaps what is stored, or when a newer instance has written.
 */
export function judgeBatch(stored: SinkPosition, batch: BatchIdentity): "new" | "already-written" {
  const { sink, batchId, epoch } = batch;
  const spans = spansOf(stored.ends, batch);
  if (batchId <= stored.batchId) {
    const beyond = spans.find(({ to, end }) => to > end);
    if (beyond === undefined) return "already-written";
    throw conflict(
      `${sink}: stores batch ${stored.batchId} up to offset ${beyond.end}, batch ${batchId} ends at ${beyond.to}`,
    );
  }
  if (epoch < stored.epoch) {
    throw conflict(
      `${sink}: stores a batch of epoch ${stored.epoch}, batch ${batchId} is of epoch ${epoch}`,
    );
  }
  const overlap = spans.find(({ from, end }) => from < end);
  if (overlap === undefined) return "new";
  throw conflict(
    `${sink}: stores batch ${stored.batchId} up to offset ${overlap.end}, batch ${batchId} starts at ${overlap.from}`,
  );
}

/** What is stored once the batch is. Partitions that the batch does not touch keep their ends. */
export function positionAfter(
  stored: SinkPosition,
  { batchId, epoch, ranges }: BatchIdentity,
): SinkPosition {
  const ends: Record<string, Record<string, number>> = {};
  for (const [source, offsets] of Object.entries(stored.ends)) ends[source] = { ...offsets };
  for (const [source, partitions] of Object.entries(ranges)) {
    const known = (ends[source] ??= {});
    for (const [partition, [, to]] of Object.entries(partitions)) known[partition] = to;
  }
  return { batchId, epoch, ends };
}

interface Span {
  readonly from: number;
  readonly to: number;
  /** Where the stored output of that partition ends. */
  readonly end: number;
}

function spansOf(ends: Ends, { ranges }: BatchIdentity): readonly Span[] {
  return Object.entries(ranges).flatMap(([source, partitions]) =>
    Object.entries(partitions).map(([partition, [from, to]]) => ({
      from,
      to,
      end: ends[source]?.[partition] ?? 0,
    })),
  );
}

function conflict(message: string): HoldfastError {
  return new HoldfastError("SINK_CONFLICT", message, {
    fix: "stop the other instance that writes here, or give this one a sink name or place of its own",
  });
}
